"""Takes runs and executes them: what every backend in this process stands on."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from towline_server import logs
from towline_server.errors import NotFound

from .domain import BackendName
from .execute import Execution, Tools, execute
from .heart import Heart
from .leases import Lease, Refusal
from .tables import Run

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

    def take_next(self, backend: BackendName) -> Lease | None:
        """Take the oldest run of a backend that waits and whose project is free, if any."""
        leases, mine = self._tools.leases, Run.backend == backend
        # A look takes no lock; most find nothing.
        if self.heart.is_closed or (found := leases.next_waiting(mine)) is None:
            return None
        self._tools.boundary(found, "queued")
        return leases.take_next(self.executor_id, mine)

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
