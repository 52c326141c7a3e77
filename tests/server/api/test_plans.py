"""Plans that wait, conflicts and their close view, the log, undo."""

from __future__ import annotations

import shutil
from typing import Any
from uuid import uuid4

import pytest

from tests.server.api.stage import Stage, code_of
from towline.testing.git_server import Answers


def plan(stage: Stage, **body: Any) -> dict[str, Any]:
    answer = stage.ask("POST", f"{stage.url}/plans", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    assert answer.headers["location"].endswith(f"/plans/{made['id']}")
    return made


def apply(stage: Stage, made: dict[str, Any]) -> Any:
    return stage.ask("POST", f"{stage.url}/plans/{made['id']}/apply")


def conflict(stage: Stage) -> str:
    """A project in conflict; returns the asset's id."""
    stage.world.commit(**{"a.json": b'{"x": 1, "y": null}'})
    stage.pull()
    stage.put("a.json", b'{"x": 2, "y": null, "z": null}')
    stage.world.commit(**{"a.json": b'{"x": 3, "y": 0}'})
    run = stage.pull()
    assert run["result_class"] == "conflict"
    asset_id: str = run["report"]["conflicts"][0]["parties"][0]["asset_id"]
    return asset_id


def test_a_plan_is_shown_and_applied_later(stage: Stage):
    revision = stage.world.commit(rules__a=b"1")
    made = plan(stage)
    assert (made["revision"], made["refused"], made["is_noop"]) == (revision, False, False)
    assert stage.world.contents(stage.project) == {}
    assert stage.get(f"{stage.url}/plans/{made['id']}") == made
    assert [each["id"] for each in stage.get(f"{stage.url}/plans")["items"]] == [made["id"]]
    stage.world.commit(rules__a=b"2")
    applied = apply(stage, made)
    assert applied.status_code == 200
    assert applied.json() == {**made["report"], "pull": 1}
    assert stage.world.contents(stage.project) == {"rules/a": b"1"}
    assert code_of(apply(stage, made)) == (404, "not_found")


def test_a_plan_is_limited_and_resolved(stage: Stage):
    asset_id = conflict(stage)
    open_ = plan(stage)
    assert (open_["refused"], open_["report"]["status"]) == (True, "conflicts")
    assert code_of(apply(stage, open_)) == (409, "unresolved_conflicts")
    theirs = plan(stage, use_theirs=[asset_id])
    assert [item["path"] for item in theirs["report"]["overwritten"]] == ["a.json"]
    assert apply(stage, theirs).json()["status"] == "updated"
    assert plan(stage, kind="rule")["is_noop"] is True
    body = {"kind": "none"}
    answer = stage.ask("POST", f"{stage.url}/plans", json=body)
    assert code_of(answer) == (400, "unknown_kind")


def test_a_plan_goes_stale(stage: Stage):
    stage.world.commit(a=b"1")
    made = plan(stage)
    stage.put("a", b"mine")
    refused = apply(stage, made)
    assert code_of(refused) == (409, "stale_plan")
    assert stage.world.contents(stage.project) == {"a": b"mine"}


@pytest.mark.parametrize("what", ["kinds", "binding"])
def test_a_plan_of_another_project_of_that_name_goes_stale(stage: Stage, what: str):
    stage.world.commit(a=b"1")
    made = plan(stage)
    change: dict[str, Any] = {
        "kinds": [{"name": "rule", "globs": ["rules/**"]}],
        "binding": {"connection_id": str(stage.world.connection_id), "ref": "heads/next"},
    }
    assert stage.ask("PATCH", stage.url, json={what: change[what]}).status_code == 200
    assert code_of(apply(stage, made)) == (409, "stale_plan")
    assert stage.world.contents(stage.project) == {}


def test_a_plan_is_dropped(stage: Stage):
    stage.world.commit(a=b"1")
    url = f"{stage.url}/plans/{plan(stage)['id']}"
    assert stage.ask("DELETE", url).status_code == 204
    assert code_of(stage.ask("GET", url)) == (404, "not_found")
    assert code_of(stage.ask("DELETE", url)) == (404, "not_found")


def test_a_plan_is_of_its_own_project(stage: Stage):
    stage.world.commit(a=b"1")
    made = plan(stage)
    elsewhere = stage.world.project()
    key = stage.key(tenant_role=max(stage.tenant_keys, key=lambda role: role.rank))
    url = f"{stage.url.rpartition('/')[0]}/{elsewhere.id}/plans/{made['id']}"
    assert code_of(stage.ask("GET", url, key=key)) == (404, "not_found")
    assert code_of(stage.ask("POST", f"{url}/apply", key=key)) == (404, "not_found")


def lose_cache(stage: Stage) -> None:
    """What was fetched is not here, as on another server than the one that fetched it."""
    for cache in stage.bench.repositories._cache_dir.glob("*.git"):
        shutil.rmtree(cache)


def test_what_was_fetched_elsewhere_is_fetched_again(stage: Stage):
    stage.world.commit(a=b"1")
    made = plan(stage)
    lose_cache(stage)
    assert apply(stage, made).status_code == 200
    assert stage.world.contents(stage.project) == {"a": b"1"}


def test_a_key_makes_one_plan_and_applies_it_once(stage: Stage):
    stage.world.commit(a=b"1")
    headers = {"Idempotency-Key": "k"}
    made = [stage.ask("POST", f"{stage.url}/plans", headers=headers, json={}) for _ in range(2)]
    assert made[0].json() == made[1].json()
    url = f"{stage.url}/plans/{made[0].json()['id']}/apply"
    applied = [stage.ask("POST", url, headers=headers) for _ in range(2)]
    assert [each.status_code for each in applied] == [200, 200]
    assert applied[0].json() == applied[1].json()
    assert stage.get(f"{stage.url}/pulls")["total"] == 1


def test_the_remotes_failures_are_told(stage: Stage):
    stage.world.server.trouble = Answers(status=503)
    answer = stage.ask("POST", f"{stage.url}/plans", json={})
    assert code_of(answer) == (502, "remote_unavailable")
    assert str(stage.world.folder) not in answer.text


# --- conflicts --------------------------------------------------------------------------------


def test_a_conflict_is_told_field_by_field(stage: Stage):
    asset_id = conflict(stage)
    listed = stage.get(f"{stage.url}/conflicts")
    assert [each["kind"] for each in listed["conflicts"]] == ["content"]
    made = plan(stage)
    assert made["report"]["conflicts"] == listed["conflicts"]
    for url in (stage.url, f"{stage.url}/plans/{made['id']}"):
        view = stage.get(f"{url}/conflicts/{asset_id}")
        assert view["conflict"] == listed["conflicts"][0]
        [told] = view["explanations"]
        assert (told["asset_id"], told["format"]) == (asset_id, "json")
        assert told["fields"] == [
            {"pointer": "/x", "clashes": True, "base": 1, "ours": 2, "theirs": 3},
            {"pointer": "/y", "clashes": False, "base": None, "ours": None, "theirs": 0},
            {"pointer": "/z", "clashes": False, "ours": None},
        ]
        assert code_of(stage.ask("GET", f"{url}/conflicts/none")) == (404, "not_found")


def test_conflicts_and_status_are_the_same_on_every_server(stage: Stage):
    asset_id = conflict(stage)
    made = plan(stage)
    urls = [f"{stage.url}/{each}" for each in ("status", "conflicts", f"conflicts/{asset_id}")]
    urls.append(f"{stage.url}/plans/{made['id']}/conflicts/{asset_id}")
    for url in urls:
        before = stage.get(url)
        lose_cache(stage)
        assert stage.get(url) == before
    lose_cache(stage)
    stage.world.server.trouble = Answers(status=503)
    told = stage.get(urls[0])
    assert ([each["state"] for each in told["assets"]], bool(told["problem"])) == (
        ["modified-here"],
        True,
    )


def test_conflicts_are_looked_for_where_they_are_asked_for(stage: Stage):
    stage.world.commit(a=b"1")
    stage.pull()
    stage.put("a", b"ours")
    stage.world.commit(a=b"theirs")
    url = f"{stage.url}/conflicts"
    assert stage.get(url)["conflicts"] == []
    fresh = stage.get(f"{url}?fetch=true")
    assert [each["path"] for each in fresh["conflicts"]] == ["a"]
    assert stage.get(url) == fresh


def test_conflicts_after_a_plan_are_those_of_its_revision(stage: Stage):
    stage.world.commit(a=b"1")
    stage.pull()
    stage.put("a", b"ours")
    stage.world.commit(a=b"theirs")
    made, url = plan(stage), f"{stage.url}/conflicts"
    found = stage.get(url)
    assert found["conflicts"] == made["report"]["conflicts"] != []
    assert found["revision"] == made["revision"]
    assert stage.get(f"{stage.url}/status")["revision"] == made["revision"]
    [party] = found["conflicts"][0]["parties"]
    assert stage.get(f"{url}/{party['asset_id']}")["conflict"] == found["conflicts"][0]
    later = stage.world.commit(a=b"later")
    stage.pull()
    assert stage.get(url)["revision"] == later


def test_an_applied_plan_is_what_status_compares_with(stage: Stage):
    stage.world.commit(a=b"1")
    stage.pull()
    revision = stage.world.commit(a=b"2")
    assert apply(stage, plan(stage)).status_code == 200
    status = stage.get(f"{stage.url}/status")
    assert (status["base"], status["revision"]) == (revision, revision)
    assert [each["state"] for each in status["assets"]] == ["unchanged"]


def test_where_nothing_was_fetched_nothing_conflicts(stage: Stage):
    assert stage.get(f"{stage.url}/conflicts") == {"base": None, "revision": None, "conflicts": []}


def test_the_status_of_every_asset(stage: Stage):
    conflict(stage)
    stage.put("new", b"1")
    status = stage.get(f"{stage.url}/status")
    assert [(each["path"], each["state"]) for each in status["assets"]] == [
        ("a.json", "conflict"),
        ("new", "local-only"),
    ]
    assert (status["revision"], status["problem"]) == (stage.world.repository.tip("main"), "")
    stage.world.commit(**{"a.json": b"{}", "there": b"1"})
    fresh = stage.get(f"{stage.url}/status?fetch=true")
    assert "added-there" in [each["state"] for each in fresh["assets"]]
    assert stage.get(f"{stage.url}/status") == fresh


def test_a_project_bound_to_nothing_has_a_status(stage: Stage):
    stage.put("a", b"1")
    stage.ask("PATCH", stage.url, json={"binding": None})
    status = stage.get(f"{stage.url}/status")
    assert ([each["state"] for each in status["assets"]], bool(status["problem"])) == (
        ["local-only"],
        True,
    )
    for path in ("conflicts", "status?fetch=true"):
        assert code_of(stage.ask("GET", f"{stage.url}/{path}")) == (400, "not_associated")


# --- the log and undo -------------------------------------------------------------------------


def test_a_pull_is_taken_back(stage: Stage):
    for content in (b"1", b"2"):
        stage.world.commit(a=content)
        stage.pull()
    dry = stage.ask("POST", f"{stage.url}/undo", json={"dry_run": True}).json()
    assert stage.world.contents(stage.project) == {"a": b"2"}
    undone = stage.ask("POST", f"{stage.url}/undo").json()
    assert undone == {**dry, "pull": 3}
    assert stage.world.contents(stage.project) == {"a": b"1"}
    log = stage.get(f"{stage.url}/pulls")
    assert [(each["number"], each["kind"], each["undone"]) for each in log["items"]] == [
        (3, "undo", False),
        (2, "pull", True),
        (1, "pull", False),
    ]
    assert log["items"][0]["undoes"] == 2
    one = stage.get(f"{stage.url}/pulls/3")
    assert one["report"] == {name: undone[name] for name in one["report"]}
    assert code_of(stage.ask("GET", f"{stage.url}/pulls/4")) == (404, "not_found")
    assert stage.pull()["outcome"] == "changed"


def test_later_edits_are_not_trampled(stage: Stage):
    stage.world.commit(a=b"1")
    stage.pull()
    stage.put("a", b"mine")
    assert code_of(stage.ask("POST", f"{stage.url}/undo")) == (409, "undo_blocked")
    assert stage.world.contents(stage.project) == {"a": b"mine"}
    body = {"pull": 7}
    assert code_of(stage.ask("POST", f"{stage.url}/undo", json=body)) == (404, "unknown_pull")


def test_a_key_takes_back_one_pull(stage: Stage):
    for content in (b"1", b"2", b"3"):
        stage.world.commit(a=content)
        stage.pull()
    headers = {"Idempotency-Key": str(uuid4())}
    answers = [stage.ask("POST", f"{stage.url}/undo", headers=headers) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert stage.world.contents(stage.project) == {"a": b"2"}
