"""The Connections dialect: every answer is validated against the schema of the product's page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.server.dialects.page_schema import PageSchema
from tests.server.dialects.tenant_client import TenantClient, bearer
from tests.server.runs.bench import Bench
from tests.server.runs.world import World
from towline.kinds import Kind, Kinds
from towline.options import OnConflict
from towline.remotes.credentials import Credential
from towline.testing.git_server import GitServer
from towline_server.auth.roles import Role
from towline_server.projects.domain import Binding
from towline_server.projects.service import Projects
from towline_server.runs.domain import Origin, RunMode, RunRequest, TriggeredBy
from towline_server.runs.service import Runs

SCHEMA = PageSchema("connections")
ONE_KIND = Kinds((Kind(name="file", globs=("**",)),))


def _sync(tenant: TenantClient, key: str, connection_id: object = None) -> Any:
    wanted = connection_id or tenant.world.connection_id
    url = f"/v2/integrations/connections/{wanted}/sync"
    return tenant.client.post(url, headers=bearer(key))


def _list(tenant: TenantClient, key: str, **query: int) -> list[Mapping[str, Any]]:
    url = f"/v2/integrations/connections/{tenant.world.connection_id}/syncs"
    answer = tenant.client.get(url, headers=bearer(key), params=query)
    SCHEMA.check("syncs", answer.json())
    found: list[Mapping[str, Any]] = answer.json()
    return found


def _get(tenant: TenantClient, key: str, sync_id: object) -> Mapping[str, Any]:
    answer = tenant.client.get(f"/v2/integrations/syncs/{sync_id}", headers=bearer(key))
    assert answer.status_code == 200
    SCHEMA.check("sync", answer.json())
    found: Mapping[str, Any] = answer.json()
    return found


def _cancel(tenant: TenantClient, key: str, sync_id: object) -> Mapping[str, Any]:
    answer = tenant.client.post(f"/v2/integrations/syncs/{sync_id}/cancel", headers=bearer(key))
    assert answer.status_code == 200
    SCHEMA.check("sync", answer.json())
    found: Mapping[str, Any] = answer.json()
    return found


def test_a_sync_a_kind_in_one_batch(tenant: TenantClient, world: World):
    world.commit(rules__a=b"1", tasks__b=b"1", c=b"1")
    project = world.project()
    key = tenant.key(Role.WRITER, project)
    answer = _sync(tenant, key)
    asked = answer.json()
    assert answer.status_code == 200
    SCHEMA.check("syncs", asked)
    assert [each["model_id"] for each in asked] == ["rule", "task", "file"]
    assert len({each["batch_id"] for each in asked}) == 1
    assert asked[0]["batch_id"] is not None
    assert [(each["status"], each["attempt"]) for each in asked] == [("scheduled", 0)] * 3
    ended = [_get(tenant, key, each["id"]) for each in asked]
    assert [(each["status"], each["attempt"]) for each in ended] == [("complete", 1)] * 3
    assert world.contents(project) == {"rules/a": b"1", "tasks/b": b"1", "c": b"1"}
    tip = world.repository.tip("main")
    assert {each["pagination_state"]["target_revision"] for each in ended} == {tip}


def test_null_is_where_the_seed_says_null(tenant: TenantClient, world: World):
    world.commit(a=b"1")
    key = tenant.key(Role.WRITER, world.project(kinds=ONE_KIND))
    asked = _sync(tenant, key).json()[0]
    nulls = {name for name, value in asked.items() if value is None}
    assert nulls == {
        "modified_at",
        "completed_at",
        "entity_id",
        "error",
        "file_id",
        "started_at",
        "timerange_end",
        "timerange_start",
    }
    ended = _get(tenant, key, asked["id"])
    nulls = {name for name, value in ended.items() if value is None}
    assert nulls == {"entity_id", "error", "file_id", "timerange_start"}


def test_the_time_range_is_that_of_the_commits(tenant: TenantClient, world: World):
    project = world.project(kinds=ONE_KIND)
    key = tenant.key(Role.WRITER, project)
    world.repository.commit({"a": b"1"}, time=1_700_000_000)
    _sync(tenant, key)
    world.repository.commit({"a": b"2"}, time=1_700_000_500)
    [asked] = _sync(tenant, key).json()
    ended = _get(tenant, key, asked["id"])
    starts, ends = (datetime.fromisoformat(ended[f"timerange_{at}"]) for at in ("start", "end"))
    assert (starts.timestamp(), ends.timestamp()) == (1_700_000_000, 1_700_000_500)
    assert [each["is_initial_sync"] for each in _list(tenant, key)] == [False, True]


def test_what_a_schedule_asks_for_is_not_one_off(tenant: TenantClient, world: World, inline: Runs):
    world.commit(a=b"1")
    project = world.project()
    key = tenant.key(Role.READER, project)
    scheduled = Origin(by=TriggeredBy.SCHEDULED, schedule_id=uuid4())
    inline.request_kinds(project.id, ["rule"], origin=scheduled)
    inline.request_kinds(project.id, ["task"])
    assert [each["is_one_off"] for each in _list(tenant, key)] == [True, False]


def test_lists_hold_the_syncs_of_their_connection(tenant: TenantClient, world: World, inline: Runs):
    world.commit(a=b"1")
    project = world.project()
    elsewhere = world.project(connection_id=world.connect(f"{world.server.url}/repo.git"))
    key = tenant.key(Role.WRITER)
    asked = [each["id"] for each in _sync(tenant, key).json()]
    inline.request_kinds(elsewhere.id, ["rule"])
    inline.request(project.id)
    inline.request(project.id, RunRequest(kind="rule", mode=RunMode.DRY_RUN))
    assert [each["id"] for each in _list(tenant, key)] == asked
    assert [each["id"] for each in _list(tenant, key, limit=1, offset=1)] == asked[1:2]
    hidden = [run.id for run in inline.page(_everything()).runs if str(run.id) not in asked]
    assert len(hidden) == 3
    answers = [tenant.client.get(_url(run_id), headers=bearer(key)) for run_id in hidden]
    # What pulls every kind, or writes nothing, is no sync.
    assert sorted(answer.status_code for answer in answers) == [200, 404, 404]


def test_a_list_shows_neither_other_projects_nor_what_a_project_pulled_from_elsewhere(
    tenant: TenantClient, world: World, inline: Runs
):
    world.commit(a=b"1")
    project, hidden = world.project(kinds=ONE_KIND), world.project(kinds=ONE_KIND)
    inline.request_kinds(hidden.id, ["file"])
    key = tenant.key(Role.WRITER, project)
    [before] = _sync(tenant, key).json()
    assert [each["id"] for each in _list(tenant, key)] == [before["id"]]
    other = world.connect(f"{world.server.url}/repo.git")
    with world.database.writing() as session:
        Projects(session).bind(project.id, Binding(connection_id=other))
    [after] = _sync(tenant, key, other).json()
    url = f"/v2/integrations/connections/{other}/syncs"
    listed = tenant.client.get(url, headers=bearer(key)).json()
    assert [each["id"] for each in listed] == [after["id"]]


def _everything() -> Any:
    from towline_server.runs.tables import RunFilter

    return RunFilter()


def _url(sync_id: object) -> str:
    return f"/v2/integrations/syncs/{sync_id}"


def test_every_project_behind_a_connection_is_synced(tenant: TenantClient, world: World):
    world.commit(a=b"1")
    projects = {str(world.project(kinds=ONE_KIND).id) for _ in range(2)}
    asked = _sync(tenant, tenant.key(Role.WRITER)).json()
    assert len(asked) == 2
    assert len({each["batch_id"] for each in asked} - {None}) == 1
    assert {each["pagination_state"]["project_id"] for each in asked} == projects


def test_failures_are_told(tenant: TenantClient, world: World, inline: Runs):
    world.commit(a=b"1")
    key = tenant.key(Role.WRITER, world.project(ref="heads/none", kinds=ONE_KIND))
    failed = _get(tenant, key, _sync(tenant, key).json()[0]["id"])
    assert (failed["status"], failed["attempt"]) == ("failed", 1)
    assert "heads/none" in failed["error"]
    assert failed["pagination_state"]["target_revision"] is None


# --- waiting and running ----------------------------------------------------------------------


@pytest.mark.parametrize("boundary", ["fetching", "comparing", "validating", "applying"])
def test_a_sync_waits_runs_and_ends(
    queueing_tenant: TenantClient, world: World, bench: Bench, boundary: str
):
    world.commit(a=b"1")
    key = queueing_tenant.key(Role.WRITER, world.project(kinds=ONE_KIND))
    [asked] = _sync(queueing_tenant, key).json()
    assert asked["status"] == "scheduled"
    assert _get(queueing_tenant, key, asked["id"])["status"] == "queued"
    with bench.standing(bench.shelf.handed[0], boundary):
        running = _get(queueing_tenant, key, asked["id"])
    assert (running["status"], running["attempt"]) == ("running", 1)
    assert running["pagination_state"]["phase"] == boundary
    assert running["completed_at"] is None
    ended = _get(queueing_tenant, key, asked["id"])
    assert (ended["status"], ended["attempt"]) == ("complete", 1)
    assert ended["created_at"] <= ended["started_at"] <= ended["completed_at"]


def test_a_lost_sync_waits_to_be_tried_again(
    queueing_tenant: TenantClient, world: World, bench: Bench
):
    world.commit(a=b"1")
    key = queueing_tenant.key(Role.WRITER, world.project(kinds=ONE_KIND))
    [asked] = _sync(queueing_tenant, key).json()
    with bench.standing(bench.shelf.handed[0], "comparing"):
        bench.lapse()
        bench.reaper.sweep()
        waiting = _get(queueing_tenant, key, asked["id"])
        assert (waiting["status"], waiting["attempt"]) == ("pending_retry", 1)
        assert waiting["error"] == "the executor stopped answering"
        assert waiting["completed_at"] is None
        assert waiting["batch_id"] == asked["batch_id"]
        # One sync, whatever was tried.
        assert [each["id"] for each in _list(queueing_tenant, key)] == [asked["id"]]
    bench.worker("two").execute(bench.shelf.handed[1])
    ended = _get(queueing_tenant, key, asked["id"])
    assert (ended["status"], ended["attempt"], ended["error"]) == ("complete", 2, None)
    assert ended["created_at"] == asked["created_at"]


def test_cancelling_is_idempotent(queueing_tenant: TenantClient, world: World, bench: Bench):
    world.commit(rules__a=b"1", tasks__b=b"1")
    key = queueing_tenant.key(Role.WRITER, world.project())
    running, waiting, _ = _sync(queueing_tenant, key).json()
    assert _cancel(queueing_tenant, key, waiting["id"])["status"] == "cancelled"
    with bench.standing(bench.shelf.handed[0], "comparing"):
        assert _cancel(queueing_tenant, key, running["id"])["status"] == "running"
    ended = _get(queueing_tenant, key, running["id"])
    assert (ended["status"], ended["error"]) == ("cancelled", None)
    assert _cancel(queueing_tenant, key, running["id"]) == ended


def test_a_lost_sync_is_cancelled_by_its_first_id(
    queueing_tenant: TenantClient, world: World, bench: Bench
):
    world.commit(a=b"1")
    key = queueing_tenant.key(Role.WRITER, world.project(kinds=ONE_KIND))
    [asked] = _sync(queueing_tenant, key).json()
    with bench.standing(bench.shelf.handed[0], "comparing"):
        bench.lapse()
        bench.reaper.sweep()
        assert _cancel(queueing_tenant, key, asked["id"])["status"] == "cancelled"


def test_a_sync_that_is_tried_again_tells_of_its_last_attempt(
    queueing_tenant: TenantClient, world: World, bench: Bench
):
    project = world.project(kinds=ONE_KIND)
    key = queueing_tenant.key(Role.WRITER, project)

    def pull(number: int) -> str:
        world.repository.commit({"a": str(number).encode()}, time=number * 1000)
        [made] = _sync(queueing_tenant, key).json()
        bench.work()
        return str(made["id"])

    pull(1)
    world.edit(project, "a", b"ours")
    asked = pull(2)
    failed = _get(queueing_tenant, key, asked)
    assert failed["status"] == "failed"
    theirs = RunRequest(on_conflict=OnConflict.THEIRS)
    bench.runs.request(project.id, theirs)
    bench.work()
    world.repository.commit({"a": b"3"}, time=3000)
    again = bench.runs.retry(UUID(asked))
    waiting = _get(queueing_tenant, key, asked)
    assert (waiting["status"], waiting["attempt"], waiting["completed_at"]) == ("queued", 1, None)
    with bench.standing(again.id, "comparing"):
        bench.lapse()
        bench.reaper.sweep()
        lost = _get(queueing_tenant, key, asked)
    assert (lost["status"], lost["attempt"]) == ("pending_retry", 2)
    assert lost["error"] == "the executor stopped answering" != failed["error"]
    bench.work()
    ended = _get(queueing_tenant, key, again.id)
    assert (ended["status"], ended["attempt"], ended["error"]) == ("complete", 3, None)
    kept = ("id", "created_at", "started_at", "batch_id", "is_initial_sync", "is_one_off")
    assert {name: ended[name] for name in kept} == {name: failed[name] for name in kept}
    spans = [(each["timerange_start"], each["timerange_end"]) for each in (failed, ended)]
    assert [[_seconds(at) for at in span] for span in spans] == [[1000, 2000], [2000, 3000]]


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


def test_a_sync_that_never_began_is_started_when_it_is_tried_again(
    queueing_tenant: TenantClient, world: World, bench: Bench
):
    world.commit(a=b"1")
    key = queueing_tenant.key(Role.WRITER, world.project(kinds=ONE_KIND))
    [asked] = _sync(queueing_tenant, key).json()
    assert _cancel(queueing_tenant, key, asked["id"])["started_at"] is None
    bench.shelf.handed.clear()
    bench.runs.retry(UUID(asked["id"]))
    bench.work()
    ended = _get(queueing_tenant, key, asked["id"])
    assert ended["started_at"] is not None
    assert (ended["status"], ended["attempt"]) == ("complete", 2)


def test_who_asked_and_who_cancelled_is_kept(
    queueing_tenant: TenantClient, world: World, bench: Bench
):
    project = world.project(kinds=ONE_KIND)
    asker, canceller = (queueing_tenant.key(Role.WRITER, project) for _ in range(2))
    [asked] = _sync(queueing_tenant, asker).json()
    _cancel(queueing_tenant, canceller, asked["id"])
    run = bench.runs.get(UUID(asked["id"]))
    found = [run.origin.requested_by, UUID(str(run.cancellation and run.cancellation.by))]
    assert found == [queueing_tenant.owner_of(each) for each in (asker, canceller)]


# --- who may ----------------------------------------------------------------------------------


def test_an_id_has_one_spelling(tenant: TenantClient, world: World):
    key = tenant.key(Role.WRITER, world.project(kinds=ONE_KIND))
    made = _sync(tenant, key).json()[0]["id"]
    for other in (f"{{{made}}}", f"urn:uuid:{made}", made.replace("-", "")):
        assert tenant.client.get(_url(other), headers=bearer(key)).status_code == 404
    assert _get(tenant, key, made.upper())["id"] == made
    for connection in (world.connection_id.hex, "nothing"):
        url = f"/v2/integrations/connections/{connection}/syncs"
        assert tenant.client.get(url, headers=bearer(key)).status_code == 404


def test_a_bearer_token_is_needed(tenant: TenantClient, world: World):
    world.project()
    for headers in ({}, bearer("twl_wrong"), {"X-API-Key": tenant.key(Role.WRITER)}):
        url = f"/v2/integrations/connections/{world.connection_id}/sync"
        answer = tenant.client.post(url, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        assert answer.headers["www-authenticate"] == 'Bearer realm="towline"'


def test_one_key_asks_once(tenant: TenantClient, world: World):
    world.commit(a=b"1")
    headers = {**bearer(tenant.key(Role.WRITER, world.project())), "Idempotency-Key": "k"}
    url = f"/v2/integrations/connections/{world.connection_id}/sync"
    answers = [tenant.client.post(url, headers=headers).json() for _ in range(2)]
    assert answers[0] == answers[1]


def test_a_refused_credential_is_told_without_it(
    tenant: TenantClient, world: World, git_server: GitServer
):
    world.commit(a=b"1")
    connection_id = world.connect(
        f"{git_server.url}/repo.git", Credential(username="demo", password="hush-hush")
    )
    world.project(connection_id=connection_id, kinds=ONE_KIND)
    git_server.credential = Credential(username="demo", password="other")
    key = tenant.key(Role.WRITER)
    failed = _get(tenant, key, _sync(tenant, key, connection_id).json()[0]["id"])
    assert failed["status"] == "failed"
    assert failed["error"]
    assert "hush" not in str(failed)
