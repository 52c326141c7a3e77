"""Executes the runs that an orchestrator names, in a process that it started or gives work to.

The orchestrator may name a run twice, in two processes at once, or after the run has ended. The
first that takes the lease executes it; to the others it is held, or has ended.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from uuid import UUID

from towline_server.loops import Ticker

from .domain import BackendName, Lease, Run
from .queue import NotTaken
from .service import Runs
from .worker import ExecutorLock, Worker

_LOOK_SECONDS = 1.0
"""How often a run is looked at that cannot be taken yet."""


class OrchestratedWorker:
    """Executes runs by their ids, as one executor; `start` and `stop` are called once each."""

    def __init__(
        self, worker: Worker, runs: Runs, *, tickers: Sequence[Ticker], executor_lock: ExecutorLock
    ) -> None:
        self.worker = worker
        self.runs = runs
        """For reading, waiting and cancelling alone: it knows no backend."""
        self._tickers = tickers
        self._executor_lock = executor_lock
        self._stopping = threading.Event()

    def start(self) -> None:
        """Begin to renew leases."""
        for ticker in self._tickers:
            ticker.start()

    def close(self) -> None:
        """Hand back the runs that are executed: each ends in favour of another attempt."""
        self._stopping.set()
        self.worker.heartbeat.close()

    def stop(self) -> None:
        """Stop renewing leases, once no run is executed any more."""
        self.close()
        for ticker in self._tickers:
            ticker.stop()
        self.release()

    def release(self) -> None:
        """Let another process be this executor."""
        self._executor_lock.close()

    def execute(self, run_id: UUID) -> Run:
        """Execute a run to its end, and return it.

        It waits while another run works on the project, or another executor has this one; it
        returns what is there when the run has ended, or this process closes.

        Raises:
            NotFound: there is no such run (any more).
        """
        while True:
            taken = self.worker.take(run_id)
            if isinstance(taken, Lease):
                self.worker.execute_leased(taken)
            if not waits_for(taken) or self._stopping.wait(_LOOK_SECONDS):
                return self.runs.get(run_id)

    def cancel(self, run_id: UUID, by: BackendName) -> None:
        """Cancel a run, as it was cancelled at its orchestrator."""
        self.runs.cancel(run_id, by=str(by), reason=f"cancelled in {by.title()}")
        self.worker.heartbeat.stop_run(run_id)


def waits_for(taken: Lease | NotTaken) -> bool:
    """Whether a run that was not taken may be taken later."""
    return taken in (NotTaken.BUSY, NotTaken.HELD, NotTaken.FULL)
