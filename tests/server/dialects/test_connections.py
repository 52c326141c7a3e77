"""The Connections dialect: every answer is validated against the schema of the product's page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from httpx2 import Response

from tests.server.dialects.page_schema import PageSchema
from tests.server.dialects.tenant_client import TenantClient, bearer
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import Runner
from towline.kinds import Kind, Kinds
from towline.options import OnConflict
from towline.remotes.credentials import Credential
from towline.testing.git_server import GitServer
from towline_server.auth.roles import Role
from towline_server.projects.domain import Binding
from towline_server.projects.service import Projects
from towline_server.runs.domain import RunMode, RunRequest, Trigger, TriggeredBy
from towline_server.runs.listing import RunFilter
from towline_server.runs.service import Runs

SCHEMA = PageSchema("connections")
ONE_KIND = Kinds((Kind(name="file", globs=("**",)),))


def _sync(api: TenantClient, key: str, connection_id: object = None) -> Any:
    wanted = connection_id or api.tenant.connection_id
    url = f"/v2/integrations/connections/{wanted}/sync"
    return api.client.post(url, headers=bearer(key))


def _list(api: TenantClient, key: str, **query: int) -> list[Mapping[str, Any]]:
    url = f"/v2/integrations/connections/{api.tenant.connection_id}/syncs"
    answer = api.client.get(url, headers=bearer(key), params=query)
    SCHEMA.check("syncs", answer.json())
    found: list[Mapping[str, Any]] = answer.json()
    return found


def _get(api: TenantClient, key: str, sync_id: object) -> Mapping[str, Any]:
    return _shown(api.client.get(_url(sync_id), headers=bearer(key)))


def _cancel(api: TenantClient, key: str, sync_id: object) -> Mapping[str, Any]:
    return _shown(api.client.post(f"{_url(sync_id)}/cancel", headers=bearer(key)))


def _shown(answer: Response) -> Mapping[str, Any]:
    assert answer.status_code == 200
    SCHEMA.check("sync", answer.json())
    found: Mapping[str, Any] = answer.json()
    return found


def _url(sync_id: object) -> str:
    return f"/v2/integrations/syncs/{sync_id}"


def test_a_sync_a_kind_in_one_batch(api: TenantClient, tenant: GitTenant):
    tenant.commit(rules__a=b"1", tasks__b=b"1", c=b"1")
    project = tenant.project()
    key = api.key(Role.WRITER, project)
    answer = _sync(api, key)
    asked = answer.json()
    assert answer.status_code == 200
    SCHEMA.check("syncs", asked)
    assert [each["model_id"] for each in asked] == ["rule", "task", "file"]
    assert len({each["batch_id"] for each in asked}) == 1
    assert asked[0]["batch_id"] is not None
    assert [(each["status"], each["attempt"]) for each in asked] == [("scheduled", 0)] * 3
    ended = [_get(api, key, each["id"]) for each in asked]
    assert [(each["status"], each["attempt"]) for each in ended] == [("complete", 1)] * 3
    assert tenant.contents(project) == {"rules/a": b"1", "tasks/b": b"1", "c": b"1"}
    tip = tenant.repository.tip("main")
    assert {each["pagination_state"]["target_revision"] for each in ended} == {tip}


def test_merged_assets_are_counted(api: TenantClient, tenant: GitTenant):
    tenant.repository.commit({"a.json": b'{"x": 1, "y": 1}'})
    project = tenant.project()
    key = api.key(Role.WRITER, project)
    _sync(api, key)
    tenant.edit(project, "a.json", b'{"x": 2, "y": 1}')
    tenant.repository.commit({"a.json": b'{"x": 1, "y": 2}'})
    merged = {
        each["model_id"]: _get(api, key, each["id"])["pagination_state"]["merged"]
        for each in _sync(api, key).json()
    }
    assert merged == {"rule": 0, "task": 0, "file": 1}


def test_null_is_where_the_seed_says_null(api: TenantClient, tenant: GitTenant):
    tenant.commit(a=b"1")
    key = api.key(Role.WRITER, tenant.project(kinds=ONE_KIND))
    asked = _sync(api, key).json()[0]
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
    ended = _get(api, key, asked["id"])
    nulls = {name for name, value in ended.items() if value is None}
    assert nulls == {"entity_id", "error", "file_id", "timerange_start"}


def test_the_time_range_is_that_of_the_commits(api: TenantClient, tenant: GitTenant):
    project = tenant.project(kinds=ONE_KIND)
    key = api.key(Role.WRITER, project)
    tenant.repository.commit({"a": b"1"}, time=1_700_000_000)
    _sync(api, key)
    tenant.repository.commit({"a": b"2"}, time=1_700_000_500)
    [asked] = _sync(api, key).json()
    ended = _get(api, key, asked["id"])
    starts, ends = (datetime.fromisoformat(ended[f"timerange_{at}"]) for at in ("start", "end"))
    assert (starts.timestamp(), ends.timestamp()) == (1_700_000_000, 1_700_000_500)
    assert [each["is_initial_sync"] for each in _list(api, key)] == [False, True]


def test_what_a_schedule_asks_for_is_not_one_off(
    api: TenantClient, tenant: GitTenant, inline: Runs
):
    tenant.commit(a=b"1")
    project = tenant.project()
    key = api.key(Role.READER, project)
    scheduled = Trigger(by=TriggeredBy.SCHEDULED, schedule_id=uuid4())
    inline.request_kinds(project.id, ["rule"], trigger=scheduled)
    inline.request_kinds(project.id, ["task"])
    assert [each["is_one_off"] for each in _list(api, key)] == [True, False]


def test_lists_hold_the_syncs_of_their_connection(
    api: TenantClient, tenant: GitTenant, inline: Runs
):
    tenant.commit(a=b"1")
    project = tenant.project()
    elsewhere = tenant.project(connection_id=tenant.connect(f"{tenant.server.url}/repo.git"))
    key = api.key(Role.WRITER)
    asked = [each["id"] for each in _sync(api, key).json()]
    inline.request_kinds(elsewhere.id, ["rule"])
    inline.request(project.id)
    inline.request(project.id, RunRequest(kind="rule", mode=RunMode.DRY_RUN))
    assert [each["id"] for each in _list(api, key)] == asked
    assert [each["id"] for each in _list(api, key, limit=1, offset=1)] == asked[1:2]
    hidden = [run.id for run in inline.page(RunFilter()).runs if str(run.id) not in asked]
    assert len(hidden) == 3
    answers = [api.client.get(_url(run_id), headers=bearer(key)) for run_id in hidden]
    # What pulls every kind, or writes nothing, is no sync.
    assert sorted(answer.status_code for answer in answers) == [200, 404, 404]


def test_a_list_shows_neither_other_projects_nor_what_a_project_pulled_from_elsewhere(
    api: TenantClient, tenant: GitTenant, inline: Runs
):
    tenant.commit(a=b"1")
    project, hidden = tenant.project(kinds=ONE_KIND), tenant.project(kinds=ONE_KIND)
    inline.request_kinds(hidden.id, ["file"])
    key = api.key(Role.WRITER, project)
    [before] = _sync(api, key).json()
    assert [each["id"] for each in _list(api, key)] == [before["id"]]
    other = tenant.connect(f"{tenant.server.url}/repo.git")
    with tenant.database.writing() as session:
        Projects(session).bind(project.id, Binding(connection_id=other))
    [after] = _sync(api, key, other).json()
    url = f"/v2/integrations/connections/{other}/syncs"
    listed = api.client.get(url, headers=bearer(key)).json()
    assert [each["id"] for each in listed] == [after["id"]]


def test_every_project_behind_a_connection_is_synced(api: TenantClient, tenant: GitTenant):
    tenant.commit(a=b"1")
    projects = {str(tenant.project(kinds=ONE_KIND).id) for _ in range(2)}
    asked = _sync(api, api.key(Role.WRITER)).json()
    assert len(asked) == 2
    assert len({each["batch_id"] for each in asked} - {None}) == 1
    assert {each["pagination_state"]["project_id"] for each in asked} == projects


def test_failures_are_returned(api: TenantClient, tenant: GitTenant, inline: Runs):
    tenant.commit(a=b"1")
    key = api.key(Role.WRITER, tenant.project(ref="heads/none", kinds=ONE_KIND))
    failed = _get(api, key, _sync(api, key).json()[0]["id"])
    assert (failed["status"], failed["attempt"]) == ("failed", 1)
    assert "heads/none" in failed["error"]
    assert failed["pagination_state"]["target_revision"] is None


# --- waiting and running ----------------------------------------------------------------------


@pytest.mark.parametrize("boundary", ["fetching", "comparing", "validating", "applying"])
def test_a_sync_waits_runs_and_ends(
    queueing_api: TenantClient, tenant: GitTenant, runner: Runner, boundary: str
):
    tenant.commit(a=b"1")
    key = queueing_api.key(Role.WRITER, tenant.project(kinds=ONE_KIND))
    [asked] = _sync(queueing_api, key).json()
    assert asked["status"] == "scheduled"
    assert _get(queueing_api, key, asked["id"])["status"] == "queued"
    with runner.paused(runner.native.submitted[0], boundary):
        running = _get(queueing_api, key, asked["id"])
    assert (running["status"], running["attempt"]) == ("running", 1)
    assert running["pagination_state"]["phase"] == boundary
    assert running["completed_at"] is None
    ended = _get(queueing_api, key, asked["id"])
    assert (ended["status"], ended["attempt"]) == ("complete", 1)
    assert ended["created_at"] <= ended["started_at"] <= ended["completed_at"]


def test_a_lost_sync_waits_to_be_tried_again(
    queueing_api: TenantClient, tenant: GitTenant, runner: Runner
):
    tenant.commit(a=b"1")
    key = queueing_api.key(Role.WRITER, tenant.project(kinds=ONE_KIND))
    [asked] = _sync(queueing_api, key).json()
    with runner.paused(runner.native.submitted[0], "comparing"):
        runner.lose()
        waiting = _get(queueing_api, key, asked["id"])
        assert (waiting["status"], waiting["attempt"]) == ("pending_retry", 1)
        assert waiting["error"] == "the executor stopped responding"
        assert waiting["completed_at"] is None
        assert waiting["batch_id"] == asked["batch_id"]
        # One sync, whatever was tried.
        assert [each["id"] for each in _list(queueing_api, key)] == [asked["id"]]
    runner.worker("two").execute(runner.native.submitted[1])
    ended = _get(queueing_api, key, asked["id"])
    assert (ended["status"], ended["attempt"], ended["error"]) == ("complete", 2, None)
    assert ended["created_at"] == asked["created_at"]


def test_cancelling_is_idempotent(queueing_api: TenantClient, tenant: GitTenant, runner: Runner):
    tenant.commit(rules__a=b"1", tasks__b=b"1")
    key = queueing_api.key(Role.WRITER, tenant.project())
    running, waiting, _ = _sync(queueing_api, key).json()
    assert _cancel(queueing_api, key, waiting["id"])["status"] == "cancelled"
    with runner.paused(runner.native.submitted[0], "comparing"):
        assert _cancel(queueing_api, key, running["id"])["status"] == "running"
    ended = _get(queueing_api, key, running["id"])
    assert (ended["status"], ended["error"]) == ("cancelled", None)
    assert _cancel(queueing_api, key, running["id"]) == ended


def test_a_lost_sync_is_cancelled_by_its_first_id(
    queueing_api: TenantClient, tenant: GitTenant, runner: Runner
):
    tenant.commit(a=b"1")
    key = queueing_api.key(Role.WRITER, tenant.project(kinds=ONE_KIND))
    [asked] = _sync(queueing_api, key).json()
    with runner.paused(runner.native.submitted[0], "comparing"):
        runner.lose()
        assert _cancel(queueing_api, key, asked["id"])["status"] == "cancelled"


def test_a_sync_that_is_tried_again_shows_its_last_attempt(
    queueing_api: TenantClient, tenant: GitTenant, runner: Runner
):
    project = tenant.project(kinds=ONE_KIND)
    key = queueing_api.key(Role.WRITER, project)

    def pull(number: int) -> str:
        tenant.repository.commit({"a": str(number).encode()}, time=number * 1000)
        [made] = _sync(queueing_api, key).json()
        runner.work()
        return str(made["id"])

    pull(1)
    tenant.edit(project, "a", b"ours")
    asked = pull(2)
    failed = _get(queueing_api, key, asked)
    assert failed["status"] == "failed"
    theirs = RunRequest(on_conflict=OnConflict.THEIRS)
    runner.runs.request(project.id, theirs)
    runner.work()
    tenant.repository.commit({"a": b"3"}, time=3000)
    again = runner.runs.retry(UUID(asked))
    waiting = _get(queueing_api, key, asked)
    assert (waiting["status"], waiting["attempt"], waiting["completed_at"]) == ("queued", 1, None)
    with runner.paused(again.id, "comparing"):
        runner.lose()
        lost = _get(queueing_api, key, asked)
    assert (lost["status"], lost["attempt"]) == ("pending_retry", 2)
    assert lost["error"] == "the executor stopped responding" != failed["error"]
    runner.work()
    ended = _get(queueing_api, key, again.id)
    assert (ended["status"], ended["attempt"], ended["error"]) == ("complete", 3, None)
    same = ("id", "created_at", "started_at", "batch_id", "is_initial_sync", "is_one_off")
    assert {name: ended[name] for name in same} == {name: failed[name] for name in same}
    spans = [(each["timerange_start"], each["timerange_end"]) for each in (failed, ended)]
    assert [[_seconds(at) for at in span] for span in spans] == [[1000, 2000], [2000, 3000]]


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


def test_a_sync_that_never_began_is_started_when_it_is_tried_again(
    queueing_api: TenantClient, tenant: GitTenant, runner: Runner
):
    tenant.commit(a=b"1")
    key = queueing_api.key(Role.WRITER, tenant.project(kinds=ONE_KIND))
    [asked] = _sync(queueing_api, key).json()
    assert _cancel(queueing_api, key, asked["id"])["started_at"] is None
    runner.native.submitted.clear()
    runner.runs.retry(UUID(asked["id"]))
    runner.work()
    ended = _get(queueing_api, key, asked["id"])
    assert ended["started_at"] is not None
    assert (ended["status"], ended["attempt"]) == ("complete", 2)


def test_a_sync_has_its_requester_and_its_canceller(
    queueing_api: TenantClient, tenant: GitTenant, runner: Runner
):
    project = tenant.project(kinds=ONE_KIND)
    asker, canceller = (queueing_api.key(Role.WRITER, project) for _ in range(2))
    [asked] = _sync(queueing_api, asker).json()
    _cancel(queueing_api, canceller, asked["id"])
    run = runner.runs.get(UUID(asked["id"]))
    found = [run.trigger.requested_by, UUID(str(run.cancellation and run.cancellation.by))]
    assert found == [queueing_api.owner_of(each) for each in (asker, canceller)]


# --- who may ----------------------------------------------------------------------------------


def test_an_id_has_one_spelling(api: TenantClient, tenant: GitTenant):
    key = api.key(Role.WRITER, tenant.project(kinds=ONE_KIND))
    made = _sync(api, key).json()[0]["id"]
    for other in (f"{{{made}}}", f"urn:uuid:{made}", made.replace("-", "")):
        assert api.client.get(_url(other), headers=bearer(key)).status_code == 404
    assert _get(api, key, made.upper())["id"] == made
    for connection in (tenant.connection_id.hex, "nothing"):
        url = f"/v2/integrations/connections/{connection}/syncs"
        assert api.client.get(url, headers=bearer(key)).status_code == 404


def test_a_refused_credential_is_not_shown(
    api: TenantClient, tenant: GitTenant, git_server: GitServer
):
    tenant.commit(a=b"1")
    connection_id = tenant.connect(
        f"{git_server.url}/repo.git", Credential(username="demo", password="hush-hush")
    )
    tenant.project(connection_id=connection_id, kinds=ONE_KIND)
    git_server.credential = Credential(username="demo", password="other")
    key = api.key(Role.WRITER)
    failed = _get(api, key, _sync(api, key, connection_id).json()[0]["id"])
    assert failed["status"] == "failed"
    assert failed["error"]
    assert "hush" not in str(failed)
