"""Executes runs a step at a time, where an orchestrator asks for each step by itself.

Between two steps this process has the run's lease and its plan in memory. Each step may be asked
for twice, late, or first of another process: a step does those before it that were not done here,
and does nothing for a run that has ended. A run of which no step is asked for any more is released
after the length of a lease; then its lease expires, as that of a lost executor.
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING
from uuid import UUID

from towline_server import logs, telemetry

from .bounds import AtOnce
from .domain import Lease
from .execute import Execution
from .heartbeat import RunToken
from .orchestrated import OrchestratedWorker, waits_for
from .queue import NotTaken
from .round_robin import Excluded
from .worker import about_run

if TYPE_CHECKING:
    from opentelemetry.trace import Span


class RunStep(IntEnum):
    """A step of a run, in their order."""

    FETCH = 1
    COMPARE = 2
    APPLY = 3


class Progress(IntEnum):
    """What has become of a step that was asked for."""

    DONE = 0
    """The next one follows."""
    ENDED = 1
    """The run has ended."""
    WAITS = 2
    """It cannot be done here now: ask again."""


@dataclass
class _Held:
    """A run, and what this process has of it. Who does a step has the lock."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    stack: ExitStack = field(default_factory=ExitStack)
    lease: Lease | None = None
    token: RunToken | None = None
    execution: Execution | None = None
    span: Span | None = None
    done: int = 0
    is_over: bool = False
    used_at: float = 0.0


class Steps:
    """The runs that this process executes; so many ``at_once`` have begun and not ended.

    Those that an executor held before it was restarted are resumed beyond the bounds.
    """

    def __init__(
        self,
        worker: OrchestratedWorker,
        *,
        at_once: AtOnce,
        idle_seconds: float,
    ) -> None:
        self._worker = worker.worker
        self._at_once = at_once
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._taking = threading.Lock()
        self._held: dict[UUID, _Held] = {}

    def do(self, run_id: UUID, step: RunStep) -> Progress:
        """Do the steps of a run up to one; one that is being done is waited for."""
        held = self._find(run_id)
        if held is None:
            return Progress.WAITS
        with held.lock:
            if held.is_over:
                return Progress.ENDED
            if held.execution is None and (refusal := self._take(run_id, held)) is not None:
                self._forget(run_id, held)
                return Progress.WAITS if _may_come(refusal) else Progress.ENDED
            progress = self._do(held, step)
            held.used_at = time.monotonic()
            if progress is Progress.ENDED:
                self._forget(run_id, held)
            return progress

    def resume(self) -> None:
        """Execute the runs that this executor had when its process ended, each in a thread."""
        for found in self._worker.interrupted():
            work = (found.run_id, RunStep.APPLY)
            threading.Thread(target=self.do, args=work, name="towline-run", daemon=True).start()

    def release_idle(self) -> None:
        """End what is to stop between two steps, and release what is not asked for any more."""
        for run_id, held in self._snapshot():
            # One that does a step looks by itself.
            if not held.lock.acquire(blocking=False):
                continue
            try:
                if held.execution is None or held.is_over or held.token is None:
                    continue
                if held.token.is_set():
                    self._do(held, RunStep.APPLY)
                    self._forget(run_id, held)
                elif time.monotonic() - held.used_at > self._idle_seconds:
                    self._forget(run_id, held)
            finally:
                held.lock.release()

    @property
    def is_idle(self) -> bool:
        """Whether no run has begun and not ended."""
        return not self._snapshot()

    def _snapshot(self) -> list[tuple[UUID, _Held]]:
        with self._lock:
            return list(self._held.items())

    def _find(self, run_id: UUID) -> _Held | None:
        with self._lock:
            if run_id not in self._held and len(self._held) >= self._at_once.total:
                return None
            return self._held.setdefault(run_id, _Held())

    def _take(self, run_id: UUID, held: _Held) -> NotTaken | None:
        with self._taking:
            taken = self._worker.take(run_id, self._excluded())
            if not isinstance(taken, Lease):
                return taken
            held.lease = taken
        about = about_run(taken)
        held.span = telemetry.begin_span("run", **about)
        if held.span is not None:
            held.stack.callback(held.span.end)
        held.token = held.stack.enter_context(self._worker.heartbeat.holding(taken))
        with logs.about(**about), telemetry.within(held.span):
            held.execution = self._worker.begin(taken, held.token)
        return None

    def _excluded(self) -> Excluded:
        """Return the tenants and the hosts that have as much of this process as they may."""
        leases = [held.lease for _, held in self._snapshot() if held.lease is not None]
        tenants, hosts = self._at_once.full(leases)
        return Excluded(tenants=tenants, hosts=hosts)

    def _do(self, held: _Held, step: RunStep) -> Progress:
        execution, lease = held.execution, held.lease
        assert execution is not None, "it was taken"
        assert lease is not None, "it was taken"
        each = {
            RunStep.FETCH: execution.fetch,
            RunStep.COMPARE: execution.compare,
            RunStep.APPLY: execution.apply,
        }
        with logs.about(**about_run(lease)), telemetry.within(held.span):
            for number in range(held.done + 1, step + 1):
                if not each[RunStep(number)]():
                    return Progress.ENDED
                held.done = number
        return Progress.DONE

    def _forget(self, run_id: UUID, held: _Held) -> None:
        held.is_over = True
        held.stack.close()
        with self._lock:
            self._held.pop(run_id, None)


def _may_come(refusal: NotTaken) -> bool:
    return waits_for(refusal) or refusal is NotTaken.CLOSING
