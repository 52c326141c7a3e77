"""Syncs run: when triggered, by their schedule, on creation; cancelled, tried again, resumed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import update

from tests.server.dialects.syncs.office import Found, Office
from towline.kinds import Kind, Kinds
from towline.remotes.credentials import Credential
from towline_server.auth.roles import Role
from towline_server.projects.service import Projects
from towline_server.runs import tables
from towline_server.runs.leases import Lease
from towline_server.runs.states import TERMINAL, ReasonCode, ResultClass, RunState

_TIMES = ("created", "started", "completed")
_ENDED = ("status", "resultClass", "resultReasonCode")


def _id(found: Found) -> UUID:
    return UUID(found["id"])


def _end(run: Found) -> tuple[Any, ...]:
    return tuple(run[name] for name in _ENDED)


# --- trigger ----------------------------------------------------------------------------------


def test_a_triggered_run_pulls(office: Office):
    sync = office.create()
    run = office.trigger(sync)
    assert (run["status"], run["syncId"], run["triggeredBy"]) == ("pending", sync["id"], "manual")
    assert (run["runMode"], run["executionMode"]) == ("incremental", "sequential")
    assert (run["attemptNumber"], run["attemptRootRunId"]) == (1, run["id"])
    assert (run["maxAutoResumeAttempts"], run["summary"], run["error"]) == (3, {}, None)
    assert (run["backendRunRef"], run["executorId"]) == (None, None)
    office.work()
    done = office.run(run)
    assert _end(done) == ("succeeded", "success", None)
    assert [item["path"] for item in done["summary"]["created"]] == ["rules/a", "tasks/b"]
    assert done["backendStatus"] == {"state": "succeeded", "progress": 100}
    assert (done["executorId"], done["backendRunRef"]) == ("one", run["id"])
    times = [datetime.fromisoformat(done[f"{name}At"]) for name in _TIMES]
    assert times == sorted(times)
    assert done["completedAt"] == done["updatedAt"]
    assert done["backendHeartbeatAt"] == done["lastHeartbeatAt"] is not None
    assert office.world.contents(office.project) == {"rules/a": b"1", "tasks/b": b"1"}
    assert _end(office.done(sync)) == ("succeeded", "no_change", None)
    assert office.get(sync)["lastSuccessAt"] is not None


def test_a_trigger_needs_no_body(office: Office):
    sync = office.create()
    office.ask("run", "POST", f"/{sync['id']}/trigger")
    office.ask("run", "POST", f"/{sync['id']}/trigger", json={"runMode": None})
    found = office.refused(422, "POST", f"/{sync['id']}/trigger", json={"runMode": "quick"})
    assert [loc for loc, _ in found] == [["body", "runMode"]]


def test_a_run_is_limited_to_the_entities(office: Office):
    office.world.commit(rules__a=b"1", tasks__b=b"1", c=b"1")
    office.done(office.create(entities=["rule"]))
    assert set(office.world.contents(office.project)) == {"rules/a"}
    office.done(office.create(entities=["rule", "task"]))
    assert set(office.world.contents(office.project)) == {"rules/a", "tasks/b"}
    office.done(office.create())
    assert set(office.world.contents(office.project)) == {"rules/a", "tasks/b", "c"}


def test_a_dry_run_changes_nothing(office: Office):
    sync = office.create()
    run = office.done(sync, runMode="dry_run")
    assert (run["runMode"], *_end(run)) == ("dry_run", "succeeded", "success", None)
    assert len(run["summary"]["created"]) == 2
    assert office.world.contents(office.project) == {}
    assert office.get(sync)["lastSuccessAt"] is None


def test_a_full_refresh_compares_anew_and_discards_nothing(office: Office):
    sync = office.create()
    office.done(sync)
    office.world.edit(office.project, "rules/a", b"ours")
    assert _end(office.done(sync, runMode="full_refresh"))[0] == "succeeded"
    assert office.world.contents(office.project)["rules/a"] == b"ours"
    office.world.commit(rules__a=b"2", tasks__b=b"1")
    run = office.done(sync, runMode="full_refresh")
    assert (run["runMode"], *_end(run)) == (
        "full_refresh",
        "failed",
        "conflict",
        "unresolved_conflicts",
    )
    assert office.world.contents(office.project)["rules/a"] == b"ours"
    office.patch(sync, executionConfig={"on_conflict": "theirs"})
    assert _end(office.done(sync, runMode="full_refresh"))[1] == "success"
    assert office.world.contents(office.project)["rules/a"] == b"2"


def test_left_over_conflicts_follow_the_sync_else_the_project(office: Office):
    sync = office.create()
    office.done(sync)
    office.world.edit(office.project, "rules/a", b"ours")
    office.world.commit(rules__a=b"2", tasks__b=b"2")
    refused = office.done(sync)
    assert _end(refused) == ("failed", "conflict", "unresolved_conflicts")
    assert len(refused["summary"]["conflicts"]) == 1
    assert refused["error"] is not None
    assert office.get(sync)["lastError"] == refused["error"]
    office.patch(sync, executionConfig={"on_conflict": "skip"})
    assert _end(office.done(sync)) == ("succeeded", "partial_success", None)
    assert office.world.contents(office.project) == {"rules/a": b"ours", "tasks/b": b"2"}
    assert office.get(sync)["lastError"] is None


def test_a_run_a_kind_with_one_fetch(office: Office):
    office.world.commit(rules__a=b"1", tasks__b=b"1", c=b"1")
    sync = office.create(executionMode="fan_out_entity", entities=["rule", "task"])
    run = office.trigger(sync)
    assert run["executionMode"] == "fan_out_entity"
    office.work()
    assert _end(office.run(run)) == ("succeeded", "success", None)
    assert set(office.world.contents(office.project)) == {"rules/a", "tasks/b"}
    listed = office.runs(sync)
    assert [each["id"] for each in listed["runs"]] == [run["id"]], "children are not listed"
    children = office.bench.runs.children(_id(run))
    assert [child.request.kind for child in children] == ["rule", "task"]
    assert len({child.target_revision for child in children}) == 1
    child = office.run({"id": str(children[0].id)})
    assert (child["executionMode"], child["syncId"]) == ("sequential", sync["id"])


def test_one_kind_alone_is_no_success_of_the_whole(office: Office):
    sync = office.create(executionMode="fan_out_entity", entities=["rule", "task"])
    run = office.trigger(sync)
    rules = Kinds((Kind(name="rule", globs=("rules/**",)),))
    with office.world.database.writing() as session:
        Projects(session).change(office.project.id, kinds=rules)
    office.work()
    ended = office.run(run)
    assert _end(ended) == ("failed", "partial_success", "validation_failed")
    assert set(office.world.contents(office.project)) == {"rules/a"}
    found = office.get(sync)
    assert (found["lastSuccessAt"], found["lastError"]) == (None, ended["error"])


def test_a_run_starts_when_somebody_begins_it(office: Office):
    run = office.trigger(office.create())
    office.bench.age(60)
    office.work()
    done = office.run(run)
    created, started = (datetime.fromisoformat(done[name]) for name in ("createdAt", "startedAt"))
    assert started - created >= timedelta(seconds=60)


def test_an_archived_sync_is_not_triggered_and_a_paused_one_is(office: Office):
    archived = office.create(status="archived")
    found = office.refused(422, "POST", f"/{archived['id']}/trigger", json={})
    assert found == [(["path", "sync_id"], "the sync is archived")]
    office.trigger(office.create(status="paused"))


def test_another_backend_executes_what_is_for_it(office: Office):
    run = office.trigger(office.create(executionBackend="external"))
    assert (run["executionBackend"], office.bench.shelf.handed) == ("external", [])


# --- how runs end -----------------------------------------------------------------------------


def _failing(office: Office) -> Found:
    """A sync whose runs fail for good: the branch is not there."""
    world = office.world
    project = world.project(ref="heads/none")
    office.key = office.desk.key(Role.WRITER)
    return office.create(destinationConfig={"project": str(project.id)}, status="active")


def test_a_permanent_failure_turns_the_status_to_error(office: Office):
    sync = _failing(office)
    run = office.done(sync)
    assert _end(run) == ("failed", "permanent_failure", "validation_failed")
    assert run["error"] is not None
    failed = office.get(sync)
    assert (failed["status"], failed["lastError"]) == ("error", run["error"])
    assert office.names(status="error") == [sync["name"]]
    assert office.names(status="active") == []
    active = office.patch(sync, status="active")
    assert (active["status"], active["lastError"]) == ("active", run["error"])
    office.done(sync)
    assert office.get(sync)["status"] == "error"
    # A client may send back what it was told: that sets nothing.
    assert office.patch(sync, status="error")["status"] == "error"
    office.world.repository.commit({"a": b"1"}, ref="none")
    assert _end(office.done(sync))[0] == "succeeded"
    healed = office.get(sync)
    assert (healed["status"], healed["lastError"]) == ("active", None)


def test_a_draft_that_fails_for_good_is_told_so_too(office: Office):
    sync = office.patch(_failing(office), status="draft")
    office.done(sync)
    assert office.get(sync)["status"] == "error"


def test_who_asked_and_who_cancelled_is_kept(office: Office):
    run = office.trigger(office.create())
    canceller, retrier = (office.desk.key(Role.WRITER, office.project) for _ in range(2))
    cancelled = _cancel(office.as_key(canceller), run)
    again = _retry(office.as_key(retrier), run)
    assert cancelled["cancelRequestedBy"] == str(office.desk.owner_of(canceller))
    asked = [office.bench.runs.get(_id(each)).origin.requested_by for each in (run, again)]
    assert asked == [office.desk.owner_of(key) for key in (office.key, retrier)]


def test_a_dry_run_that_fails_says_nothing_of_the_sync(office: Office):
    sync = _failing(office)
    assert _end(office.done(sync, runMode="dry_run"))[0] == "failed"
    assert (office.get(sync)["status"], office.get(sync)["lastError"]) == ("active", None)


def test_a_paused_sync_stays_paused(office: Office):
    sync = office.patch(_failing(office), status="paused")
    office.done(sync)
    assert office.get(sync)["status"] == "paused"


def test_a_remote_that_wants_another_credential(office: Office):
    world = office.world
    world.server.credential = Credential("demo", "right")
    wrong = world.connect(f"{world.server.url}/repo.git", Credential("demo", "wrong"))
    world.project(connection_id=wrong)
    office.key = office.desk.key(Role.WRITER)
    sync = office.create(connectionId=str(wrong), status="active")
    assert _end(office.done(sync)) == ("failed", "permanent_failure", "auth_error")
    assert office.get(sync)["status"] == "error"


def test_a_remote_that_is_away(office: Office):
    world = office.world
    away = world.connect("http://127.0.0.1:1/repo.git")
    world.project(connection_id=away)
    office.key = office.desk.key(Role.WRITER)
    sync = office.create(connectionId=str(away), status="active")
    assert _end(office.done(sync)) == ("failed", "retryable_failure", "remote_unreachable")
    assert office.get(sync)["status"] == "active", "trying again may help"


def test_every_state_and_end_has_its_words(office: Office):
    run = office.trigger(office.create())

    def told(**values: str) -> Found:
        with office.world.database.writing() as session:
            session.execute(update(tables.Run).values(**values))
        return office.run(run)

    for result in ResultClass:
        assert told(result_class=str(result))["resultClass"] == result
    for reason in ReasonCode:
        assert told(reason_code=str(reason))["resultReasonCode"] == reason
    words = {RunState.QUEUED: "pending", **{state: str(state) for state in TERMINAL}}
    for state in RunState:
        assert told(state=str(state))["status"] == words.get(state, "running")


# --- list and get -----------------------------------------------------------------------------


def test_runs_come_in_pages_newest_first(office: Office):
    sync, other = office.create(), office.create()
    made = [office.trigger(sync)["id"] for _ in range(3)]
    office.trigger(other)
    page = office.runs(sync, limit=2)
    assert [run["id"] for run in page["runs"]] == [made[2], made[1]]
    assert (page["hasNext"], page["total"], page["limit"], page["offset"]) == (True, 3, 2, 0)
    last = office.runs(sync, limit=2, offset=2)
    assert [run["id"] for run in last["runs"]] == [made[0]]
    assert (last["hasNext"], office.runs(sync)["limit"]) == (False, 25)
    for query in ({"limit": 0}, {"limit": 101}, {"offset": -1}):
        found = office.refused(422, "GET", f"/{sync['id']}/runs", params=query)
        assert [loc for loc, _ in found] == [["query", next(iter(query))]]


def test_a_run_of_no_sync_is_not_there(office: Office):
    run = office.bench.runs.request(office.project.id)
    for method, path in (("GET", ""), ("POST", "/cancel"), ("POST", "/retry")):
        found = office.refused(404, method, f"/runs/{run.id}{path}")
        assert found == office.refused(404, method, f"/runs/{uuid4()}{path}")
    found = office.refused(422, "GET", "/runs/no-id")
    assert [loc for loc, _ in found] == [["path", "run_id"]]


# --- cancel -----------------------------------------------------------------------------------


def _cancel(office: Office, run: Found, **body: Any) -> Found:
    return office.ask("run", "POST", f"/runs/{run['id']}/cancel", json=body)


def test_a_run_that_waits_is_cancelled_at_once(office: Office):
    run = office.trigger(office.create())
    cancelled = _cancel(office, run, reason="not now")
    assert _end(cancelled) == ("cancelled", "cancelled", "user_cancelled")
    assert cancelled["cancelReason"] == "not now"
    assert cancelled["cancelRequestedAt"] == cancelled["completedAt"]
    assert cancelled["cancelRequestedBy"] is not None
    assert _cancel(office, run, reason="again") == cancelled
    office.work()
    assert office.run(run) == cancelled
    assert office.world.contents(office.project) == {}


def test_a_run_under_way_stops_before_its_commit(office: Office):
    sync = office.create()
    run = office.trigger(sync)
    office.bench.shelf.handed.clear()
    with office.bench.standing(_id(run), "applying"):
        assert office.run(run)["status"] == "running"
        cancelling = _cancel(office, run)
        assert (cancelling["status"], cancelling["cancelReason"]) == ("cancelling", None)
        assert _cancel(office, run)["status"] == "cancelling"
    assert _end(office.run(run)) == ("cancelled", "cancelled", "user_cancelled")
    office.bench.reaper.sweep()
    assert office.runs(sync)["total"] == 1, "a cancelled run does not start again"
    assert office.world.contents(office.project) == {}


def test_cancelling_what_has_ended_changes_nothing(office: Office):
    done = office.done(office.create())
    assert _cancel(office, done, reason="late") == done
    assert office.ask("run", "POST", f"/runs/{done['id']}/cancel") == done
    found = office.refused(422, "POST", f"/runs/{done['id']}/cancel", json={"reason": 5})
    assert [loc for loc, _ in found] == [["body", "reason"]]


def test_cancelling_a_run_cancels_what_it_comprises(office: Office):
    run = office.trigger(office.create(executionMode="fan_out_entity"))
    assert _end(_cancel(office, run))[0] == "cancelled"
    children = office.bench.runs.children(_id(run))
    assert {child.state for child in children} == {RunState.CANCELLED}


# --- retry and resume -------------------------------------------------------------------------


def _retry(office: Office, run: Found, **body: Any) -> Found:
    return office.ask("run", "POST", f"/runs/{run['id']}/retry", json=body)


def test_a_retry_is_a_linked_attempt(office: Office):
    sync = office.create()
    first = office.done(sync)
    second = _retry(office, first)
    assert (second["triggeredBy"], second["triggerRef"]) == ("retry", first["id"])
    assert (second["attemptNumber"], second["syncId"]) == (2, sync["id"])
    assert second["attemptRootRunId"] == second["previousAttemptRunId"] == first["id"]
    assert office.run(first)["nextAttemptRunId"] == second["id"]
    assert _retry(office, first)["id"] == second["id"], "asked twice, it is made once"
    office.work()
    third = _retry(office, office.run(second), runMode="dry_run")
    assert (third["attemptNumber"], third["runMode"]) == (3, "dry_run")
    assert (third["attemptRootRunId"], third["previousAttemptRunId"]) == (first["id"], second["id"])
    assert office.runs(sync)["total"] == 3


def test_a_run_that_has_not_ended_is_not_tried_again(office: Office):
    run = office.trigger(office.create())
    [(_, msg)] = office.refused(409, "POST", f"/runs/{run['id']}/retry")
    assert run["id"] in msg
    cancelled = _cancel(office, run)
    assert _retry(office, cancelled)["status"] == "pending", "somebody asked for it"


def test_a_lost_lease_is_resumed_by_a_linked_attempt(office: Office):
    sync = office.create()
    run = office.trigger(sync)
    assert isinstance(office.bench.leases.take(_id(run), "dead"), Lease)
    office.bench.lapse()
    office.bench.reaper.sweep()
    lost = office.run(run)
    assert _end(lost) == ("failed", "retryable_failure", "heartbeat_timeout")
    following = office.run({"id": lost["nextAttemptRunId"]})
    assert (following["triggeredBy"], following["attemptNumber"]) == ("auto_resume", 2)
    assert following["previousAttemptRunId"] == following["attemptRootRunId"] == run["id"]
    office.work()
    assert _end(office.run(following)) == ("succeeded", "success", None)
    assert office.get(sync)["lastError"] is None
