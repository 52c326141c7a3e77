"""Deprecated operations, by the document and by their answers."""

from __future__ import annotations

from datetime import date

import pytest
from fastapi import APIRouter
from fastapi.testclient import TestClient

from towline_server.app import Application, create_app
from towline_server.errors import NotFound
from towline_server.settings import Settings
from towline_server.web.deprecation import deprecated
from towline_server.web.dialect import Dialect

GOES = deprecated(since=date(2026, 1, 1), sunset=date(2026, 7, 1))


@pytest.fixture
def app() -> Application:
    router = APIRouter(prefix="/old")

    @router.get("/things", openapi_extra=GOES)
    def list_things(missing: bool = False) -> list[str]:
        if missing:
            raise NotFound(what="thing")
        return []

    @router.get("/others")
    def list_others() -> list[str]:
        return []

    dialect = Dialect(tag="Old", description="An API.", router=router, prefixes=("/old",))
    return create_app(Settings.defaults(), dialects=[dialect])


def test_the_document_marks_what_goes_and_when(app: Application):
    paths = app.exact_openapi()["paths"]
    assert paths["/old/things"]["get"]["deprecated"] is True
    assert paths["/old/things"]["get"]["x-sunset"] == "2026-07-01"
    assert "deprecated" not in paths["/old/others"]["get"]


@pytest.mark.parametrize(("query", "status"), [("", 200), ("?missing=true", 404)])
def test_its_answers_have_both_dates_and_others_none(app: Application, query: str, status: int):
    with TestClient(app) as client:
        answer = client.get(f"/old/things{query}")
        other = client.get("/old/others")
    assert answer.status_code == status
    assert answer.headers["deprecation"] == "@1767225600"
    assert answer.headers["sunset"] == "Wed, 01 Jul 2026 00:00:00 GMT"
    assert "deprecation" not in other.headers
    assert "sunset" not in other.headers
