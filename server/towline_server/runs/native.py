"""Executes runs in threads of this process.

The rows of the runs are the queue: a dispatcher claims the oldest run whose project is free, with a
lease, and gives it a thread. It looks when a run is submitted or ends here, and every
``poll_seconds`` for what other servers queued.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from uuid import UUID

from towline_server.loops import Backoff, Ticker

from .domain import BackendName
from .leases import Lease
from .tables import Run
from .worker import Worker

_LOG = logging.getLogger("towline.runs")


class NativeBackend:
    """Executes runs in this process, ``at_once`` of them, one a project."""

    name = BackendName.NATIVE

    def __init__(self, worker: Worker, *, at_once: int = 8, poll_seconds: float = 1.0) -> None:
        self._worker = worker
        self._at_once = at_once
        self._slots = threading.Semaphore(at_once)
        self._own: deque[UUID] | None = None
        self._backoff = Backoff[UUID]("dispatcher")
        self._ticker = Ticker("towline-dispatcher", poll_seconds, self.dispatch)

    def start(self) -> None:
        """Begin to execute, first what this executor held before its process ended."""
        self._ticker.start()

    def stop(self, seconds: float) -> None:
        """Hand back what is executed, and stop. What takes longer than ``seconds`` is left."""
        self._worker.heartbeat.close()
        self._ticker.stop()
        deadline = time.monotonic() + seconds
        for _ in range(self._at_once):
            if not self._slots.acquire(timeout=max(0, deadline - time.monotonic())):
                return

    def submit(self, run_ids: Sequence[UUID]) -> None:
        """Wake the dispatcher."""
        del run_ids  # it takes the oldest of all
        self._ticker.wake()

    @property
    def ticker(self) -> Ticker:
        """The dispatcher's loop."""
        return self._ticker

    def stop_run(self, run_id: UUID) -> None:
        """Tell a run that executes here that it was cancelled."""
        self._worker.heartbeat.stop_run(run_id)

    def dispatch(self) -> None:
        """Start runs for as long as one waits and a slot is free."""
        while self._slots.acquire(blocking=False):
            started = False
            try:
                if (lease := self._next()) is None:
                    return
                run = threading.Thread(
                    target=self._execute, args=(lease,), name="towline-run", daemon=True
                )
                run.start()
                started = True
            finally:
                if not started:
                    self._slots.release()

    def _next(self) -> Lease | None:
        if self._own is None:
            self._own = deque(self._worker.interrupted())
        while self._own:
            if isinstance(lease := self._worker.take(self._own.popleft()), Lease):
                return lease
        run = Run.backend == self.name
        while not self._worker.heartbeat.is_closed:
            others = run, Run.id.not_in(self._backoff.waiting)
            if (found := self._worker.next_waiting(*others)) is None:
                return None
            with self._backoff.attempting(found):
                return self._worker.take_next(*others)
        return None

    def _execute(self, lease: Lease) -> None:
        try:
            self._worker.execute_leased(lease)
        except Exception:  # noqa: BLE001 - its lease lapses, and another attempt follows
            _LOG.exception("run %s was left by its executor", lease.run_id)
        finally:
            self._slots.release()
            # The project's next run can start.
            self._ticker.wake()


class InlineBackend:
    """Executes each run before `submit` returns; several threads take turns."""

    name = BackendName.NATIVE

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._turn = threading.Lock()

    def submit(self, run_ids: Sequence[UUID]) -> None:
        """Execute these, one after another."""
        for run_id in run_ids:
            with self._turn:
                self._worker.execute(run_id)

    def stop_run(self, run_id: UUID) -> None:
        """Tell a run in another thread that it was cancelled."""
        self._worker.heartbeat.stop_run(run_id)
