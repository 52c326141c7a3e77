"""Conflicts that are settled one at a time, through the native API."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.server.api.client import V1, ApiClient, code_of
from tests.server.api.work import work_of
from towline_server.api import DIALECT
from towline_server.app import create_app
from towline_server.settings import Settings

BASE = b'{"x": 1, "y": 1}'
OURS = b'{"x": 2, "y": 2}'
THEIRS = b'{"x": 3, "y": 1}'


@pytest.fixture
def asset_id(api: ApiClient) -> str:
    """A JSON asset both sides of which changed one field; the project's policy refuses."""
    api.tenant.commit(**{"a.json": BASE})
    api.pull()
    api.put("a.json", OURS)
    api.tenant.commit(**{"a.json": THEIRS})
    [conflict] = api.pull()["report"]["conflicts"]
    found: str = conflict["parties"][0]["asset_id"]
    return found


def url(api: ApiClient, asset_id: str) -> str:
    return f"{api.url}/conflicts/{asset_id}"


def resolve(api: ApiClient, asset_id: str, **body: Any) -> Any:
    return api.ask("PUT", f"{url(api, asset_id)}/resolution", json=body)


def content(api: ApiClient) -> bytes:
    return api.tenant.contents(api.project)["a.json"]


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ({"side": "theirs"}, THEIRS),
        ({"side": "ours"}, OURS),
        ({"fields": {"/x": "theirs"}}, b'{"x": 3, "y": 2}'),
        ({"fields": {"/x": "ours"}}, OURS),
        ({"content": {"text": "mine"}}, b"mine"),
        ({"content": {"base64": b64encode(b"\xff").decode()}}, b"\xff"),
    ],
)
def test_a_run_uses_a_saved_resolution(
    api: ApiClient, asset_id: str, body: dict[str, Any], result: bytes
):
    saved = resolve(api, asset_id, **body)
    assert saved.status_code == 200, saved.text
    view = api.get(url(api, asset_id))
    assert view["resolution"] == saved.json()
    sides = view["explanations"][0]["contents"]
    assert saved.json()["digests"] == {name: side["digest"] for name, side in sides.items()}
    assert api.get(f"{api.url}/conflicts")["resolved"] == [asset_id]
    [status] = api.get(f"{api.url}/status")["assets"]
    assert (status["state"], status["resolved"]) == ("conflict", True)
    dry = api.pull(mode="dry_run")["report"]
    run = api.pull()
    assert run["state"] == "succeeded"
    assert run["report"] == dry
    assert content(api) == result
    after = api.get(f"{api.url}/conflicts")
    assert (after["conflicts"], after["resolved"]) == ([], [])


def test_the_fields_to_choose_a_side_for_are_listed(api: ApiClient, asset_id: str):
    view = api.get(url(api, asset_id))
    [explained] = view["explanations"]
    [clash] = explained["clashes"]
    assert {name: clash[name] for name in ("pointer", "base", "ours", "theirs")} == {
        "pointer": "/x",
        "base": 1,
        "ours": 2,
        "theirs": 3,
    }
    assert (explained["takes_content"], view["resolution"]) == (True, None)


def test_a_resolution_lapses_when_a_side_moves(api: ApiClient, asset_id: str):
    assert resolve(api, asset_id, side="theirs").status_code == 200
    api.put("a.json", b'{"x": 4, "y": 2}')
    assert api.get(url(api, asset_id))["resolution"] is None
    assert api.get(f"{api.url}/conflicts")["resolved"] == []
    run = api.pull()
    assert run["result_class"] == "conflict"
    assert [(note["asset_id"], note["path"]) for note in run["report"]["notes"]] == [
        (asset_id, "a.json")
    ]
    assert "ours changed since" in run["report"]["notes"][0]["text"]
    assert content(api) == b'{"x": 4, "y": 2}'


def test_the_sides_of_a_request_go_before_it(api: ApiClient, asset_id: str):
    resolve(api, asset_id, side="theirs")
    assert api.pull(use_ours=[asset_id])["result_class"] == "success"
    assert content(api) == OURS


def test_a_later_one_replaces_it_and_a_deletion_opens_the_conflict(api: ApiClient, asset_id: str):
    resolve(api, asset_id, side="theirs")
    assert resolve(api, asset_id, side="ours").json()["side"] == "ours"
    assert api.get(url(api, asset_id))["resolution"]["side"] == "ours"
    for _ in range(2):
        deleted = api.ask("DELETE", f"{url(api, asset_id)}/resolution")
        assert deleted.status_code == 204
    assert api.get(url(api, asset_id))["resolution"] is None
    assert api.pull()["result_class"] == "conflict"


def test_one_that_has_lapsed_is_deleted_though_nothing_conflicts(api: ApiClient, asset_id: str):
    resolve(api, asset_id, side="theirs")
    api.put("a.json", THEIRS)
    assert api.get(f"{api.url}/conflicts")["conflicts"] == []
    deleted = f"{url(api, asset_id)}/resolution"
    assert api.ask("DELETE", deleted).status_code == 204
    assert code_of(api.ask("DELETE", deleted)) == (404, "not_found")
    assert api.pull()["report"]["notes"] == []


def test_a_plan_and_an_external_executor_get_it(api: ApiClient, asset_id: str):
    resolve(api, asset_id, content={"text": "mine"})
    made = api.ask("POST", f"{api.url}/plans", json={}).json()
    [item] = made["report"]["updated"]
    assert (made["refused"], item["resolved"]) == (False, True)
    api.ask("POST", f"{api.url}/runs", json={"backend": "external"})
    claimed = api.ask("POST", f"{V1}/work/claim", json={"executor_id": "one"}).json()
    [saved] = work_of(claimed["work"]).resolutions
    assert (saved.asset_id, saved.content) == (asset_id, b"mine")


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({}, (422, "invalid_request")),
        ({"side": "theirs", "content": {"text": ""}}, (422, "invalid_request")),
        ({"side": "mine"}, (422, "invalid_request")),
        ({"fields": {}}, (422, "invalid_request")),
        ({"fields": {"x": "ours"}}, (422, "invalid_request")),
        ({"content": {}}, (422, "invalid_request")),
        ({"content": {"text": "", "base64": ""}}, (422, "invalid_request")),
        ({"fields": {"/y": "ours"}}, (409, "invalid_resolution")),
        ({"side": "ours", "digests": {"base": None, "ours": None, "theirs": None}}, (409, None)),
    ],
)
def test_what_settles_nothing_is_refused(
    api: ApiClient, asset_id: str, body: dict[str, Any], refusal: tuple[int, str | None]
):
    status, code = code_of(resolve(api, asset_id, **body))
    assert (status, code) == (refusal[0], refusal[1] or "conflict_moved")
    assert api.get(f"{api.url}/conflicts")["resolved"] == []


def test_a_content_is_no_larger_than_an_asset_may_be(
    api: ApiClient, asset_id: str, settings: Settings
):
    small = settings.model_copy(update={"limits": {"asset_bytes": 10}})
    services = replace(api.services, settings=small)
    with TestClient(create_app(small, services=services, dialects=[DIALECT])) as client:
        api.client = client
        assert resolve(api, asset_id, content={"text": "x" * 10}).status_code == 200
        answer = resolve(api, asset_id, content={"text": "x" * 11})
        assert code_of(answer) == (400, "limit_exceeded")


def test_what_the_caller_saw_may_be_named(api: ApiClient, asset_id: str):
    sides = api.get(url(api, asset_id))["explanations"][0]["contents"]
    digests = {name: side["digest"] for name, side in sides.items()}
    assert resolve(api, asset_id, side="ours", digests=digests).status_code == 200


def test_only_what_is_in_conflict_can_be_resolved(api: ApiClient):
    assert code_of(resolve(api, "none", side="ours")) == (404, "not_found")
    api.tenant.commit(a=b"1")
    made = api.pull()["report"]["created"][0]["asset_id"]
    assert code_of(resolve(api, made, side="ours")) == (404, "not_found")
    assert code_of(api.ask("DELETE", f"{url(api, made)}/resolution")) == (404, "not_found")
