"""Clients that generators make of the OpenAPI document: without a warning, and they work."""

from __future__ import annotations

import json
import os
import shutil
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.listener import listening
from tests.clients.packages import ROOT, node_packages, python_packages, run
from tests.server.populated import KEY, populated_server
from towline_server.app import Application, create_app
from towline_server.demo import tenancy
from towline_server.settings import Settings

CALLS = ROOT / "tests" / "clients"
NODE = (
    "@redocly/cli@2",
    "openapi-fetch@0.17",
    "openapi-typescript@7",
    "typescript@5",
    "@types/node@20",
)
QUIET = {**os.environ, "REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}


@pytest.fixture(scope="module")
def app() -> Application:
    return create_app(Settings.defaults())


@pytest.fixture
def document(app: Application, tmp_path: Path) -> Path:
    file = tmp_path / "towline.json"
    file.write_text(json.dumps(app.openapi()))
    return file


@pytest.fixture
def served(app: Application, tmp_path: Path) -> Iterator[str]:
    """The input of a script of calls."""
    (tmp_path / "populated").mkdir()
    with (
        populated_server(tmp_path / "populated") as populated,
        populated.copied(tmp_path / "towline.sqlite") as services,
        listening(app) as url,
    ):
        app.state.services = services
        app.state.limits.change(services.settings)
        yield json.dumps(
            {
                "url": url,
                "token": tenancy.token(),
                "basic": b64encode(KEY.encode()).decode(),
                "key": KEY,
                "company": str(tenancy.RULES_PROJECT),
                "connection": str(tenancy.RULES_CONNECTION),
            }
        )
        app.state.services = None


def _check(answers: dict[str, Any]) -> None:
    assert "/demo/shop/rules" in {each["name"] for each in answers["codat"]["results"]}
    assert {each["object"] for each in answers["connections"]} == {"sync"}
    assert "rules/discount.json" in {each["path"] for each in answers["native"]["items"]}
    assert answers["nected"]["data"]["taskId"]
    assert len(answers["snaplogic"]["response_map"]["entries"]) == answers["native"]["total"] + 1
    assert [each["name"] for each in answers["syncs"]["syncs"]] == ["Rules"]
    assert (answers["unknown"]["statusCode"], answers["unknown"]["canBeRetried"]) == (404, "No")


@pytest.mark.services
def test_redocly_has_nothing_to_say(app: Application, document: Path):
    files = [document]
    for tag in app.openapi()["tags"]:
        files.append(document.with_name(f"{tag['name'].lower()}.json"))
        files[-1].write_text(json.dumps(app.openapi_of(tag["name"].lower())))
    # The paths of Syncs are the product's: `/syncs/runs/{run_id}` beside `/syncs/{sync_id}/runs`.
    rules = ["--skip-rule=no-ambiguous-paths", "--format=json"]
    command = node_packages("node", *NODE) / "redocly"
    answers = run([command, "lint", *rules, *files], env=QUIET)
    # An object a file, with nothing between them.
    reports = json.loads(f"[{answers.replace('}{', '},{')}]")
    assert [each["problems"] for each in reports] == [[]] * len(files)


@pytest.mark.services
def test_a_generated_python_client(document: Path, served: str, tmp_path: Path):
    environment = python_packages("openapi-python-client", "openapi-python-client==0.29.*")
    made = str(tmp_path / "towline_client")
    words = ["--path", str(document), "--output-path", made, "--meta", "none"]
    commands = Path(environment["PYTHONPATH"]) / "bin"
    environment["PATH"] = f"{commands}{os.pathsep}{environment['PATH']}"
    run(
        [commands / "openapi-python-client", "generate", "--fail-on-warning", *words],
        env=environment,
    )
    environment["PYTHONPATH"] += f"{os.pathsep}{tmp_path}"
    python: list[str | Path] = [sys.executable, CALLS / "generated_calls.py"]
    _check(json.loads(run(python, env=environment, given=served)))


@pytest.mark.services
def test_a_generated_typescript_client(document: Path, served: str, tmp_path: Path):
    commands = node_packages("node", *NODE)
    shutil.copy(CALLS / "generated_calls.ts", tmp_path)
    (tmp_path / "node_modules").symlink_to(commands.parent)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    run([commands / "openapi-typescript", document, "-o", tmp_path / "towline.ts"])
    options = [
        "--strict",
        "--module",
        "nodenext",
        "--target",
        "es2022",
        "--types",
        "node",
        "--skipLibCheck",
    ]
    run([commands / "tsc", *options, "generated_calls.ts"], cwd=tmp_path)
    _check(json.loads(run(["node", tmp_path / "generated_calls.js"], given=served)))
