"""A backend that executes runs at once, in the thread that asks for them: for tests and tools."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from .backends import Dispatch
from .dispatching import give_back
from .domain import BackendName
from .leases import Refusal
from .worker import Worker

_LATER = (Refusal.BUSY, Refusal.CLOSING)


class InlineBackend:
    """Executes each run before `submit` returns; several threads take turns."""

    name = BackendName.NATIVE

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._turn = threading.Lock()

    def submit(self, dispatches: Sequence[Dispatch]) -> None:
        """Execute these, one after another."""
        for dispatch in dispatches:
            with self._turn:
                if self._worker.execute(dispatch.run_id) in _LATER:
                    give_back(self._worker.tools.database, dispatch.run_id)

    def stop_run(self, run_id: UUID) -> None:
        """Tell a run in another thread that it was cancelled."""
        self._worker.heart.stop_run(run_id)

    def forget(self, ref: str) -> None:
        """Nothing is remembered."""

    def held_elsewhere(self, since: datetime) -> Sequence[str]:
        """Nothing is executed elsewhere."""
        del since
        return ()

    def still_has(self, refs: Sequence[str]) -> Collection[str]:
        """Nothing waits."""
        del refs
        return ()
