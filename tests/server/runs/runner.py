"""Runs executed in this process, step by step: nothing runs unless a test calls for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select, update

from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.inline import SteppedWorker, fetch_here
from tests.server.runs.stepped_orchestrator import SteppedOrchestrator
from towline.errors import Cancelled
from towline.remotes.url import ALL_SCHEMES
from towline_server.db.clock import database_now
from towline_server.loops import ChangeSignal
from towline_server.runs.completion import complete, failed
from towline_server.runs.delegation import OrchestratedBackend
from towline_server.runs.domain import BackendName, Lease, Run
from towline_server.runs.execute import Boundary, Tools, pass_boundary
from towline_server.runs.external import ExternalBackend, ExternalWork
from towline_server.runs.fetching import FetchRevision, Repositories, SharedFetches
from towline_server.runs.heartbeat import Heartbeat
from towline_server.runs.queue import Leases
from towline_server.runs.reaper import Reaper
from towline_server.runs.service import Runs
from towline_server.runs.tables import RunRow, children_of, run_of
from towline_server.runs.worker import Backends

BOUNDARIES = ("fetching", "fetched", "comparing", "validating", "applying", "committing", "ended")
"""Where a run can be stopped, in their order."""
BEFORE_THE_COMMIT = BOUNDARIES[:5]


@dataclass
class HoldingBackend:
    """A native backend that stores the submitted runs; none is executed by itself."""

    name = BackendName.NATIVE
    heartbeat: Heartbeat | None = None
    submitted: list[UUID] = field(default_factory=list)

    def submit(self, run_ids: Sequence[UUID]) -> None:
        self.submitted += run_ids

    def stop_run(self, run_id: UUID) -> None:
        if self.heartbeat is not None:
            self.heartbeat.stop_run(run_id)


class CallingSignal(ChangeSignal):
    """A signal that calls a function each time that a run changed."""

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__()
        self._call = call

    def changed(self, *row_ids: UUID) -> None:
        self._call()
        super().changed(*row_ids)


class Gate:
    """Stops a run at a boundary until the test has looked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._came = threading.Semaphore(0)
        self._may_go = threading.Event()

    def __call__(self, _run_id: UUID, name: str) -> None:
        if name == self.name:
            self._came.release()
            self._may_go.wait()

    def await_run(self) -> None:
        self._came.acquire()

    def open(self) -> None:
        self._may_go.set()


@dataclass
class Runner:
    """The service, the reaper, and as many workers as a test wants."""

    tenant: GitTenant
    fetcher: FetchRevision = fetch_here
    orchestrators: Sequence[SteppedOrchestrator] = ()

    def __post_init__(self) -> None:
        database = self.tenant.database
        self.leases = Leases(database)
        self.changes = ChangeSignal()
        self.fetches = SharedFetches(self.fetcher, now=database.now)
        self.repositories = Repositories(
            database, self.tenant.sealer, self.tenant.cache_dir, schemes=ALL_SCHEMES
        )
        self.native = HoldingBackend()
        self.orchestrated = [
            OrchestratedBackend(each, database, self.changes) for each in self.orchestrators
        ]
        self.backends = Backends([self.native, ExternalBackend(), *self.orchestrated])
        self.runs = Runs(database, self.backends, changes=self.changes)
        self.reaper = Reaper(database, self.leases, self.backends, self.changes)
        self.external = ExternalWork(database, self.leases, self.repositories, self.changes)

    def worker(
        self,
        name: str = "one",
        gate: Boundary | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> SteppedWorker:
        tools = Tools(
            database=self.tenant.database,
            leases=self.leases,
            repositories=self.repositories,
            fetches=self.fetches,
            changes=self.changes,
            boundary=gate or pass_boundary,
            sleep=sleep,
        )
        return SteppedWorker(tools, Heartbeat(self.leases), name)

    @contextmanager
    def paused(self, run_id: UUID, at: str, worker: str = "one") -> Iterator[SteppedWorker]:
        """A run that is stopped at a boundary in the block, and goes on to its end after it."""
        gate = Gate(at)
        made = self.worker(worker, gate)
        thread = threading.Thread(target=made.execute, args=(run_id,))
        thread.start()
        try:
            gate.await_run()
            yield made
        finally:
            gate.open()
            thread.join()

    def children(self, run_id: UUID) -> list[Run]:
        """The children of a run, the last attempt of each."""
        with self.tenant.database.reading() as session:
            return [run_of(row) for row in session.scalars(children_of(run_id))]

    def work(self) -> None:
        """Execute every run that was submitted, and the windows that follow."""
        while self.native.submitted:
            self.worker().execute(self.native.submitted.pop(0))
            self.work_windows()

    def pass_on(self) -> None:
        """Pass runs on to their orchestrators."""
        for backend in self.orchestrated:
            backend.follow_due()

    def work_orchestrated(self) -> None:
        """Pass runs on, and execute each that was, as the workers of its orchestrator do."""
        self.pass_on()
        while started := [each.starts.pop(0) for each in self.orchestrators if each.starts]:
            for run_id in started:
                self.worker().execute(run_id)
            self.pass_on()

    def work_windows(self) -> None:
        """Execute the windows that wait, in the queue's order."""
        by_windows = select(RunRow.id).where(RunRow.windows_pulled.is_not(None))
        waiting = RunRow.backend == BackendName.NATIVE, RunRow.parent_id.in_(by_windows)
        worker = self.worker()
        while (lease := worker.take_next(*waiting)) is not None:
            worker.execute_leased(lease)

    def end(self, lease: Lease) -> None:
        """End a run that was taken."""
        with self.tenant.database.writing() as session:
            complete(session, lease, failed(Cancelled()), database_now(session))

    def lapse(self) -> None:
        """Let every lease run out."""
        with self.tenant.database.writing() as session:
            session.execute(
                update(RunRow)
                .where(RunRow.lease_until.is_not(None))
                .values(lease_until=RunRow.created_at)
            )

    def lose(self) -> None:
        """Let every lease run out, and end the runs of the executors that were lost."""
        self.lapse()
        self.reaper.sweep()

    def make_due(self) -> None:
        """Have orchestrators asked about every run that they have, be it due or not."""
        with self.tenant.database.writing() as session:
            due = update(RunRow).where(RunRow.backend_due_at.is_not(None))
            session.execute(due.values(backend_due_at=RunRow.created_at))

    def age(self, seconds: float) -> None:
        """Make everything that happened to runs happen so much earlier."""
        with self.tenant.database.writing() as session:
            for row in session.query(RunRow):
                row.created_at -= timedelta(seconds=seconds)
                row.updated_at -= timedelta(seconds=seconds)
                if row.not_before is not None:
                    row.not_before -= timedelta(seconds=seconds)
