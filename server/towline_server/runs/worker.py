"""Executes runs in threads of this process, and ends the runs whose executor was lost.

The rows of the runs are the queue: a thread takes the oldest run whose project is free, under a
lease. The dispatcher looks when a run is submitted here, and when it is woken for what other
servers queued (`towline_server.runs.due`).
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Protocol
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, func, select

from towline.errors import Cancelled
from towline_server import logs
from towline_server.db.clock import database_now
from towline_server.db.jobs import RetryPolicy
from towline_server.db.session import Database
from towline_server.errors import (
    BackendNotConfigured,
    HeartbeatMissed,
    LeaseLost,
    NotFound,
    RunUnclaimed,
)
from towline_server.loops import Backoff, Changes, Ticker, WorkerThreads

from .attempts import RETRIES, resume
from .bounds import AtOnce
from .completion import failed, write_completion
from .domain import BackendName, Lease
from .execute import Execution, Tools
from .queue import Heartbeat, Leases, Refusal
from .round_robin import Candidate, Excluded
from .states import ACTIVE, RunState
from .tables import RunRow, find_row, hold_projects

_LOG = logging.getLogger("towline.runs")


class Backend(Protocol):
    """Executes runs. Only the rows of the runs say which wait, and who executes which."""

    @property
    def name(self) -> BackendName:
        """The name that the rows of its runs have."""
        ...

    def submit(self, run_ids: Sequence[UUID]) -> None:
        """Look at runs that were just queued; a hint, as a backend finds them by itself."""
        ...

    def stop_run(self, run_id: UUID) -> None:
        """Stop a run that was cancelled, if it executes in this process; a hint."""
        ...


class Backends:
    """The backends that are configured."""

    def __init__(self, backends: Iterable[Backend]) -> None:
        self._backends = {backend.name: backend for backend in backends}

    @property
    def configured(self) -> tuple[BackendName, ...]:
        """Their names, in alphabetical order."""
        return tuple(sorted(self._backends))

    def get(self, name: str) -> Backend:
        """Return the backend of this name.

        Raises:
            BackendNotConfigured: it cannot be used here.
        """
        backend = self._backends.get(BackendName(name)) if name in set(BackendName) else None
        if backend is None:
            raise BackendNotConfigured(backend=name, configured=self.configured)
        return backend


class Worker:
    """Executes runs in this process, as one executor.

    ``executor_id`` is this process's alone, and the same after a restart: it resumes the runs that
    it held when it was killed.
    """

    def __init__(self, tools: Tools, heartbeat: Heartbeat, executor_id: str) -> None:
        self._tools = tools
        self.heartbeat = heartbeat
        self.executor_id = executor_id

    def interrupted(self) -> Sequence[Candidate]:
        """Return the runs that this executor held when its process ended, the oldest first."""
        return self._tools.leases.held_by(self.executor_id)

    def take(self, run_id: UUID) -> Lease | Refusal:
        """Take a run, or return why it cannot be taken."""
        if self.heartbeat.is_closed:
            return Refusal.CLOSING
        self._tools.boundary(run_id, "queued")
        try:
            read = self._tools.read_inputs
            return self._tools.leases.take(run_id, self.executor_id, read=read)
        except NotFound:
            return Refusal.ENDED  # it was deleted with its project

    def next_in_turn(self, backend: BackendName, excluded: Excluded) -> Candidate | None:
        """Look for the run that is next, without a lock: most looks find nothing."""
        found = self._tools.leases.next_in_turn(backend, excluded)
        if found is not None:
            self._tools.boundary(found.run_id, "queued")
        return found

    def take_next(self, *conditions: ColumnElement[bool]) -> Lease | None:
        """Take the oldest run that waits and whose project is free, of those that match."""
        read = self._tools.read_inputs
        return self._tools.leases.take_next(self.executor_id, *conditions, read=read)

    @contextmanager
    def holding(self, lease: Lease) -> Iterator[Execution]:
        """Renew the lease of a run during the block."""
        self._tools.changes.changed()
        about = {"run_id": str(lease.run_id), "project_id": str(lease.project_id)}
        with logs.about(**about), self.heartbeat.holding(lease) as token:
            _LOG.info("run begun")
            yield Execution(self._tools, lease, token)

    def execute_leased(self, lease: Lease) -> None:
        """Execute a run that was taken, to its end."""
        with self.holding(lease) as execution:
            execution.run()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """A run that this process executes, and what its bounds count it by."""

    lease: Lease
    tenant_id: UUID
    host: str | None


class NativeBackend:
    """Executes runs in this process, so many ``at_once``, one a project."""

    name = BackendName.NATIVE

    def __init__(self, worker: Worker, *, at_once: AtOnce, poll_seconds: float = 30.0) -> None:
        self._worker = worker
        self._at_once = at_once
        self._interrupted: list[Candidate] | None = None
        self._backoff = Backoff[UUID]("dispatcher")
        self._threads = WorkerThreads("towline-run", at_once.total, self._take, self._execute)
        self.ticker = Ticker("towline-dispatcher", poll_seconds, self._threads.fill)

    def stop(self, seconds: float) -> None:
        """Hand back the runs that are executed, and stop; wait no longer than ``seconds``."""
        self._worker.heartbeat.close()
        self.ticker.stop()
        self._threads.stop(seconds)

    def submit(self, run_ids: Sequence[UUID]) -> None:
        """Wake the dispatcher."""
        del run_ids  # it takes the run that is next
        self.ticker.wake()

    def stop_run(self, run_id: UUID) -> None:
        """Stop a run that was cancelled, if it executes here."""
        self._worker.heartbeat.stop_run(run_id)

    def _execute(self, taken: _Taken) -> None:
        self._worker.execute_leased(taken.lease)

    def _take(self, _room: int) -> Sequence[_Taken]:
        """Take one run, first of those that this executor held before its process ended."""
        if self._interrupted is None:
            self._interrupted = list(self._worker.interrupted())
        while self._interrupted:
            found = self._interrupted.pop(0)
            if isinstance(lease := self._worker.take(found.run_id), Lease):
                return [_taken(lease, found)]
        elsewhere: list[UUID] = []
        while not self._worker.heartbeat.is_closed:
            next_run = self._worker.next_in_turn(self.name, self._excluded(elsewhere))
            if next_run is None:
                break
            with self._backoff.attempting(next_run.run_id):
                if leased := self._worker.take_next(RunRow.id == next_run.run_id):
                    return [_taken(leased, next_run)]
                elsewhere.append(next_run.run_id)
        return []

    def _excluded(self, elsewhere: Sequence[UUID]) -> Excluded:
        tenants, hosts = self._at_once.full(self._threads.busy)
        return Excluded(tenants=tenants, hosts=hosts, runs=[*self._backoff.waiting, *elsewhere])


def _taken(lease: Lease, found: Candidate) -> _Taken:
    return _Taken(lease=lease, tenant_id=found.tenant_id, host=found.host)


class Reaper:
    """Ends the runs of a database whose executor was lost; a linked attempt follows each.

    Every server does it; each run is ended once.
    """

    def __init__(
        self,
        database: Database,
        leases: Leases,
        backends: Backends,
        changes: Changes,
        *,
        retries: RetryPolicy = RETRIES,
        claim_seconds: float = 3600,
    ) -> None:
        self._database = database
        self._jobs = leases.jobs
        self._backends = backends
        self._changes = changes
        self._retries = retries
        self._claim_seconds = claim_seconds
        self._backoff = Backoff[UUID]("reaper")

    def sweep(self) -> None:
        """End every run whose lease has expired, and those that no external executor claimed."""
        for run_id in self._expired():
            with self._backoff.attempting(run_id):
                self._reap(run_id)
        for run_id in self._unclaimed():
            with self._backoff.attempting(run_id):
                self._give_up(run_id)

    def _unclaimed(self) -> Sequence[UUID]:
        with self._database.reading() as session:
            long_ago = database_now(session) - timedelta(seconds=self._claim_seconds)
            return session.scalars(
                select(RunRow.id).where(
                    RunRow.state == RunState.QUEUED,
                    RunRow.backend == BackendName.EXTERNAL,
                    RunRow.is_parent.is_(False),
                    func.coalesce(RunRow.not_before, RunRow.created_at) < long_ago,
                    RunRow.id.not_in(self._backoff.waiting),
                )
            ).all()

    def _give_up(self, run_id: UUID) -> None:
        with self._database.writing() as session:
            row = find_row(session, run_id, lock=True)
            if row.state != RunState.QUEUED:
                return
            write_completion(session, row, failed(RunUnclaimed()), database_now(session))
        self._changes.changed()

    def _expired(self) -> Sequence[UUID]:
        with self._database.reading() as session:
            expired = select(RunRow.id).where(
                RunRow.state.in_(ACTIVE),
                RunRow.has_expired(database_now(session)),
                RunRow.id.not_in(self._backoff.waiting),
            )
            return session.scalars(expired.order_by(RunRow.lease_until)).all()

    def _reap(self, run_id: UUID) -> None:
        """End a run whose lease has expired, unless its executor has renewed it meanwhile."""
        with self._database.writing() as session:
            hold_projects(session, [run_id])
            # A locked row is about to change: it is looked at again soon.
            query = self._jobs.unlocked(select(RunRow).where(RunRow.id == run_id))
            row: RunRow | None = session.scalar(query)
            if row is None:
                return
            now = database_now(session)
            if row.state not in ACTIVE or row.lease_until is None or row.lease_until >= now:
                return
            following: list[UUID] = []
            native = row.backend == BackendName.NATIVE
            error = HeartbeatMissed() if native else LeaseLost(run_id=str(row.id))
            if row.cancel_requested_at is not None:
                # Its executor can no longer report that it stopped; it never starts again.
                write_completion(session, row, failed(Cancelled()), now)
            else:
                if row.auto_resumes < len(self._retries.delays):
                    # First, so that a parent which looks at its children sees that one follows.
                    following = [resume(session, row, now, counted=True)]
                write_completion(session, row, failed(error), now)
            _LOG.warning("run %s lost its executor %s", row.id, row.executor_id)
            backend = row.backend
        self._changes.changed()
        # Its project is free, for the next attempt or for another run that waits.
        self._backends.get(backend).submit(following)


class ExecutorLock:
    """An executor's id, in a file that is locked while the process lives.

    Each process over a folder has a file of its own, the first that is free; after a restart the
    ids are the same, and what they held is resumed.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = ("executor.id" if each == 1 else f"executor-{each}.id" for each in count(1))
        handle = next(filter(None, (_locked(folder / name) for name in names)))
        self._handle: int | None = handle
        found = os.read(handle, 100).decode("ascii", "replace").strip()
        self.id = found or f"executor-{uuid4().hex}"
        os.pwrite(handle, self.id.encode(), 0)

    def close(self) -> None:
        """Let another process have the id."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _locked(path: Path) -> int | None:
    """Open and lock a file; None: another process has locked it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle
