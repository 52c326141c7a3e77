"""The OpenAPI documents: complete, without repetition, and of one dialect."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from towline_server.app import Application, create_app
from towline_server.dialects import DIALECTS
from towline_server.settings import Settings
from towline_server.web.openapi import operations_of

TAGS = [dialect.tag for dialect in DIALECTS]


@pytest.fixture(scope="module")
def app() -> Application:
    return create_app(Settings.defaults())


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    for each in value if isinstance(value, list) else ():
        yield from _references(each)


def _documents(app: Application) -> list[dict[str, Any]]:
    return [app.openapi(), app.exact_openapi(), *(app.openapi_of(tag.lower()) for tag in TAGS)]


def test_operations_are_named_by_dialect(app: Application):
    operations = [
        operation for methods in app.openapi()["paths"].values() for operation in methods.values()
    ]
    assert len(operations_of(app.openapi())) == len(operations)
    for operation in operations:
        [tag] = operation["tags"]
        assert re.fullmatch(rf"{tag.lower()}(_[a-z]+)+", operation["operationId"])


def test_every_reference_leads_to_a_component_and_every_component_is_used(app: Application):
    for document in _documents(app):
        wanted = {each.removeprefix("#/components/") for each in _references(document)}
        there = {
            f"{section}/{name}"
            for section in ("schemas", "responses")
            for name in document["components"][section]
        }
        assert wanted == there


def test_refusals_are_components(app: Application):
    for document in _documents(app):
        for operation in operations_of(document).values():
            for status, response in operation["responses"].items():
                assert ("$ref" in response) == (int(status) >= 400), operation["operationId"]


def test_no_schema_contains_itself(app: Application):
    schemas = app.openapi()["components"]["schemas"]
    leads = {name: {r.rsplit("/")[-1] for r in _references(each)} for name, each in schemas.items()}
    while leads:
        ends = {name for name, others in leads.items() if not others & leads.keys()}
        assert ends, leads
        leads = {name: others for name, others in leads.items() if name not in ends}


@pytest.mark.parametrize("tag", TAGS)
def test_each_dialect_has_a_document_of_its_own(app: Application, tag: str):
    answer = TestClient(app).get(f"/openapi/{tag.lower()}.json")
    part, whole = answer.json(), app.openapi()
    assert part == json.loads(json.dumps(app.openapi_of(tag.lower())))
    for name, operation in operations_of(whole).items():
        assert (operations_of(part).get(name) == operation) == (operation["tags"] == [tag])
    assert part["servers"] == [{"url": "/"}]
    assert part["info"]["license"]["identifier"] == "Apache-2.0"
    schemes = {
        name for each in operations_of(part).values() for s in each["security"] for name in s
    }
    assert schemes == part["components"]["securitySchemes"].keys() > set()


def test_an_unknown_dialect_has_none(app: Application):
    assert TestClient(app).get("/openapi/cobol.json").status_code == 404
