"""SnapLogic's pull: its answers, held against the page's schema, over a real Git server."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from tests.server.dialects.shared_project import SharedProject
from tests.server.dialects.snaplogic_client import ROOT, SCHEMA, WRITER, paths, pulled, refused
from tests.server.runs.inline import open_inline
from towline.limits import Limits
from towline.testing.git_server import StaysSilent
from towline_server.runs.states import RunState

PULL = f"{ROOT}/pull/acme/space/project"


# --- success ----------------------------------------------------------------------------------


def test_a_first_pull_creates(shared: SharedProject, client: TestClient):
    shared.commit({"rules/a": b"1", "b": b"1"})
    found = pulled(client)
    assert found["created"] == [
        {"asset_id": shared.id_of("b"), "path": "b", "name": "b", "type": "file"},
        {"asset_id": shared.id_of("rules/a"), "path": "rules/a", "name": "a", "type": "rule"},
    ]
    assert paths(found) == {"created": ["b", "rules/a"]}
    assert shared.contents() == {"b": b"1", "rules/a": b"1"}


def test_every_list_is_returned(shared: SharedProject, client: TestClient):
    shared.commit({"gone": b"1", "mine": b"1", "theirs": b"1", "up": b"1"})
    pulled(client)
    mine, theirs = shared.edit("mine", b"ours"), shared.edit("theirs", b"ours")
    shared.commit({"mine": b"2", "theirs": b"2", "up": b"2", "new": b"new"})
    found = pulled(client, use_ours=[mine], use_theirs=[theirs])
    assert paths(found) == {
        "overwritten": ["theirs"],
        "updated": ["up"],
        "created": ["new"],
        "deleted": ["gone"],
        "ignored": ["mine"],
    }
    assert found["ignored"][0]["reason"] == "declined"
    assert found["error_msgs"] == []
    assert shared.contents() == {"mine": b"ours", "theirs": b"2", "up": b"2", "new": b"new"}


def test_merged_assets_say_so(shared: SharedProject, client: TestClient):
    shared.commit({"a.json": b'{"x": 1, "y": 1}', "b": b"1"})
    pulled(client)
    shared.edit("a.json", b'{"x": 2, "y": 1}')
    shared.commit({"a.json": b'{"x": 1, "y": 2}', "b": b"2"})
    merged = [(each["merged"], each["merged_by"]) for each in pulled(client)["updated"]]
    assert merged == [(True, "structure"), (False, None)]


def test_left_over_conflicts_are_skipped_whatever_the_projects_policy(
    shared: SharedProject, client: TestClient
):
    shared.commit({"a": b"1", "b": b"1"})
    pulled(client)
    clash = shared.edit("a", b"ours")
    shared.commit({"a": b"2", "b": b"2"})
    found = pulled(client)
    assert paths(found) == {"updated": ["b"], "ignored": ["a"]}
    assert found["ignored"][0]["reason"] == "conflict"
    assert len(found["error_msgs"]) == 1
    assert clash in found["error_msgs"][0]
    assert shared.contents() == {"a": b"ours", "b": b"2"}
    again = client.post(PULL, headers=WRITER).json()
    SCHEMA.check("up_to_date", again)
    assert again["response_map"] == {"status": "up-to-date", "ignored": found["ignored"]}
    shared.commit({"a": b"3", "b": b"2"})
    assert paths(pulled(client)) == {"ignored": ["a"]}, "it differs from the one before"
    assert paths(pulled(client, use_ours=[clash])) == {"ignored": ["a"]}, "it is settled"
    assert client.post(PULL, headers=WRITER).json()["response_map"] == {"status": "up-to-date"}


def test_left_over_conflicts_are_refused_on_demand(shared: SharedProject, client: TestClient):
    shared.commit({"a": b"1", "b": b"1"})
    pulled(client)
    shared.edit("a", b"ours")
    shared.commit({"a": b"2", "b": b"2"})
    messages = refused(client.post(f"{PULL}?on_conflict=refuse", headers=WRITER), 409)
    assert "content conflict: a" in messages[0]
    assert shared.contents() == {"a": b"ours", "b": b"1"}


def test_a_run_is_named(shared: SharedProject, client: TestClient):
    shared.commit({"a": b"1"})
    answer = client.post(PULL, headers=WRITER, json={})
    (run,) = shared.runs_of()
    assert answer.headers["Towline-Run"] == str(run.id)


def test_a_repeated_key_pulls_once(shared: SharedProject, client: TestClient):
    shared.commit({"a": b"1"})
    headers = {**WRITER, "Idempotency-Key": "k"}
    answers = [client.post(PULL, headers=headers, json={}) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["response_map"]["status"] == "updated"
    assert len(shared.runs_of()) == 1


# --- the name of a project --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["none", "Project", "%00"])
def test_another_spelling_is_another_project(client: TestClient, name: str):
    for method, operation in [
        ("POST", "pull"),
        ("POST", "checkout"),
        ("POST", "discard_changes"),
        ("GET", "repo-status"),
        ("GET", "untrack"),
    ]:
        url = f"{ROOT}/{operation}/acme/space/{name}"
        answer = client.request(method, url, headers=WRITER)
        assert refused(answer, 404) == ["no such project"]


# --- bad requests -----------------------------------------------------------------------------

BAD_BODIES = {
    "no JSON": b"{",
    "no object": b"[]",
    "an unknown key": b'{"use_mine": []}',
    "no list": b'{"use_ours": "x"}',
    "null": b'{"use_ours": null}',
    "no texts": b'{"use_ours": [1]}',
    "what no database holds": b'{"use_ours": ["\\u0000"]}',
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_bad_bodies(shared: SharedProject, client: TestClient, body: bytes):
    refused(client.post(PULL, headers=WRITER, content=body), 400)
    assert shared.runs_of() == ()


def test_a_refusal_names_what_is_wrong(client: TestClient):
    (message,) = refused(client.post(PULL, headers=WRITER, json={"use_ours": "x"}), 400)
    assert message.startswith("body.use_ours: ")


def test_a_body_beyond_the_limit_is_a_bad_request(shared: SharedProject):
    with shared.over(shared.inline, body_bytes=10) as client:
        refused(client.post(PULL, headers=WRITER, content=b"x" * 11), 400)


def test_an_unknown_policy(client: TestClient):
    refused(client.post(f"{PULL}?on_conflict=theirs", headers=WRITER), 400)


@pytest.mark.parametrize(
    "body",
    [
        {"use_theirs": ["x", "x"]},
        {"use_ours": ["x", "x"]},
        {"use_ours": ["x"], "use_theirs": ["x"]},
    ],
)
def test_doubled_ids(shared: SharedProject, client: TestClient, body: dict[str, list[str]]):
    (message,) = refused(client.post(PULL, headers=WRITER, json=body), 400)
    assert "x" in message
    assert shared.runs_of() == ()


def test_more_assets_than_the_limit(shared: SharedProject, client: TestClient):
    shared.commit({f"{number:04}": b"" for number in range(1001)})
    (message,) = refused(client.post(PULL, headers=WRITER, json={}), 400)
    assert "1001" in message
    assert "1000" in message
    assert shared.contents() == {}


# --- what fails outside -----------------------------------------------------------------------


def test_a_remote_that_says_nothing_ended_the_run(shared: SharedProject):
    shared.commit({"a": b"1"})
    shared.tenant.server.trouble = StaysSilent()
    tenant = shared.tenant
    impatient = open_inline(
        tenant.database, tenant.sealer, tenant.cache_dir, limits=Limits(idle_seconds=1)
    )
    with shared.over(impatient) as client:
        refused(client.post(PULL, headers=WRITER, json={}), 502)
    run, _given_up = sorted(shared.runs_of(), key=lambda run: run.attempts.number)
    assert (run.error and run.error.code) == "remote_timeout"


def test_a_run_that_takes_too_long_goes_on_and_can_be_found(shared: SharedProject):
    shared.commit({"a": b"1"})
    with shared.waiting() as client:
        (message,) = refused(client.post(PULL, headers=WRITER, json={}), 504)
        (run,) = shared.runs_of()
        assert str(run.id) in message
        assert run.state is RunState.QUEUED
        shared.runner.work()
    assert shared.inline.get(run.id).state is RunState.SUCCEEDED
    assert shared.contents() == {"a": b"1"}


def test_a_busy_project(shared: SharedProject):
    with shared.waiting() as client:
        client.post(PULL, headers=WRITER, json={})
        (message,) = refused(client.post(PULL, headers=WRITER, json={}), 409)
    (run,) = shared.runs_of()
    assert str(run.id) in message


def test_unknown_routes_have_the_envelope(client: TestClient):
    refused(client.get("/api/1/rest/public/none", headers=WRITER), 404)
    refused(client.get(PULL, headers=WRITER), 405)
