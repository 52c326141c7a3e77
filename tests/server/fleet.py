"""Servers, and workers of Temporal, as processes over one PostgreSQL; runs counted in it."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from uuid import UUID

import httpx2
from sqlalchemy import func, select

from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.processes import IdleBackend
from tests.server.runs.temporal_harness import await_until
from tests.server.serving import SERVER, ServerProcess, client_of, serving, settings_file
from tests.temporal import TemporalServer
from towline_server.projects.asset_tables import PullRow
from towline_server.runs.domain import BackendName
from towline_server.runs.service import Runs
from towline_server.runs.states import TERMINAL, Outcome
from towline_server.runs.tables import RunRow
from towline_server.runs.worker import Backends

STOPPABLE = "tests.server.stoppable_server"
LEASE, HEARTBEAT = 9, 3


@dataclass
class Fleet:
    """Servers and workers over one PostgreSQL and one Temporal, each with a folder of its own."""

    tenant: GitTenant
    url: str
    temporal: TemporalServer
    stack: ExitStack
    started: int = field(default=0)

    def _start(self, command: str, *words: str, wait_at: str | None = None) -> ServerProcess:
        self.started += 1
        settings = {
            "lease_seconds": LEASE,
            "heartbeat_seconds": HEARTBEAT,
            "rate_per_second": 0,
            "address_rate_per_second": 0,
        }
        file = settings_file(self.tenant, self.url, name=f"{command}-{self.started}", **settings)
        module, variables = (SERVER, {}) if wait_at is None else (STOPPABLE, {"WAIT_AT": wait_at})
        variables["TOWLINE_TEMPORAL__ADDRESS"] = self.temporal.address
        return self.stack.enter_context(
            serving(["--settings", str(file), *words], module=module, command=command, **variables)
        )

    def server(self) -> tuple[ServerProcess, httpx2.Client]:
        """A server, and a client of it."""
        process = self._start("serve", "--port", "0", "--workers", "1")
        return process, self.stack.enter_context(client_of(process))

    def worker(self, wait_at: str | None = None) -> ServerProcess:
        """A worker that polls Temporal."""
        process = self._start("work", "--backend", "temporal", wait_at=wait_at)
        process.hear("polling Temporal")
        return process


@dataclass
class Campaign:
    """Many runs at once, which processes execute."""

    tenant: GitTenant
    backend: BackendName

    def request(self, projects: int, each: int) -> list[UUID]:
        """Request runs of so many new projects, for each so many."""
        idle = IdleBackend(self.backend)
        runs = Runs(self.tenant.database, Backends([idle]))
        ids = [self.tenant.project().id for _ in range(projects)]
        return [
            runs.request(project_id, backend=self.backend).id
            for _ in range(each)
            for project_id in ids
        ]

    def ended(self) -> int:
        """How many have ended."""
        with self.tenant.database.reading() as session:
            query = select(func.count()).select_from(RunRow).where(RunRow.state.in_(TERMINAL))
            return session.scalar(query) or 0

    def await_end(self) -> None:
        """Wait until none is left, be it one that was requested or an attempt in its place."""

        def is_over() -> bool:
            with self.tenant.database.reading() as session:
                left = select(RunRow.id).where(RunRow.state.not_in(TERMINAL)).limit(1)
                return session.scalar(left) is None

        await_until(is_over, "all runs end", seconds=3600)

    def check(self, requested: list[UUID]) -> Counter[str]:
        """Check that each was executed, and none twice; how the attempts ended."""
        with self.tenant.database.reading() as session:
            rows = session.scalars(select(RunRow)).all()
            pulls = session.scalars(select(PullRow.project_id)).all()
        last = {row.attempt_root_id: row for row in rows if row.next_attempt_id is None}
        assert last.keys() == set(requested), "none lost, none made up"
        assert {row.state for row in last.values()} == {"succeeded"}
        changed = [row.project_id for row in rows if row.outcome == Outcome.CHANGED]
        assert sorted(changed) == sorted(pulls), "each pull is reported by one run"
        assert max(Counter(pulls).values()) == 1, "each project was changed once"
        return Counter(str(row.reason_code or row.outcome) for row in rows)

    def seconds(self) -> float:
        """From the first begin to the last end, by the database's clock."""
        with self.tenant.database.reading() as session:
            times = select(func.min(RunRow.started_at), func.max(RunRow.completed_at))
            began, ended = session.execute(times).one()
        assert began is not None
        assert ended is not None
        return float((ended - began).total_seconds())
