"""The examples of the OpenAPI document: valid, and of the form that the server answers with now.

``RECORD_EXAMPLES=1`` (`make examples`) writes them again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.server.populated import populated_server
from tests.server.recording import FOLDER, Recording
from towline_server.app import Application, create_app
from towline_server.settings import Settings
from towline_server.web.openapi import operations_of

UNAUDITED = {
    # It only looks.
    "native_preview_project",
    # Leases of external executors, which runs show.
    "native_claim_work",
    "native_heartbeat",
    "native_renew_work",
    # Nothing is left to change: the runs have ended, no resolution is saved, no project follows.
    "connections_cancel_sync",
    "native_cancel_run",
    "native_take_webhook",
    "native_unresolve_conflict",
    "syncs_cancel_sync_run",
}


@pytest.fixture(scope="module")
def app() -> Application:
    return create_app(Settings.defaults())


def test_the_examples_are_what_the_server_answers_now(tmp_path: Path):
    with populated_server(tmp_path) as populated:
        recording = Recording(populated, tmp_path / "towline.sqlite")
        recorded = recording.everything()
    if os.environ.get("RECORD_EXAMPLES"):
        for tag, examples in recorded.items():
            text = json.dumps(examples, indent=1, sort_keys=True, ensure_ascii=False)
            (FOLDER / f"{tag.lower()}.json").write_text(text + "\n", encoding="utf-8")
    assert recording.unaudited == UNAUDITED
    for tag, examples in recorded.items():
        known = json.loads((FOLDER / f"{tag.lower()}.json").read_text(encoding="utf-8"))
        for section in ("operations", "refusals"):
            assert known[section].keys() == examples[section].keys()
            for name, example in examples[section].items():
                assert _form(known[section][name]) == _form(example), f"{name}: make examples"


def _form(value: Any) -> Any:
    """The names and types of a value: what stays the same from one recording to the next."""
    match value:
        case dict():
            return {name: _form(each) for name, each in sorted(value.items())}
        case list():
            return sorted({json.dumps(_form(each)) for each in value})
        case _:
            return type(value).__name__


def test_every_example_fits_its_schema(app: Application):
    exact, shown = app.exact_openapi(), app.openapi()
    for document in (exact, shown):
        for where, media, example in _examples(document, shown):
            schema = {**media["schema"], "components": document["components"]}
            problems = [each.message for each in Draft202012Validator(schema).iter_errors(example)]
            assert problems == [], where


def test_every_request_and_answer_has_an_example(app: Application):
    lacking = [where for where, media in _media(app.openapi()) if "example" not in media]
    for name, operation in operations_of(app.openapi()).items():
        lacking += [
            f"{name} {parameter['name']}"
            for parameter in operation.get("parameters", ())
            if parameter.get("required") and "example" not in parameter
        ]
    assert lacking == []


def _examples(of: dict[str, Any], shown: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    examples = {where: media["example"] for where, media in _media(shown) if "example" in media}
    for where, media in _media(of):
        if where in examples:
            yield where, media, examples[where]


def _media(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    holders = {f"refusal {n}": each for n, each in document["components"]["responses"].items()}
    for name, operation in operations_of(document).items():
        holders[f"{name} request"] = operation.get("requestBody", {})
        holders |= {f"{name} {status}": each for status, each in operation["responses"].items()}
    for where, holder in holders.items():
        for form, media in holder.get("content", {}).items():
            yield f"{where} {form}", media
