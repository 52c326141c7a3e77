"""How the databases read the tables that grow: by an index, never all of one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.orm import Session

from tests.server.crowded import NOW, crowd
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import Runner
from towline_server.auth.identities import Identities
from towline_server.auth.passwords import Passwords
from towline_server.auth.roles import Principal, PrincipalKind, Role
from towline_server.db import Database
from towline_server.dialects.syncs.rows import select_syncs, sync_gauges
from towline_server.dialects.syncs.tables import SyncRow
from towline_server.loops import Ticker
from towline_server.projects.asset_events import (
    AssetEvents,
    EventFilter,
    delete_old,
    delete_unwanted,
    last_events,
    want_events,
)
from towline_server.projects.listing import AssetList, ListFilter
from towline_server.projects.log import History
from towline_server.projects.service import Projects
from towline_server.projects.stored_plans import StoredPlans
from towline_server.runs import followers
from towline_server.runs.domain import BackendName, Lease, Trigger
from towline_server.runs.due import Due, DueWork
from towline_server.runs.firing import Schedules
from towline_server.runs.listing import RunFilter, latest_of_kinds
from towline_server.runs.plans import Plans
from towline_server.runs.retention import Retention
from towline_server.runs.round_robin import Excluded
from towline_server.runs.states import UNENDED
from towline_server.runs.tables import RunRow
from towline_server.tables import Base
from towline_server.web.operations import run_gauges
from towline_server.webhooks.deliveries import Deliveries
from towline_server.webhooks.queue import DeliveryQueue, count_due

GROWING = frozenset(
    {
        *(
            "asset_events",
            "assets",
            "bindings",
            "blobs",
            "identities",
            "idempotent_answers",
            "plans",
            "projects",
            "pulls",
        ),
        *("runs", "schedules", "syncs", "used_ids", "webhook_deliveries"),
    }
)
UNCHOSEN = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin")
"""What PostgreSQL prefers where tables are as small as a test's; what is left needs an index."""
PARTIAL = frozenset(
    index.name
    for table in Base.metadata.sorted_tables
    for index in table.indexes
    if index.dialect_options["sqlite"]["where"] is not None
)
"""Indices of few rows of a table: to read one as a whole is what it is for."""


@dataclass
class Planned:
    """The statements that a database was sent, and how it reads the tables of each."""

    database: Database
    sent: dict[str, Any] = field(default_factory=dict)

    def __call__(
        self, _: Connection, __: Any, statement: str, parameters: Any, ___: Any, many: bool
    ) -> None:
        if re.match(r"\s*(SELECT|UPDATE|DELETE|WITH)\b", statement):
            self.sent[statement] = parameters[0] if many else parameters

    def scans(self) -> Iterator[tuple[str, str]]:
        """Each growing table that a statement reads as a whole, and the statement."""
        with self.database.engine.connect() as connection:
            for method in UNCHOSEN if connection.dialect.name == "postgresql" else ():
                connection.exec_driver_sql(f"SET LOCAL {method} = off")
            for statement, parameters in list(self.sent.items()):
                for table in self._scanned(connection, statement, parameters):
                    if table in GROWING:
                        yield table, statement

    def _scanned(self, connection: Connection, statement: str, parameters: Any) -> Iterator[str]:
        if connection.dialect.name == "sqlite":
            explained = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            for row in explained:
                found = re.match(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", row.detail)
                if found and found[2] not in PARTIAL:
                    yield re.sub(r"_\d+$", "", found[1])
            return
        explained = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
        plan = explained.scalar_one()
        nodes = [each["Plan"] for each in (json.loads(plan) if isinstance(plan, str) else plan)]
        while nodes:
            node = nodes.pop()
            nodes += node.get("Plans", ())
            kind, ordered = node["Node Type"], node.get("Index Name")
            whole = ordered is not None and "Index Cond" not in node and ordered not in PARTIAL
            if kind == "Seq Scan" or (whole and "Relation Name" in node):
                yield node["Relation Name"]


@pytest.fixture
def crowded(database: Database) -> tuple[UUID, UUID, UUID]:
    return crowd(database)


@pytest.fixture
def planned(database: Database, crowded: object) -> Iterator[Planned]:
    planned = Planned(database)
    event.listen(database.engine, "before_cursor_execute", planned)
    yield planned
    event.remove(database.engine, "before_cursor_execute", planned)


def test_no_query_reads_all_of_a_table_that_grows(
    planned: Planned, crowded: tuple[UUID, UUID, UUID], tenant: GitTenant
):
    for act in _acts(planned.database, Runner(tenant), *crowded):
        act()
    sent = len(planned.sent)
    assert sent > 40, "each of them was asked"
    assert list(planned.scans()) == []


def test_a_query_without_an_index_shows(planned: Planned):
    with planned.database.reading() as session:
        session.connection().exec_driver_sql("SELECT id FROM runs WHERE error_code = 'x'").all()
    assert [table for table, _ in planned.scans()] == ["runs"]


def _acts(
    database: Database, runner: Runner, tenant_id: UUID, project_id: UUID, connection_id: UUID
) -> list[Callable[[], object]]:
    """What servers and callers ask again and again."""
    runs, leases = runner.runs, runner.leases
    mine = RunFilter(project_id=project_id)
    caller = Principal(
        id=uuid4(),
        tenant_id=tenant_id,
        kind=PrincipalKind.USER,
        name="caller",
        tenant_role=Role.ADMIN,
    )

    def read(look: Callable[[Any], object]) -> Callable[[], object]:
        def reading() -> object:
            with database.reading() as session:
                return look(session)

        return reading

    external = RunRow.backend == BackendName.EXTERNAL

    def work() -> None:
        asked = runs.request(project_id, trigger=Trigger(key="once"))
        runs.request(project_id, trigger=Trigger(key="once"))
        leases.next_in_turn(BackendName.NATIVE, Excluded())
        leases.take_next("executor", RunRow.tenant_id == tenant_id, external)
        leases.held_by("executor")
        lease = leases.take(asked.id, "executor")
        assert isinstance(lease, Lease)
        leases.renew([lease])
        leases.cancelled([lease])
        runs.cancel(asked.id)
        runs.attempts(asked.id)

    def follow(session: Any) -> None:
        run = runs.page(mine, limit=1).runs[0]
        followers._changed_at(session, {run.id: run.updated_at})
        followers._last_attempts(session, [run.id])

    def list_events(session: Session, wanted: EventFilter) -> None:
        events = AssetEvents(session, project_id)
        events.page(wanted, after=10, limit=10)
        events.oldest()

    def forget_events() -> None:
        with database.writing() as session:
            assert delete_old(session, NOW - timedelta(days=9), limit=5) == 1
            assert want_events(session, project_id, uuid4(), ["rule"]) == []
            assert delete_unwanted(session, project_id, "file", limit=5) == 0

    syncs = select_syncs().where(SyncRow.tenant_id == tenant_id).order_by(SyncRow.created_at)
    plans = Plans(database, runner.repositories, runner.fetches)
    queue = DeliveryQueue(database)
    return [
        work,
        lambda: runs.page(mine),
        lambda: runs.page(RunFilter(project_id=project_id, states=UNENDED)),
        lambda: runs.page(RunFilter(tenant_id=tenant_id)),
        lambda: runs.page(RunFilter(connection_id=connection_id, project_ids=(project_id,))),
        read(lambda session: latest_of_kinds(session, project_id)),
        read(follow),
        read(lambda session: list(run_gauges(session))),
        read(lambda session: list(sync_gauges(session))),
        read(lambda session: session.execute(syncs.limit(10)).all()),
        runner.reaper.sweep,
        DueWork(database, {due: Ticker(due, 1) for due in Due}).find,
        Schedules(database, runs).fire,
        Retention(database, now=lambda _: datetime.now(UTC)).prune,
        read(lambda session: History(session, project_id).page(limit=10)),
        read(lambda session: list_events(session, EventFilter())),
        read(lambda session: list_events(session, EventFilter(kind="rule", path="a", since=NOW))),
        forget_events,
        read(lambda session: last_events(session, [project_id])),
        read(lambda session: StoredPlans(session, project_id).waiting()),
        read(lambda session: AssetList(session, project_id).page(ListFilter(), limit=10)),
        read(lambda session: Projects(session).visible_to(caller, limit=10, offset=0)),
        read(lambda session: Projects(session).by_connection(connection_id)),
        read(lambda session: Projects(session).by_path(tenant_id, "org/space/1")),
        read(lambda session: Identities(session, Passwords()).by_key("twl_unknown")),
        read(lambda session: Identities(session, Passwords()).of_tenant(tenant_id)),
        lambda: plans.status(project_id),
        queue.ready,
        read(lambda session: count_due(session, datetime.now(UTC))),
        read(lambda session: Deliveries(session, uuid4()).page(limit=10)),
    ]
