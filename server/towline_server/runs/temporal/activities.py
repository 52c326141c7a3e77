"""The activities of a run: each a step that this process does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from towline_server.errors import NotFound
from towline_server.runs.domain import BackendName
from towline_server.runs.orchestrated import OrchestratedWorker
from towline_server.runs.steps import Progress, RunStep, Steps

from .names import APPLY, CANCEL, COMPARE, FETCH
from .workflow import StepDone

T = TypeVar("T")

_HEARTBEAT_SECONDS = 2.0


class Activities:
    """The activities; ``own_queue`` is the task queue of this process alone."""

    def __init__(self, worker: OrchestratedWorker, steps: Steps, own_queue: str) -> None:
        self._worker = worker
        self._steps = steps
        self._own_queue = own_queue

    @property
    def of_any(self) -> list[Callable[..., Any]]:
        """What any worker does."""
        return [self.fetch, self.cancel]

    @property
    def of_own(self) -> list[Callable[..., Any]]:
        """What the worker does that has fetched."""
        return [self.compare, self.apply]

    @activity.defn(name=FETCH)
    async def fetch(self, run_id: str) -> StepDone:
        """Take a run, and fetch what it pulls."""
        return await self._do(UUID(run_id), RunStep.FETCH)

    @activity.defn(name=COMPARE)
    async def compare(self, run_id: str) -> StepDone:
        """Make the run's plan."""
        return await self._do(UUID(run_id), RunStep.COMPARE)

    @activity.defn(name=APPLY)
    async def apply(self, run_id: str) -> StepDone:
        """Apply the run's plan."""
        return await self._do(UUID(run_id), RunStep.APPLY)

    @activity.defn(name=CANCEL)
    async def cancel(self, run_id: str) -> None:
        """Cancel a run whose workflow was cancelled."""
        await _in_thread(partial(self._cancel, UUID(run_id)))

    async def _do(self, run_id: UUID, step: RunStep) -> StepDone:
        doing = _in_thread(partial(self._steps.do, run_id, step))
        try:
            while not (await asyncio.wait({doing}, timeout=_HEARTBEAT_SECONDS))[0]:
                activity.heartbeat()
        except asyncio.CancelledError:
            await self._stop(run_id, doing)
            raise
        match doing.result():
            case Progress.DONE:
                return StepDone(ended=False, task_queue=self._own_queue)
            case Progress.ENDED:
                state = await _in_thread(partial(self._state, run_id))
                return StepDone(ended=True, state=state)
            case Progress.WAITS:
                # Another run works on the project, or another process has this one.
                raise ApplicationError(
                    "the run cannot be taken now", category=ApplicationErrorCategory.BENIGN
                )

    async def _stop(self, run_id: UUID, doing: asyncio.Future[Progress]) -> None:
        """Cancel the run if its workflow was; in any case wait until the step is over."""
        details = activity.cancellation_details()
        if details is not None and details.cancel_requested:
            await _in_thread(partial(self._cancel, run_id))
        await asyncio.wait({doing})

    def _cancel(self, run_id: UUID) -> None:
        try:
            self._worker.cancel(run_id, BackendName.TEMPORAL)
        except NotFound:
            return  # it was deleted with its project

    def _state(self, run_id: UUID) -> str:
        found = self._worker.runs.find(run_id)
        return "deleted" if found is None else str(found.state)


def _in_thread(work: Callable[[], T]) -> asyncio.Future[T]:
    """Do something in a thread of its own; the process may end without it."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
            future.set_exception(error)

    threading.Thread(target=run, name="towline-run", daemon=True).start()
    return asyncio.wrap_future(future)
