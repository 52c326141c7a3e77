"""Runs that are executed elsewhere, over HTTP alone."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from tests.control_plane import new_key
from tests.server.api.client import V1, ApiClient, code_of
from tests.server.api.work import work_of
from tests.server.runs.external_executor import planned, planned_window
from tests.server.runs.git_tenant import GitTenant
from towline import dump_plan
from towline.remotes.windows import Window
from towline_server.auth.roles import Role
from towline_server.runs.domain import BackendName, RunRequest
from towline_server.runs.external import FAILURE_REASONS


def claim(api: ApiClient, **rest: Any) -> dict[str, Any]:
    asked = api.ask("POST", f"{api.url}/runs", json={"backend": "external"})
    assert asked.status_code == 202, asked.text
    answer = api.ask("POST", f"{V1}/work/claim", json={"executor_id": "one"}, **rest)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def held(claimed: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"run_id": claimed["run"]["id"], "token": claimed["token"], **more}


def completion(claimed: dict[str, Any], work: dict[str, Any] | None = None) -> dict[str, Any]:
    plan, contents = planned(work_of(work or claimed["work"]))
    encoded = {digest: b64encode(content).decode() for digest, content in contents.items()}
    return held(claimed, plan=dump_plan(plan), contents=encoded)


def test_a_run_is_claimed_renewed_and_completed(api: ApiClient):
    api.tenant.commit(a=b"1", b=b"\x00\xff")
    claimed = claim(api)
    assert claimed["run"]["state"] == "fetching"
    renewed = api.ask(
        "POST",
        f"{V1}/work/heartbeat",
        json=held(claimed, phase="comparing", done=1, total=2),
    ).json()
    assert (renewed["cancel"], renewed["lease_until"] >= claimed["lease_until"]) == (False, True)
    assert api.get(f"{V1}/runs/{claimed['run']['id']}")["progress"] == 55
    ended = api.ask("POST", f"{V1}/work/complete", json=completion(claimed))
    assert ended.status_code == 200, ended.text
    assert (ended.json()["outcome"], ended.json()["pull"]) == ("changed", 1)
    assert api.tenant.contents(api.project) == {"a": b"1", "b": b"\x00\xff"}
    again = api.ask("POST", f"{V1}/work/complete", json=completion(claimed))
    assert code_of(again) == (409, "lease_lost")


def test_a_window_is_completed_with_what_is_left(api: ApiClient):
    api.tenant.commit(a=b"1")
    claimed = claim(api)
    api.ask("POST", f"{V1}/work/complete", json=completion(claimed))
    assert (claimed["work"]["window"], claimed["work"]["tip"]) == (None, None)
    for number in (b"2", b"3"):
        api.tenant.commit(a=number)
    request = RunRequest(window=Window(seconds=1, commits=None))
    api.services.runs.request(api.project.id, request, backend=BackendName.EXTERNAL)
    answer = api.ask("POST", f"{V1}/work/claim", json={"executor_id": "one"})
    claimed = answer.json()
    assert claimed["work"]["window"] == {"seconds": 1}
    plan, contents, window = planned_window(work_of(claimed["work"]))
    encoded = {digest: b64encode(content).decode() for digest, content in contents.items()}
    body = held(claimed, plan=dump_plan(plan), contents=encoded)
    sent = {"tip": window.tip, "left": 5}
    ended = api.ask("POST", f"{V1}/work/complete", json={**body, "window": sent})
    assert ended.json()["state"] == "succeeded"
    following = api.ask("POST", f"{V1}/work/claim", json={"executor_id": "one"}).json()
    assert following["work"]["tip"] == window.tip


def test_where_nothing_waits_nothing_is_claimed(api: ApiClient):
    url, body = f"{V1}/work/claim", {"executor_id": "one"}
    api.ask("POST", f"{api.url}/runs", json={})
    assert api.ask("POST", url, json=body).status_code == 204
    api.ask("POST", f"{api.url}/runs", json={"backend": "external"})
    taken = api.ask("POST", url, key=api.tenant_keys[Role.WRITER], json=body)
    assert taken.status_code == 200


def test_projects_may_be_named(api: ApiClient):
    api.ask("POST", f"{api.url}/runs", json={"backend": "external"})
    named = {"executor_id": "one", "project_ids": [str(api.project.id)]}
    assert api.ask("POST", f"{V1}/work/claim", json=named).status_code == 200


def test_a_wrong_token_moves_nothing(api: ApiClient):
    api.tenant.commit(a=b"1")
    claimed = claim(api)
    good = completion(claimed)
    for path, body in [
        ("heartbeat", held(claimed)),
        ("renew", held(claimed)),
        ("complete", good),
        ("complete", held(claimed, failure={"reason": "internal_error", "message": "x"})),
    ]:
        for token in ("guess", "größe"):
            refused = api.ask("POST", f"{V1}/work/{path}", json={**body, "token": token})
            assert code_of(refused) == (409, "lease_lost")
    assert api.tenant.contents(api.project) == {}
    assert api.ask("POST", f"{V1}/work/complete", json=good).status_code == 200


def test_a_token_alone_is_not_enough(api: ApiClient, other: GitTenant):
    api.tenant.commit(a=b"1")
    claimed = claim(api)
    stranger = new_key(api.services.database, other.tenant_id, Role.ADMIN)
    for path, body in [
        ("heartbeat", held(claimed)),
        ("renew", held(claimed)),
        ("complete", completion(claimed)),
    ]:
        for key, refusal in [
            (stranger, (404, "not_found")),
            (api.keys[None], (404, "not_found")),
            (api.keys[Role.READER], (403, "forbidden")),
        ]:
            assert code_of(api.ask("POST", f"{V1}/work/{path}", key=key, json=body)) == refusal
    assert api.tenant.contents(api.project) == {}


def test_a_stale_plan_is_made_again(api: ApiClient):
    api.tenant.commit(a=b"1")
    api.pull()
    api.tenant.commit(a=b"2")
    claimed = claim(api)
    stale = completion(claimed)
    api.put("a", b"2")
    assert code_of(api.ask("POST", f"{V1}/work/complete", json=stale)) == (409, "stale_plan")
    work = api.ask("POST", f"{V1}/work/renew", json=held(claimed)).json()
    fresh = api.ask("POST", f"{V1}/work/complete", json=completion(claimed, work))
    assert fresh.json()["outcome"] == "unchanged"


def test_what_does_not_fit_its_digest_is_refused(api: ApiClient):
    api.tenant.commit(a=b"1")
    body = completion(claim(api))
    for contents in ({}, dict.fromkeys(body["contents"], "eA==")):
        refused = api.ask("POST", f"{V1}/work/complete", json={**body, "contents": contents})
        assert code_of(refused) == (400, "invalid_value")
    for contents in (dict.fromkeys(body["contents"], "eA==!"), {"x": "eA=="}):
        refused = api.ask("POST", f"{V1}/work/complete", json={**body, "contents": contents})
        assert code_of(refused) == (422, "invalid_request")
    altered = {**body, "plan": body["plan"].replace('"a"', '"b"')}
    refused = api.ask("POST", f"{V1}/work/complete", json=altered)
    assert code_of(refused) == (400, "invalid_plan")
    assert api.tenant.contents(api.project) == {}


@pytest.mark.parametrize("reason", FAILURE_REASONS)
def test_a_failure_ends_the_run(api: ApiClient, reason: str):
    failure = {"reason": reason, "message": "so it was"}
    run = api.ask("POST", f"{V1}/work/complete", json=held(claim(api), failure=failure)).json()
    assert (run["state"], run["reason_code"]) == ("failed", reason)
    assert run["error"]["message"] == "so it was"


def test_a_reason_that_is_not_theirs_is_refused(api: ApiClient):
    failure = {"reason": "user_cancelled", "message": ""}
    answer = api.ask("POST", f"{V1}/work/complete", json=held(claim(api), failure=failure))
    assert code_of(answer) == (400, "invalid_value")


def test_a_heartbeat_returns_that_its_run_is_cancelled(api: ApiClient):
    claimed = claim(api)
    api.ask("POST", f"{V1}/runs/{claimed['run']['id']}/cancel")
    renewed = api.ask("POST", f"{V1}/work/heartbeat", json=held(claimed)).json()
    assert renewed["cancel"] is True
    failure = {"reason": "internal_error", "message": "stopped"}
    run = api.ask("POST", f"{V1}/work/complete", json=held(claimed, failure=failure)).json()
    assert run["state"] == "cancelled"


def test_contents_may_be_larger_than_other_bodies(api: ApiClient):
    content = bytes(api.services.settings.body_bytes)
    api.tenant.commit(a=content)
    ended = api.ask("POST", f"{V1}/work/complete", json=completion(claim(api)))
    assert ended.status_code == 200, ended.text
    assert api.tenant.contents(api.project) == {"a": content}
