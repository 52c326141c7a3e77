"""The order of locks on PostgreSQL, between writers of runs and the deletion of their project.

A deadlock must not happen: the database would end one of the two, and it may be the deletion, or
the run. A writer that waited for the deletion finds no project.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Select, select

from tests.databases import open_database
from tests.server.runs.deadlocks import LONG, await_waiters, deadlocks_in, delete_behind, of_project
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import Gate, Runner
from towline.model import Revision
from towline.options import OnConflict
from towline.testing.git_server import GitServer
from towline_server.db.clock import database_now
from towline_server.errors import NotFound
from towline_server.projects.domain import Binding, Project, PullSettings
from towline_server.projects.locking import hold
from towline_server.projects.service import Projects
from towline_server.runs.completion import update_parent
from towline_server.runs.domain import Lease, RunRequest
from towline_server.runs.plans import Plans
from towline_server.runs.schedules import Rhythm, ScheduleSpec, place
from towline_server.runs.states import RunState
from towline_server.runs.tables import RunRow, find_row
from towline_server.webhooks.service import EndpointSettings, Webhooks

pytestmark = pytest.mark.services


@pytest.fixture
def runner(postgres_url: str, git_server: GitServer, tmp_path: Path) -> Iterator[Runner]:
    database = open_database(postgres_url, lock_seconds=LONG)
    yield Runner(GitTenant(database, git_server, tmp_path))
    database.close()


@pytest.fixture
def project(runner: Runner) -> Project:
    runner.tenant.commit(a=b"1")
    return runner.tenant.project()


@pytest.fixture
def deadlocks(runner: Runner) -> list[Any]:
    """What the database ended because it waited in a circle."""
    return deadlocks_in(runner.tenant.database)


def held(runner: Runner, run_id: UUID) -> Lease:
    lease = runner.leases.take(run_id, "one")
    assert isinstance(lease, Lease)
    return lease


def of_run(run_id: UUID) -> Select[Any]:
    return select(RunRow.id).where(RunRow.id == run_id)


def test_a_project_is_deleted_while_a_run_claims_it(
    runner: Runner, project: Project, deadlocks: list[Any]
):
    run = runner.runs.request(project.id)
    gate = Gate("comparing")
    with ThreadPoolExecutor() as pool:
        executed = pool.submit(runner.worker(gate=gate).execute, run.id)
        gate.await_run()
        delete_behind(runner.tenant.database, project, of_project(project), gate.open)
        executed.result(LONG)
    assert (deadlocks, runner.runs.find(run.id)) == ([], None)


def test_a_project_is_deleted_while_its_run_is_tried_again(
    runner: Runner, project: Project, deadlocks: list[Any]
):
    run = runner.runs.request(project.id)
    runner.end(held(runner, run.id))
    delete_behind(
        runner.tenant.database, project, of_project(project), lambda: runner.runs.retry(run.id)
    )
    assert (deadlocks, runner.runs.find(run.id)) == ([], None)


def test_a_project_is_deleted_while_its_run_is_taken_from_a_lost_executor(
    runner: Runner, project: Project, deadlocks: list[Any]
):
    run = runner.runs.request(project.id)
    held(runner, run.id)
    runner.lapse()
    delete_behind(runner.tenant.database, project, of_project(project), runner.reaper.sweep)
    assert (deadlocks, runner.runs.find(run.id)) == ([], None)


Part = Callable[[Runner, Lease], Any]
PARTS: dict[str, Part] = {
    "goes on": lambda runner, lease: runner.leases.move(lease, RunState.FETCHING, 20),
    "ends": Runner.end,
}


@pytest.mark.parametrize("act", PARTS.values(), ids=PARTS)
def test_a_project_is_deleted_while_a_part_of_its_run(
    act: Part, runner: Runner, project: Project, deadlocks: list[Any]
):
    run = runner.runs.request_fan_out(project.id, ["rule", "task"])
    first, second = runner.children(run.id)
    lease = held(runner, first.id)
    runner.leases.move(lease, RunState.COMPARING, 50)
    runner.end(lease)
    # The whole is in a later phase than this one, so deleting comes to the whole first.
    lease = held(runner, second.id)
    delete_behind(runner.tenant.database, project, of_run(run.id), lambda: act(runner, lease))
    assert (deadlocks, runner.runs.find(run.id)) == ([], None)


def test_a_part_of_a_run_is_cancelled_while_another_one_says_what_it_pulls(
    runner: Runner, project: Project, deadlocks: list[Any]
):
    run = runner.runs.request_fan_out(project.id, ["rule", "task"])
    held(runner, runner.children(run.id)[1].id)
    runner.lose()
    # The new attempt's row comes after that of the whole.
    first, second = runner.children(run.id)
    lease, database = held(runner, first.id), runner.tenant.database
    with ThreadPoolExecutor() as pool:
        with database.writing() as session:
            find_row(session, second.id, lock=True)
            aiming = pool.submit(runner.leases.set_target, lease, Revision("1" * 40), None)
            await_waiters(database, 1)
            update_parent(session, run.id, database_now(session))
        aiming.result(LONG)
    assert deadlocks == []
    assert {each.target_revision for each in runner.children(run.id)} == {"1" * 40}


# --- what waited for the deletion ---------------------------------------------------------------


def ask_for_a_run(runner: Runner, project: Project) -> None:
    runner.runs.request(project.id)


def make_a_plan(runner: Runner, project: Project) -> None:
    Plans(runner.tenant.database, runner.repositories, runner.fetches).make(
        project.id, RunRequest()
    )


def make_a_schedule(runner: Runner, project: Project) -> None:
    spec = ScheduleSpec(project_id=project.id, rhythm=Rhythm(every_seconds=60))
    with runner.tenant.database.writing() as session:
        hold(session, project.id)
        place(session, uuid4(), spec, database_now(session))


def make_a_webhook(runner: Runner, project: Project) -> None:
    tenant = runner.tenant
    wanted = EndpointSettings(url="https://hooks.example/", project_id=project.id)
    with tenant.database.writing() as session:
        Webhooks(session, tenant.sealer).create(tenant.tenant_id, wanted)


def bind(runner: Runner, project: Project) -> None:
    binding = Binding(connection_id=runner.tenant.connection_id, ref="heads/other")
    with runner.tenant.database.writing() as session:
        Projects(session).bind(project.id, binding)


def change(runner: Runner, project: Project) -> None:
    with runner.tenant.database.writing() as session:
        Projects(session).change(project.id, settings=PullSettings(on_conflict=OnConflict.SKIP))


def edit(runner: Runner, project: Project) -> None:
    runner.tenant.edit(project, "b", b"2")


@pytest.mark.parametrize(
    "act",
    [ask_for_a_run, make_a_plan, make_a_schedule, make_a_webhook, bind, change, edit],
)
def test_a_writer_that_waited_for_the_deletion_finds_no_project(
    act: Callable[[Runner, Project], None], runner: Runner, project: Project
):
    database = runner.tenant.database
    with ThreadPoolExecutor() as pool:
        with database.writing() as session:
            Projects(session).delete(project.id)
            acted = pool.submit(act, runner, project)
            await_waiters(database, 1)
        with pytest.raises(NotFound, match="project"):
            acted.result(LONG)
