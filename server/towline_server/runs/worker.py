"""Takes runs and executes them: what every backend in this process stands on."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from sqlalchemy import ColumnElement

from towline_server import logs
from towline_server.errors import NotFound

from .execute import Execution, Tools, execute
from .heart import Heart
from .leases import Lease, Refusal

_LOG = logging.getLogger("towline.runs")


class Worker:
    """Executes runs in this process, as one executor.

    ``executor_id`` is the same when the process comes back, and nobody else's: what it held before
    it was killed it goes on with.
    """

    def __init__(self, tools: Tools, heart: Heart, executor_id: str) -> None:
        self._tools = tools
        self.heart = heart
        self.executor_id = executor_id

    def interrupted(self) -> Sequence[UUID]:
        """The runs that this executor held when its process ended, the oldest first."""
        return self._tools.leases.held_by(self.executor_id)

    def take(self, run_id: UUID) -> Lease | Refusal:
        """Take a run, or say why it cannot be had."""
        if self.heart.is_closed:
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
        with logs.about(**about), self.heart.holding(lease) as token:
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
