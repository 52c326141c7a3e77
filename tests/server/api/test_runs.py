"""Runs through the native API."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.server.api.stage import V1, Stage, code_of
from towline_server.auth.roles import Role


def test_a_run_pulls(stage: Stage):
    revision = stage.world.commit(rules__a=b"1", tasks__b=b"2")
    run = stage.pull()
    assert (run["state"], run["outcome"], run["progress"]) == ("succeeded", "changed", 100)
    assert (run["target_revision"], run["is_initial"], run["pull"]) == (revision, True, 1)
    assert [item["path"] for item in run["report"]["created"]] == ["rules/a", "tasks/b"]
    assert stage.world.contents(stage.project) == {"rules/a": b"1", "tasks/b": b"2"}


def test_a_run_does_as_it_is_told(stage: Stage):
    stage.world.commit(rules__a=b"1", tasks__b=b"1")
    dry = stage.pull(mode="dry_run")
    assert (dry["outcome"], dry["pull"]) == ("changed", None)
    assert stage.world.contents(stage.project) == {}
    partial = stage.pull(kind="rule")
    assert set(stage.world.contents(stage.project)) == {"rules/a"}
    behind = [(item["path"], item["behind"]) for item in partial["report"]["behind"]]
    assert behind == [("tasks/b", "left_out")]
    assert stage.pull(only={"globs": ["task"]})["error"]["code"] == "unknown_assets"
    stage.pull(only={"globs": ["tasks/**"]})
    assert set(stage.world.contents(stage.project)) == {"rules/a", "tasks/b"}
    stage.put("rules/a", b"ours")
    stage.world.commit(rules__a=b"theirs", tasks__b=b"1")
    refused = stage.pull()
    assert (refused["state"], refused["result_class"]) == ("failed", "conflict")
    assert refused["report"]["conflicts"][0]["kind"] == "content"
    asset_id = refused["report"]["conflicts"][0]["parties"][0]["asset_id"]
    ours = stage.pull(use_ours=[asset_id])
    assert ours["report"]["ignored"][0]["reason"] == "declined"
    assert stage.world.contents(stage.project)["rules/a"] == b"ours"


def test_a_failure_is_told(stage: Stage):
    run = stage.pull()
    assert (run["state"], run["result_class"]) == ("failed", "permanent_failure")
    assert (run["error"]["code"], run["error"]["fault"]) == ("empty_repository", "remote")
    assert str(stage.world.folder) not in str(run)


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({"mode": "sideways"}, (422, "invalid_request")),
        ({"unknown": 1}, (422, "invalid_request")),
        ({"allow_empty": 1}, (422, "invalid_request")),
        ({"allow_empty": "true"}, (422, "invalid_request")),
        ({"only": {"ids": [""]}}, (422, "invalid_request")),
        ({"use_ours": ["x"], "use_theirs": ["x"]}, (400, "conflicting_resolutions")),
        ({"kind": "rule", "only": {"kinds": ["task"]}}, (400, "invalid_value")),
        ({"backend": "temporal"}, (400, "backend_not_configured")),
    ],
)
def test_a_bad_request_starts_nothing(stage: Stage, body: dict[str, object], refusal):
    assert code_of(stage.ask("POST", f"{stage.url}/runs", json=body)) == refusal
    assert stage.get(f"{stage.url}/runs")["total"] == 0


def test_a_key_starts_one_run(stage: Stage):
    headers = {"Idempotency-Key": "one"}
    answers = [stage.ask("POST", f"{stage.url}/runs", headers=headers, json={}) for _ in range(2)]
    assert answers[0].json()["id"] == answers[1].json()["id"]
    assert answers[0].headers["location"] == answers[1].headers["location"]
    other = stage.ask("POST", f"{stage.url}/runs", headers=headers, json={"mode": "dry_run"})
    assert code_of(other) == (422, "idempotency_key_reused")
    assert stage.get(f"{stage.url}/runs")["total"] == 1


def test_lists_are_filtered_and_paged(stage: Stage):
    stage.world.commit(a=b"1")
    ended = [stage.pull()["id"] for _ in range(2)]
    waiting = stage.ask("POST", f"{stage.url}/runs", json={}).json()["id"]
    hidden = stage.bench.runs.request(stage.world.project().id)

    def ids(url: str, key: str | None = None) -> list[str]:
        return [each["id"] for each in stage.get(url, key=key)["items"]]

    assert set(ids(f"{stage.url}/runs")) == {*ended, waiting}
    assert ids(f"{stage.url}/runs?state=queued&state=failed") == [waiting]
    assert "report" not in stage.get(f"{stage.url}/runs")["items"][0]
    assert set(ids(f"{V1}/runs", stage.keys[Role.READER])) == {*ended, waiting}
    every = ids(f"{V1}/runs", stage.tenant_keys[Role.READER])
    assert set(every) == {*ended, waiting, str(hidden.id)}
    assert ids(f"{V1}/runs", stage.keys[None]) == []
    page = stage.get(f"{stage.url}/runs?limit=2&offset=2")
    assert (len(page["items"]), page["total"], page["has_next"]) == (1, 3, False)


def test_a_waiting_run_is_cancelled_and_tried_again(stage: Stage):
    stage.world.commit(a=b"1")
    url = stage.ask("POST", f"{stage.url}/runs", json={}).headers["location"]
    assert code_of(stage.ask("POST", f"{url}/retry")) == (409, "run_not_ended")
    cancelled = stage.ask("POST", f"{url}/cancel", json={"reason": "not now"}).json()
    assert (cancelled["state"], cancelled["reason_code"]) == ("cancelled", "user_cancelled")
    assert stage.ask("POST", f"{url}/cancel").json() == cancelled
    again = stage.ask("POST", f"{url}/retry", json={"mode": "full_refresh"})
    assert again.status_code == 202
    following = again.json()
    assert (following["attempt"], following["mode"]) == (2, "full_refresh")
    assert following["previous_attempt_id"] == cancelled["id"]
    stage.bench.worker().execute(UUID(following["id"]))
    attempts = stage.get(f"{url}/attempts")
    assert [each["state"] for each in attempts] == ["cancelled", "succeeded"]
