"""``/docs``: what it shows is what the OpenAPI document says, and anyone may read it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.server.page.browser import HtmlPage
from towline_server.app import create_app
from towline_server.settings import Settings

APP = create_app(Settings.defaults())
CLIENT = TestClient(APP)
DIALECTS = [tag["name"].lower() for tag in APP.openapi()["tags"]]


def _page(address: str) -> HtmlPage:
    answer = CLIENT.get(address)
    assert answer.status_code == 200, answer.text
    return HtmlPage(answer.text)


def test_every_api_is_listed():
    assert {f"/docs/{name}" for name in DIALECTS} <= set(_page("/docs").links)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_operation_parameter_and_field_is_shown(dialect: str):
    document: dict[str, Any] = APP.openapi_of(dialect)
    page = _page(f"/docs/{dialect}")
    shown = set(re.findall(r"\S+", page.text))
    for path, methods in document["paths"].items():
        assert path in shown
        for operation in methods.values():
            assert {each["name"] for each in operation.get("parameters", ())} <= shown
    for schema in document["components"]["schemas"].values():
        assert set(schema.get("properties", ())) <= shown


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_link_within_a_reference_leads_somewhere(dialect: str):
    page = _page(f"/docs/{dialect}")
    ids = [given["id"] for _, given in page.tags if "id" in given]
    assert len(ids) == len(set(ids))
    assert {link.removeprefix("#") for link in page.links if link.startswith("#")} <= set(ids)


def test_an_api_that_is_not_there_is_not_found():
    assert CLIENT.get("/docs/nothing").status_code == 404
