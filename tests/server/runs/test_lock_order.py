"""Who waits for whom on PostgreSQL: whoever writes runs, and whoever deletes their project.

That must never be a circle: the database would end one of the two, and it may be the deletion, or
the run. And whoever waited for the deletion is told that there is no such project.
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
from tests.server.runs.bench import Bench, Gate
from tests.server.runs.circles import LONG, await_waiters, deadlocks_in, delete_behind, of_project
from tests.server.runs.world import World
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
def bench(postgres_url: str, git_server: GitServer, tmp_path: Path) -> Iterator[Bench]:
    database = open_database(postgres_url, lock_seconds=LONG)
    yield Bench(World(database, git_server, tmp_path))
    database.close()


@pytest.fixture
def project(bench: Bench) -> Project:
    bench.world.commit(a=b"1")
    return bench.world.project()


@pytest.fixture
def deadlocks(bench: Bench) -> list[Any]:
    """What the database ended because it waited in a circle."""
    return deadlocks_in(bench.world.database)


def held(bench: Bench, run_id: UUID) -> Lease:
    lease = bench.leases.take(run_id, "one")
    assert isinstance(lease, Lease)
    return lease


def of_run(run_id: UUID) -> Select[Any]:
    return select(RunRow.id).where(RunRow.id == run_id)


def test_a_project_is_deleted_while_a_run_claims_it(
    bench: Bench, project: Project, deadlocks: list[Any]
):
    run = bench.runs.request(project.id)
    gate = Gate("comparing")
    with ThreadPoolExecutor() as pool:
        executed = pool.submit(bench.worker(gate=gate).execute, run.id)
        gate.await_run()
        delete_behind(bench.world.database, project, of_project(project), gate.open)
        executed.result(LONG)
    assert (deadlocks, bench.runs.find(run.id)) == ([], None)


def test_a_project_is_deleted_while_its_run_is_tried_again(
    bench: Bench, project: Project, deadlocks: list[Any]
):
    run = bench.runs.request(project.id)
    bench.end(held(bench, run.id))
    delete_behind(
        bench.world.database, project, of_project(project), lambda: bench.runs.retry(run.id)
    )
    assert (deadlocks, bench.runs.find(run.id)) == ([], None)


def test_a_project_is_deleted_while_its_run_is_taken_from_whoever_was_lost(
    bench: Bench, project: Project, deadlocks: list[Any]
):
    run = bench.runs.request(project.id)
    held(bench, run.id)
    bench.lapse()
    delete_behind(bench.world.database, project, of_project(project), bench.reaper.sweep)
    assert (deadlocks, bench.runs.find(run.id)) == ([], None)


Part = Callable[[Bench, Lease], Any]
PARTS: dict[str, Part] = {
    "goes on": lambda bench, lease: bench.leases.move(lease, RunState.FETCHING, 20),
    "ends": Bench.end,
}


@pytest.mark.parametrize("act", PARTS.values(), ids=PARTS)
def test_a_project_is_deleted_while_a_part_of_its_run(
    act: Part, bench: Bench, project: Project, deadlocks: list[Any]
):
    run = bench.runs.request_fan_out(project.id, ["rule", "task"])
    first, second = bench.children(run.id)
    lease = held(bench, first.id)
    bench.leases.move(lease, RunState.COMPARING, 50)
    bench.end(lease)
    # The whole is in a later phase than this one, so deleting comes to the whole first.
    lease = held(bench, second.id)
    delete_behind(bench.world.database, project, of_run(run.id), lambda: act(bench, lease))
    assert (deadlocks, bench.runs.find(run.id)) == ([], None)


def test_a_part_of_a_run_is_cancelled_while_another_one_says_what_it_pulls(
    bench: Bench, project: Project, deadlocks: list[Any]
):
    run = bench.runs.request_fan_out(project.id, ["rule", "task"])
    held(bench, bench.children(run.id)[1].id)
    bench.lapse()
    bench.reaper.sweep()
    # The new attempt's row comes after that of the whole.
    first, second = bench.children(run.id)
    lease, database = held(bench, first.id), bench.world.database
    with ThreadPoolExecutor() as pool:
        with database.writing() as session:
            find_row(session, second.id, lock=True)
            aiming = pool.submit(bench.leases.set_target, lease, Revision("1" * 40), None)
            await_waiters(database, 1)
            update_parent(session, run.id, database_now(session))
        aiming.result(LONG)
    assert deadlocks == []
    assert {each.target_revision for each in bench.children(run.id)} == {"1" * 40}


# --- what waited for the deletion ---------------------------------------------------------------


def ask_for_a_run(bench: Bench, project: Project) -> None:
    bench.runs.request(project.id)


def make_a_plan(bench: Bench, project: Project) -> None:
    Plans(bench.world.database, bench.repositories, bench.fetches).make(project.id, RunRequest())


def make_a_schedule(bench: Bench, project: Project) -> None:
    spec = ScheduleSpec(project_id=project.id, rhythm=Rhythm(every_seconds=60))
    with bench.world.database.writing() as session:
        hold(session, project.id)
        place(session, uuid4(), spec, database_now(session))


def make_a_webhook(bench: Bench, project: Project) -> None:
    world = bench.world
    wanted = EndpointSettings(url="https://hooks.example/", project_id=project.id)
    with world.database.writing() as session:
        Webhooks(session, world.sealer).create(world.tenant_id, wanted)


def bind(bench: Bench, project: Project) -> None:
    binding = Binding(connection_id=bench.world.connection_id, ref="heads/other")
    with bench.world.database.writing() as session:
        Projects(session).bind(project.id, binding)


def change(bench: Bench, project: Project) -> None:
    with bench.world.database.writing() as session:
        Projects(session).change(project.id, settings=PullSettings(on_conflict=OnConflict.SKIP))


def edit(bench: Bench, project: Project) -> None:
    bench.world.edit(project, "b", b"2")


@pytest.mark.parametrize(
    "act",
    [ask_for_a_run, make_a_plan, make_a_schedule, make_a_webhook, bind, change, edit],
)
def test_whoever_waited_for_the_deletion_finds_no_project(
    act: Callable[[Bench, Project], None], bench: Bench, project: Project
):
    database = bench.world.database
    with ThreadPoolExecutor() as pool:
        with database.writing() as session:
            Projects(session).delete(project.id)
            acted = pool.submit(act, bench, project)
            await_waiters(database, 1)
        with pytest.raises(NotFound, match="project"):
            acted.result(LONG)
