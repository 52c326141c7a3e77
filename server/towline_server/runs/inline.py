"""A backend that executes runs at once, in the thread that asks for them: for tests and tools."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from uuid import UUID

from .domain import BackendName
from .worker import Worker


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
        self._worker.heart.stop_run(run_id)
