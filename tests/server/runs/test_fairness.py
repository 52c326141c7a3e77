"""Tenants take turns: who is next, and how much one of them may have at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event, insert, select, text
from sqlalchemy.orm import Session

from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.processes import LONG
from tests.server.runs.runner import Gate, Runner
from towline_server.db import Database
from towline_server.projects.tables import ProjectRow
from towline_server.runs.bounds import AtOnce
from towline_server.runs.domain import BackendName
from towline_server.runs.round_robin import Excluded, in_turn, next_in_turn
from towline_server.runs.states import ACTIVE, RunState
from towline_server.runs.tables import RunRow
from towline_server.runs.worker import NativeBackend

NATIVE = BackendName.NATIVE
ALL = Excluded()


@pytest.fixture
def tenants(tenant: GitTenant) -> list[GitTenant]:
    tenant.commit(a=b"1")
    others = [GitTenant(tenant.database, tenant.server, tenant.folder) for _ in range(2)]
    return [tenant, *others]


def queue(runner: Runner, tenant: GitTenant, count: int) -> None:
    for _ in range(count):
        runner.runs.request(tenant.project().id)


def take(runner: Runner, executor: str, excluded: Excluded = ALL) -> UUID | None:
    """Take the next run as an executor does, and return whose it is."""
    worker = runner.worker(executor)
    found = worker.next_in_turn(NATIVE, excluded)
    if found is None:
        return None
    assert worker.take_next(RunRow.id == found.run_id) is not None
    runner.age(1)  # SQLite's clock has milliseconds
    return found.tenant_id


def test_tenants_take_turns_on_all_servers(runner: Runner, tenants: Sequence[GitTenant]):
    for tenant, count in zip(tenants, (4, 1, 2), strict=True):
        queue(runner, tenant, count)
    taken = [take(runner, f"server {number % 2}") for number in range(8)]
    first, second, third = (tenant.tenant_id for tenant in tenants)
    assert set(taken[:3]) == {first, second, third}
    assert taken[3:] in ([first, third, first, first, None], [third, first, first, first, None])


def test_a_tenant_that_comes_later_waits_for_one_run(runner: Runner, tenants: Sequence[GitTenant]):
    early, late = tenants[:2]
    queue(runner, early, 20)
    taken = [take(runner, "one") for _ in range(5)]
    queue(runner, late, 2)
    taken += [take(runner, "one") for _ in range(4)]
    assert taken == [*[early.tenant_id] * 5, *[late.tenant_id, early.tenant_id] * 2]


def test_a_tenant_whose_projects_are_busy_is_passed_over(
    runner: Runner, tenants: Sequence[GitTenant]
):
    busy, other = tenants[:2]
    project = busy.project()
    for _ in range(3):
        runner.runs.request(project.id)
    queue(runner, other, 2)
    taken = [take(runner, "one") for _ in range(4)]
    assert taken.count(busy.tenant_id) == 1
    assert taken.count(other.tenant_id) == 2


def test_what_an_executor_excludes_is_passed_over(runner: Runner, tenants: Sequence[GitTenant]):
    first, second, third = tenants
    away = third.connect("http://elsewhere.example:8080/r.git")
    queue(runner, first, 1)
    queue(runner, second, 1)
    runner.runs.request(third.project(connection_id=away).id)
    excluded = Excluded(tenants=[first.tenant_id], hosts=["elsewhere.example:8080"])
    assert [take(runner, "one", excluded) for _ in range(2)] == [second.tenant_id, None]


@pytest.mark.parametrize(
    ("at_once", "executed"),
    [
        (AtOnce(total=4, tenant=2, host=4), [2, 1, 0]),
        (AtOnce(total=4, tenant=4, host=2), [1, 1, 0]),
        (AtOnce.of(4), [2, 1, 0]),
    ],
)
def test_one_tenant_or_host_has_a_part_of_the_slots(
    runner: Runner, tenants: Sequence[GitTenant], at_once: AtOnce, executed: Sequence[int]
):
    queue(runner, tenants[0], 5)
    queue(runner, tenants[1], 1)
    gate = Gate("fetching")
    native = NativeBackend(runner.worker(gate=gate), at_once=at_once)
    native.ticker.once()
    taken = active(runner.tenant.database, tenants)
    gate.open()
    native.stop(LONG)
    assert taken == executed


def test_the_statement_that_finds_the_next_run_is_made_once():
    assert in_turn(NATIVE) is in_turn(NATIVE)
    assert in_turn(NATIVE) is not in_turn(NATIVE, frozenset({"hosts"}))


def active(database: Database, tenants: Sequence[GitTenant]) -> list[int]:
    """How many runs of each tenant are executed."""
    with database.reading() as session:
        found = list(session.scalars(select(RunRow.tenant_id).where(RunRow.state.in_(ACTIVE))))
    return [found.count(tenant.tenant_id) for tenant in tenants]


def test_a_long_queue_is_not_walked(runner: Runner, tenants: Sequence[GitTenant]):
    long, short = tenants[:2]
    queue(runner, long, 1)
    lengthen(runner.tenant.database, 2_000)
    queue(runner, short, 2)
    take(runner, "one")
    with runner.tenant.database.reading() as session:
        assert next_in_turn(session, NATIVE) is not None
        if session.get_bind().dialect.name == "sqlite":
            scanned = [row.detail for row in explained(session, "EXPLAIN QUERY PLAN")]
            assert not [each for each in scanned if each.startswith("SCAN") and "runs" in each]
        else:
            plan = explained(session, "EXPLAIN (ANALYZE, FORMAT JSON)")[0][0][0]["Plan"]
            # Few more than the tenants that have a queue.
            assert sum(rows_read(plan)) < 30


def lengthen(database: Database, count: int) -> None:
    """Queue copies of the only run, each for a project of its own, which had runs before."""
    with database.writing() as session:
        run = session.scalars(select(RunRow)).one()
        project = session.get_one(ProjectRow, run.project_id)
        ids = [uuid4() for _ in range(count)]
        copies = [{"id": each, "path": f"{project.path}/{each}"} for each in ids]
        session.execute(insert(ProjectRow), [{**values(project), **each} for each in copies])
        runs = [
            {"id": uuid4(), "project_id": each, "state": state}
            for each in ids
            for state in (RunState.QUEUED, *[RunState.SUCCEEDED] * 3)
        ]
        session.execute(insert(RunRow), [{**values(run), **each} for each in runs])
    with database.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("ANALYZE"))


def values(row: RunRow | ProjectRow) -> dict[str, Any]:
    return {column.key: getattr(row, column.key) for column in row.__table__.columns}


def explained(session: Session, how: str) -> Sequence[Any]:
    """The plan of the statement that finds the next run."""
    sent: list[tuple[str, Any]] = []

    def listen(_connection, _cursor, statement, parameters, _context, _many):
        sent.append((statement, parameters))

    connection = session.connection()
    event.listen(connection, "before_cursor_execute", listen)
    connection.execute(in_turn(NATIVE))
    statement, parameters = sent[0]
    return connection.exec_driver_sql(f"{how} {statement}", parameters).all()


def rows_read(plan: dict[str, Any]) -> Iterator[int]:
    """How many rows each scan of the runs went through."""
    if plan.get("Relation Name") == "runs":
        rows = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
        yield rows * plan["Actual Loops"]
    for part in plan.get("Plans", ()):
        yield from rows_read(part)
