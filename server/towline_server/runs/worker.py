"""Executes runs in threads of this process.

The rows of the runs are the queue: a thread takes the oldest run whose project is free, under a
lease. The dispatcher looks when a run is submitted here, and when it is woken for what other
servers queued (`towline_server.runs.due`).
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Protocol
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement

from towline_server import logs, telemetry
from towline_server.errors import (
    BackendNotConfigured,
    NotFound,
)
from towline_server.loops import Backoff, Ticker, WorkerThreads

from .bounds import AtOnce
from .domain import BackendName, Lease
from .execute import Execution, Tools
from .heartbeat import Heartbeat, RunToken
from .queue import NotTaken
from .round_robin import Candidate, Excluded
from .tables import RunRow

_LOG = logging.getLogger("towline.runs")


class RunBackend(Protocol):
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

    def __init__(self, backends: Iterable[RunBackend]) -> None:
        self._backends = {backend.name: backend for backend in backends}

    @property
    def configured(self) -> tuple[BackendName, ...]:
        """Their names, in alphabetical order."""
        return tuple(sorted(self._backends))

    def get(self, name: str) -> RunBackend:
        """Return the backend of this name.

        Raises:
            BackendNotConfigured: it cannot be used here.
        """
        backend = self._backends.get(BackendName(name)) if name in set(BackendName) else None
        if backend is None:
            setting = _SETTINGS.get(name)
            raise BackendNotConfigured(backend=name, configured=self.configured, setting=setting)
        return backend

    def submit(self, name: str, run_ids: Sequence[UUID]) -> None:
        """Have a backend look at runs that wait already, if it is configured here."""
        if name in self.configured:
            self.get(name).submit(run_ids)

    def stop_run(self, name: str, run_id: UUID) -> None:
        """Have a backend stop a run that was cancelled, if it is configured here."""
        if name in self.configured:
            self.get(name).stop_run(run_id)


_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        BackendName.TEMPORAL: "temporal.address (TOWLINE_TEMPORAL__ADDRESS)",
        BackendName.PREFECT: "prefect.api_url (TOWLINE_PREFECT__API_URL)",
    }
)
"""What configures a backend that a server need not have."""


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

    def take(self, run_id: UUID, excluded: Excluded = Excluded()) -> Lease | NotTaken:
        """Take a run, or return why it cannot be taken; ``excluded`` is as for `Leases.take`."""
        if self.heartbeat.is_closed:
            return NotTaken.CLOSING
        self._tools.boundary(run_id, "queued")
        try:
            read = self._tools.read_inputs
            return self._tools.leases.take(run_id, self.executor_id, read=read, excluded=excluded)
        except NotFound:
            return NotTaken.ENDED  # it was deleted with its project

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
        about = about_run(lease)
        with (
            logs.about(**about),
            telemetry.span("run", **about),
            self.heartbeat.holding(lease) as token,
        ):
            yield self.begin(lease, token)

    def begin(self, lease: Lease, token: RunToken) -> Execution:
        """Return the execution of a run that was taken, whose lease the caller has renewed."""
        self._tools.changes.changed(*lease.row_ids)
        _LOG.info("run begun")
        return Execution(self._tools, lease, token)

    def execute_leased(self, lease: Lease) -> None:
        """Execute a run that was taken, to its end."""
        with self.holding(lease) as execution:
            execution.run()


def about_run(lease: Lease) -> dict[str, str]:
    """Return what the lines of a log have of a run (`towline_server.logs.about`)."""
    return {"run_id": str(lease.run_id), "project_id": str(lease.project_id)}


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

    def _execute(self, lease: Lease) -> None:
        self._worker.execute_leased(lease)

    def _take(self, _room: int) -> Sequence[Lease]:
        """Take one run, first of those that this executor held before its process ended."""
        if self._interrupted is None:
            self._interrupted = list(self._worker.interrupted())
        while self._interrupted:
            found = self._interrupted.pop(0)
            if isinstance(lease := self._worker.take(found.run_id), Lease):
                return [lease]
        elsewhere: list[UUID] = []
        while not self._worker.heartbeat.is_closed:
            next_run = self._worker.next_in_turn(self.name, self._excluded(elsewhere))
            if next_run is None:
                break
            with self._backoff.attempting(next_run.run_id):
                if leased := self._worker.take_next(RunRow.id == next_run.run_id):
                    return [leased]
                elsewhere.append(next_run.run_id)
        return []

    def _excluded(self, elsewhere: Sequence[UUID]) -> Excluded:
        tenants, hosts = self._at_once.full(self._threads.busy)
        return Excluded(tenants=tenants, hosts=hosts, runs=[*self._backoff.waiting, *elsewhere])


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
