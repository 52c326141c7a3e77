"""Syncs run when triggered; their runs end, are cancelled and tried again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import update

from tests.server.dialects.syncs.client import Found, SyncsClient
from towline.kinds import Kind, Kinds
from towline_server.auth.roles import Role
from towline_server.projects.service import Projects
from towline_server.runs.states import TERMINAL, ReasonCode, ResultClass, RunState
from towline_server.runs.tables import RunRow

_TIMES = ("created", "started", "completed")
_ENDED = ("status", "resultClass", "resultReasonCode")


def _id(found: Found) -> UUID:
    return UUID(found["id"])


def _end(run: Found) -> tuple[Any, ...]:
    return tuple(run[name] for name in _ENDED)


# --- trigger ----------------------------------------------------------------------------------


def test_a_triggered_run_pulls(syncs: SyncsClient):
    sync = syncs.create()
    run = syncs.trigger(sync)
    assert (run["status"], run["syncId"], run["triggeredBy"]) == ("pending", sync["id"], "manual")
    assert (run["runMode"], run["executionMode"]) == ("incremental", "sequential")
    assert (run["attemptNumber"], run["attemptRootRunId"]) == (1, run["id"])
    assert (run["maxAutoResumeAttempts"], run["summary"], run["error"]) == (3, {}, None)
    assert (run["backendRunRef"], run["executorId"]) == (None, None)
    syncs.work()
    done = syncs.run(run)
    assert _end(done) == ("succeeded", "success", None)
    assert [item["path"] for item in done["summary"]["created"]] == ["rules/a", "tasks/b"]
    assert done["backendStatus"] == {"state": "succeeded", "progress": 100}
    assert (done["executorId"], done["backendRunRef"]) == ("one", run["id"])
    times = [datetime.fromisoformat(done[f"{name}At"]) for name in _TIMES]
    assert times == sorted(times)
    assert done["completedAt"] == done["updatedAt"]
    assert done["backendHeartbeatAt"] == done["lastHeartbeatAt"] is not None
    assert syncs.tenant.contents(syncs.project) == {"rules/a": b"1", "tasks/b": b"1"}
    assert _end(syncs.done(sync)) == ("succeeded", "no_change", None)
    assert syncs.get(sync)["lastSuccessAt"] is not None


def test_a_trigger_needs_no_body(syncs: SyncsClient):
    sync = syncs.create()
    syncs.ask("run", "POST", f"/{sync['id']}/trigger")
    syncs.ask("run", "POST", f"/{sync['id']}/trigger", json={"runMode": None})
    found = syncs.refused(422, "POST", f"/{sync['id']}/trigger", json={"runMode": "quick"})
    assert [loc for loc, _ in found] == [["body", "runMode"]]


def test_a_run_is_limited_to_the_entities(syncs: SyncsClient):
    syncs.tenant.commit(rules__a=b"1", tasks__b=b"1", c=b"1")
    syncs.done(syncs.create(entities=["rule"]))
    assert set(syncs.tenant.contents(syncs.project)) == {"rules/a"}
    syncs.done(syncs.create(entities=["rule", "task"]))
    assert set(syncs.tenant.contents(syncs.project)) == {"rules/a", "tasks/b"}
    syncs.done(syncs.create())
    assert set(syncs.tenant.contents(syncs.project)) == {"rules/a", "tasks/b", "c"}


def test_a_dry_run_changes_nothing(syncs: SyncsClient):
    sync = syncs.create()
    run = syncs.done(sync, runMode="dry_run")
    assert (run["runMode"], *_end(run)) == ("dry_run", "succeeded", "success", None)
    assert len(run["summary"]["created"]) == 2
    assert syncs.tenant.contents(syncs.project) == {}
    assert syncs.get(sync)["lastSuccessAt"] is None


def test_a_full_refresh_compares_again_and_discards_nothing(syncs: SyncsClient):
    sync = syncs.create()
    syncs.done(sync)
    syncs.tenant.edit(syncs.project, "rules/a", b"ours")
    assert _end(syncs.done(sync, runMode="full_refresh"))[0] == "succeeded"
    assert syncs.tenant.contents(syncs.project)["rules/a"] == b"ours"
    syncs.tenant.commit(rules__a=b"2", tasks__b=b"1")
    run = syncs.done(sync, runMode="full_refresh")
    assert (run["runMode"], *_end(run)) == (
        "full_refresh",
        "failed",
        "conflict",
        "unresolved_conflicts",
    )
    assert syncs.tenant.contents(syncs.project)["rules/a"] == b"ours"
    syncs.patch(sync, executionConfig={"on_conflict": "theirs"})
    assert _end(syncs.done(sync, runMode="full_refresh"))[1] == "success"
    assert syncs.tenant.contents(syncs.project)["rules/a"] == b"2"


def test_left_over_conflicts_follow_the_sync_else_the_project(syncs: SyncsClient):
    sync = syncs.create()
    syncs.done(sync)
    syncs.tenant.edit(syncs.project, "rules/a", b"ours")
    syncs.tenant.commit(rules__a=b"2", tasks__b=b"2")
    refused = syncs.done(sync)
    assert _end(refused) == ("failed", "conflict", "unresolved_conflicts")
    assert len(refused["summary"]["conflicts"]) == 1
    assert refused["error"] is not None
    assert syncs.get(sync)["lastError"] == refused["error"]
    syncs.patch(sync, executionConfig={"on_conflict": "skip"})
    assert _end(syncs.done(sync)) == ("succeeded", "partial_success", None)
    assert syncs.tenant.contents(syncs.project) == {"rules/a": b"ours", "tasks/b": b"2"}
    assert syncs.get(sync)["lastError"] is None


def test_a_run_a_kind_with_one_fetch(syncs: SyncsClient):
    syncs.tenant.commit(rules__a=b"1", tasks__b=b"1", c=b"1")
    sync = syncs.create(executionMode="fan_out_entity", entities=["rule", "task"])
    run = syncs.trigger(sync)
    assert run["executionMode"] == "fan_out_entity"
    syncs.work()
    assert _end(syncs.run(run)) == ("succeeded", "success", None)
    assert set(syncs.tenant.contents(syncs.project)) == {"rules/a", "tasks/b"}
    listed = syncs.runs(sync)
    assert [each["id"] for each in listed["runs"]] == [run["id"]], "children are not listed"
    children = syncs.runner.children(_id(run))
    assert [child.request.kind for child in children] == ["rule", "task"]
    assert len({child.target_revision for child in children}) == 1
    child = syncs.run({"id": str(children[0].id)})
    assert (child["executionMode"], child["syncId"]) == ("sequential", sync["id"])


def test_a_run_a_window_of_the_history(syncs: SyncsClient):
    sync = syncs.create(executionMode="fan_out_window", entities=["rule"])
    syncs.done(sync)
    for number in (b"2", b"3"):
        syncs.tenant.commit(rules__a=number, tasks__b=b"1")
    run = syncs.trigger(sync)
    assert (run["executionMode"], list(run["summary"])) == ("fan_out_window", ["runs"])
    syncs.work()
    done = syncs.run(run)
    assert (_end(done), done["summary"]["windows"]) == (
        ("succeeded", "success", None),
        {"pulled": 2, "remaining": 0},
    )
    assert [each["path"] for each in done["summary"]["updated"]] == ["rules/a"]
    assert [each["summary"]["windows"] for each in syncs.runs(sync)["runs"]] == [
        {"pulled": 2, "remaining": 0},
        {"pulled": 1, "remaining": 0},
    ]
    children = [syncs.run({"id": str(each.id)}) for each in syncs.runner.children(_id(run))]
    assert [each["executionMode"] for each in children] == ["sequential"] * 2
    assert all(len(each["summary"]["updated"]) == 1 for each in children)
    assert set(syncs.tenant.contents(syncs.project)) == {"rules/a"}
    assert syncs.get(sync)["lastSuccessAt"] == done["completedAt"]


def test_one_kind_alone_is_no_success_of_the_whole(syncs: SyncsClient):
    sync = syncs.create(executionMode="fan_out_entity", entities=["rule", "task"])
    run = syncs.trigger(sync)
    rules = Kinds((Kind(name="rule", globs=("rules/**",)),))
    with syncs.tenant.database.writing() as session:
        Projects(session).change(syncs.project.id, kinds=rules)
    syncs.work()
    ended = syncs.run(run)
    assert _end(ended) == ("failed", "partial_success", "validation_failed")
    assert set(syncs.tenant.contents(syncs.project)) == {"rules/a"}
    found = syncs.get(sync)
    assert (found["lastSuccessAt"], found["lastError"]) == (None, ended["error"])


def test_a_run_starts_when_an_executor_begins_it(syncs: SyncsClient):
    run = syncs.trigger(syncs.create())
    syncs.runner.age(60)
    syncs.work()
    done = syncs.run(run)
    created, started = (datetime.fromisoformat(done[name]) for name in ("createdAt", "startedAt"))
    assert started - created >= timedelta(seconds=60)


def test_an_archived_sync_is_not_triggered_and_a_paused_one_is(syncs: SyncsClient):
    archived = syncs.create(status="archived")
    found = syncs.refused(422, "POST", f"/{archived['id']}/trigger", json={})
    assert found == [(["path", "sync_id"], "the sync is archived")]
    syncs.trigger(syncs.create(status="paused"))


def test_another_backend_executes_what_is_for_it(syncs: SyncsClient):
    run = syncs.trigger(syncs.create(executionBackend="external"))
    assert (run["executionBackend"], syncs.runner.native.submitted) == ("external", [])


# --- how runs end -----------------------------------------------------------------------------


def _failing(syncs: SyncsClient) -> Found:
    """A sync whose runs fail for good: the branch is not there."""
    tenant = syncs.tenant
    project = tenant.project(ref="heads/none")
    syncs.key = syncs.api.key(Role.WRITER)
    return syncs.create(destinationConfig={"project": str(project.id)}, status="active")


def test_a_permanent_failure_turns_the_status_to_error(syncs: SyncsClient):
    sync = _failing(syncs)
    run = syncs.done(sync)
    assert _end(run) == ("failed", "permanent_failure", "validation_failed")
    assert run["error"] is not None
    failed = syncs.get(sync)
    assert (failed["status"], failed["lastError"]) == ("error", run["error"])
    assert syncs.names(status="error") == [sync["name"]]
    assert syncs.names(status="active") == []
    active = syncs.patch(sync, status="active")
    assert (active["status"], active["lastError"]) == ("active", run["error"])
    syncs.done(sync)
    assert syncs.get(sync)["status"] == "error"
    # A client may send back what it was shown: that sets nothing.
    assert syncs.patch(sync, status="error")["status"] == "error"
    syncs.tenant.repository.commit({"a": b"1"}, ref="none")
    assert _end(syncs.done(sync))[0] == "succeeded"
    healed = syncs.get(sync)
    assert (healed["status"], healed["lastError"]) == ("active", None)


def test_a_draft_that_fails_for_good_has_that_status_too(syncs: SyncsClient):
    sync = syncs.patch(_failing(syncs), status="draft")
    syncs.done(sync)
    assert syncs.get(sync)["status"] == "error"


def test_a_run_has_its_requester_and_its_canceller(syncs: SyncsClient):
    run = syncs.trigger(syncs.create())
    canceller, retrier = (syncs.api.key(Role.WRITER, syncs.project) for _ in range(2))
    cancelled = _cancel(syncs.as_key(canceller), run)
    again = _retry(syncs.as_key(retrier), run)
    assert cancelled["cancelRequestedBy"] == str(syncs.api.owner_of(canceller))
    asked = [syncs.runner.runs.get(_id(each)).trigger.requested_by for each in (run, again)]
    assert asked == [syncs.api.owner_of(key) for key in (syncs.key, retrier)]


def test_a_dry_run_that_fails_says_nothing_of_the_sync(syncs: SyncsClient):
    sync = _failing(syncs)
    assert _end(syncs.done(sync, runMode="dry_run"))[0] == "failed"
    assert (syncs.get(sync)["status"], syncs.get(sync)["lastError"]) == ("active", None)


def test_a_paused_sync_stays_paused(syncs: SyncsClient):
    sync = syncs.patch(_failing(syncs), status="paused")
    syncs.done(sync)
    assert syncs.get(sync)["status"] == "paused"


def test_a_remote_that_is_away(syncs: SyncsClient):
    tenant = syncs.tenant
    away = tenant.connect("http://127.0.0.1:1/repo.git")
    tenant.project(connection_id=away)
    syncs.key = syncs.api.key(Role.WRITER)
    sync = syncs.create(connectionId=str(away), status="active")
    assert _end(syncs.done(sync)) == ("failed", "retryable_failure", "remote_unreachable")
    assert syncs.get(sync)["status"] == "active", "trying again may help"


def test_every_state_and_end_has_its_words(syncs: SyncsClient):
    run = syncs.trigger(syncs.create())

    def shown(**values: str) -> Found:
        with syncs.tenant.database.writing() as session:
            session.execute(update(RunRow).values(**values))
        return syncs.run(run)

    for result in ResultClass:
        assert shown(result_class=str(result))["resultClass"] == result
    for reason in ReasonCode:
        assert shown(reason_code=str(reason))["resultReasonCode"] == reason
    words = {RunState.QUEUED: "pending", **{state: str(state) for state in TERMINAL}}
    for state in RunState:
        assert shown(state=str(state))["status"] == words.get(state, "running")


# --- list and get -----------------------------------------------------------------------------


def test_runs_come_in_pages_newest_first(syncs: SyncsClient):
    sync, other = syncs.create(), syncs.create()
    made = [syncs.trigger(sync)["id"] for _ in range(3)]
    syncs.trigger(other)
    page = syncs.runs(sync, limit=2)
    assert [run["id"] for run in page["runs"]] == [made[2], made[1]]
    assert (page["hasNext"], page["total"], page["limit"], page["offset"]) == (True, 3, 2, 0)
    last = syncs.runs(sync, limit=2, offset=2)
    assert [run["id"] for run in last["runs"]] == [made[0]]
    assert (last["hasNext"], syncs.runs(sync)["limit"]) == (False, 25)
    for query in ({"limit": 0}, {"limit": 101}, {"offset": -1}):
        found = syncs.refused(422, "GET", f"/{sync['id']}/runs", params=query)
        assert [loc for loc, _ in found] == [["query", next(iter(query))]]


def test_a_run_of_no_sync_is_not_there(syncs: SyncsClient):
    run = syncs.runner.runs.request(syncs.project.id)
    for method, path in (("GET", ""), ("POST", "/cancel"), ("POST", "/retry")):
        found = syncs.refused(404, method, f"/runs/{run.id}{path}")
        assert found == syncs.refused(404, method, f"/runs/{uuid4()}{path}")
    found = syncs.refused(422, "GET", "/runs/no-id")
    assert [loc for loc, _ in found] == [["path", "run_id"]]


# --- cancel -----------------------------------------------------------------------------------


def _cancel(syncs: SyncsClient, run: Found, **body: Any) -> Found:
    return syncs.ask("run", "POST", f"/runs/{run['id']}/cancel", json=body)


def test_a_run_that_waits_is_cancelled_at_once(syncs: SyncsClient):
    run = syncs.trigger(syncs.create())
    cancelled = _cancel(syncs, run, reason="not now")
    assert _end(cancelled) == ("cancelled", "cancelled", "user_cancelled")
    assert cancelled["cancelReason"] == "not now"
    assert cancelled["cancelRequestedAt"] == cancelled["completedAt"]
    assert cancelled["cancelRequestedBy"] is not None
    assert _cancel(syncs, run, reason="again") == cancelled
    syncs.work()
    assert syncs.run(run) == cancelled
    assert syncs.tenant.contents(syncs.project) == {}


def test_cancelling_what_has_ended_changes_nothing(syncs: SyncsClient):
    done = syncs.done(syncs.create())
    assert _cancel(syncs, done, reason="late") == done
    assert syncs.ask("run", "POST", f"/runs/{done['id']}/cancel") == done
    found = syncs.refused(422, "POST", f"/runs/{done['id']}/cancel", json={"reason": 5})
    assert [loc for loc, _ in found] == [["body", "reason"]]


# --- retry and resume -------------------------------------------------------------------------


def _retry(syncs: SyncsClient, run: Found, **body: Any) -> Found:
    return syncs.ask("run", "POST", f"/runs/{run['id']}/retry", json=body)


def test_a_retry_is_a_linked_attempt(syncs: SyncsClient):
    sync = syncs.create()
    first = syncs.done(sync)
    second = _retry(syncs, first)
    assert (second["triggeredBy"], second["triggerRef"]) == ("retry", first["id"])
    assert (second["attemptNumber"], second["syncId"]) == (2, sync["id"])
    assert second["attemptRootRunId"] == second["previousAttemptRunId"] == first["id"]
    assert syncs.run(first)["nextAttemptRunId"] == second["id"]
    assert _retry(syncs, first)["id"] == second["id"], "asked twice, it is made once"
    syncs.work()
    third = _retry(syncs, syncs.run(second), runMode="dry_run")
    assert (third["attemptNumber"], third["runMode"]) == (3, "dry_run")
    assert (third["attemptRootRunId"], third["previousAttemptRunId"]) == (first["id"], second["id"])
    assert syncs.runs(sync)["total"] == 3


def test_a_run_that_has_not_ended_is_not_tried_again(syncs: SyncsClient):
    run = syncs.trigger(syncs.create())
    [(_, msg)] = syncs.refused(409, "POST", f"/runs/{run['id']}/retry")
    assert run["id"] in msg
    cancelled = _cancel(syncs, run)
    assert _retry(syncs, cancelled)["status"] == "pending", "a user asked for it"
