"""The documents agree with the repository: links, files and floors that they name exist."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from pkgutil import iter_modules, resolve_name
from threading import Event
from typing import Any

import pytest

import towline
from towline.limits import MIB, Limits
from towline.remotes.memory import MemoryRemote, MemoryRepository
from towline.stores.memory import MemoryStore

ROOT = Path(__file__).parents[2]
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
SOURCES = ("engine", "cli", "server", "tests", "fixtures", "benchmarks")
PAGES = sorted(
    page
    for page in [
        *ROOT.glob("*.md"),
        *(each for top in (*SOURCES, "docs") for each in (ROOT / top).rglob("*.md")),
    ]
)
LIMITS = dataclasses.asdict(Limits())
FLOORS = {"towline": "floors", "towline_server": "control-plane-floors"}


def prose(page: Path) -> str:
    return FENCED.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_of_a_page_leads_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        linked = page.parent / name if name else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_names_exists(page: Path):
    named = re.findall(rf"`((?:{'|'.join((*SOURCES, 'docs'))})/[\w./-]*)`", prose(page))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_document_that_the_code_cites_exists():
    cited = {
        (name, str(module.relative_to(ROOT)))
        for top in SOURCES
        for module in (ROOT / top).rglob("*.py")
        for name in re.findall(r"docs/[\w/-]+\.md", module.read_text(encoding="utf-8"))
    }
    assert [each for each in sorted(cited) if not (ROOT / each[0]).exists()] == []


def test_no_test_module_is_imported_by_another():
    imported = re.compile(r"^(?:from|import) tests\..*\btest_\w+", re.MULTILINE)
    found = {
        str(module.relative_to(ROOT)): imported.findall(module.read_text(encoding="utf-8"))
        for module in (ROOT / "tests").rglob("*.py")
        # It runs the laws themselves, on mutants.
        if module.name != "test_laws_bite.py"
    }
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize("package", FLOORS)
def test_the_floors_of_contributing_are_those_of_the_linter(package: str):
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    [contract] = [
        each
        for each in settings["tool"]["importlinter"]["contracts"]
        if each["id"] == FLOORS[package]
    ]
    linted = [set(re.findall(r"\w+", layer)) for layer in reversed(contract["layers"])]
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.partition(f"modules of `{package}`")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (\d+) \| ([^|]*) \|", table, re.MULTILINE)
    assert {int(floor): set(re.findall(r"`(\w+)`", names)) for floor, names in rows} == dict(
        enumerate(linted)
    )


def test_the_limits_of_semantics_are_the_defaults():
    text = (ROOT / "docs" / "semantics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\w+)( MiB)? \|", text, re.MULTILINE)
    shown = {
        name: None if number == "none" else int(number) * (MIB if mebibytes else 1)
        for name, number, mebibytes in rows
        if name in LIMITS
    }
    assert shown == LIMITS


def documented_paths() -> set[str]:
    text = (ROOT / "docs" / "embedding.md").read_text(encoding="utf-8")
    return set(re.findall(r"\btowline(?:\.\w+)+", text))


def test_every_import_path_of_embedding_exists():
    for path in documented_paths():
        resolve_name(path)


def test_every_module_of_the_library_is_documented_as_public_or_internal():
    modules = {module.name for module in iter_modules(towline.__path__, "towline.")}
    assert modules - documented_paths() == set()


def test_the_first_example_of_embedding_runs():
    text = (ROOT / "docs" / "embedding.md").read_text(encoding="utf-8")
    # The other blocks are the store that tests/contracts/test_embedding.py runs.
    call = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)[0]
    repository = MemoryRepository()
    store, remote = MemoryStore("shop"), MemoryRemote(repository)
    repository.commit({"a": b"1"})
    [created] = towline.pull(store, remote).created
    repository.commit({"a": b"2"})
    names: dict[str, Any] = {"store": store, "remote": remote, "show": None, "event": Event()}
    names |= {"datetime": datetime, "UTC": UTC}
    known = call.replace("65e12ed44f526dee5878a380", str(created.asset_id))
    exec(known, names)  # the document is ours
    assert [item.path for item in names["report"].updated] == ["a"]
