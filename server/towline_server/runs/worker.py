"""Takes runs and executes them: what every backend in this process stands on."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement

from towline_server import logs
from towline_server.errors import NotFound

from .execute import Execution, Tools, execute
from .heartbeat import Heartbeat
from .leases import Lease, Refusal

_LOG = logging.getLogger("towline.runs")


class Worker:
    """Executes runs in this process, as one executor.

    ``executor_id`` is the same when the process comes back, and nobody else's: what it held before
    it was killed it goes on with.
    """

    def __init__(self, tools: Tools, heartbeat: Heartbeat, executor_id: str) -> None:
        self._tools = tools
        self.heartbeat = heartbeat
        self.executor_id = executor_id

    def interrupted(self) -> Sequence[UUID]:
        """The runs that this executor held when its process ended, the oldest first."""
        return self._tools.leases.held_by(self.executor_id)

    def take(self, run_id: UUID) -> Lease | Refusal:
        """Take a run, or say why it cannot be had."""
        if self.heartbeat.is_closed:
            return Refusal.CLOSING
        self._tools.boundary(run_id, "queued")
        try:
            return self._tools.leases.take(run_id, self.executor_id)
        except NotFound:
            return Refusal.ENDED  # its project was deleted, and it with it

    def next_waiting(self, *those: ColumnElement[bool]) -> UUID | None:
        """Look for a run as `take_next` does, without a lock: most looks find nothing."""
        found = self._tools.leases.next_waiting(*those)
        if found is not None:
            self._tools.boundary(found, "queued")
        return found

    def take_next(self, *those: ColumnElement[bool]) -> Lease | None:
        """Take the oldest run that waits and whose project is free, among those that fit."""
        return self._tools.leases.take_next(self.executor_id, *those)

    @contextmanager
    def opened(self, run_id: UUID) -> Iterator[Execution | Refusal]:
        """Hold a run during the block, or tell why it cannot be had."""
        lease = self.take(run_id)
        if isinstance(lease, Refusal):
            yield lease
            return
        with self._holding(lease) as execution:
            yield execution

    @contextmanager
    def _holding(self, lease: Lease) -> Iterator[Execution]:
        self._tools.signals.changed()
        about = {"run_id": str(lease.run_id), "project_id": str(lease.project_id)}
        with logs.about(**about), self.heartbeat.holding(lease) as token:
            _LOG.info("run begun")
            yield Execution(self._tools, lease, token)

    def execute(self, run_id: UUID) -> Refusal | None:
        """Execute a run to its end, or tell why it cannot be had."""
        with self.opened(run_id) as execution:
            if isinstance(execution, Refusal):
                return execution
            execute(execution)
            return None

    def execute_leased(self, lease: Lease) -> None:
        """Execute a run that was taken."""
        with self._holding(lease) as execution:
            execute(execution)


class ExecutorLock:
    """An executor's id, kept in a file that is locked while the process lives.

    A second process over the same folder has an id of its own, for its life alone: what it leaves
    behind when it is killed is for the reaper.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / "executor.id"
        self._handle: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            self.id = _new()
            return
        self.id = os.read(self._handle, 100).decode("ascii", "replace").strip() or _new()
        os.pwrite(self._handle, self.id.encode(), 0)

    def close(self) -> None:
        """Let another process be this one."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _new() -> str:
    return f"executor-{uuid4().hex}"
