"""The workflow of a run: fetch, compare, apply, each an activity.

It has no truth of its own: the run's row says how the run is, and an activity for a run that has
ended does nothing. What it does is stored in histories that a later version must replay: a change
of which activities it schedules, or in which order, goes behind `temporalio.workflow.patched`, and
the recorded histories of the tests stay.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception

from .names import APPLY, CANCEL, COMPARE, FETCH, WORKFLOW

_LONGEST_STEP = timedelta(hours=24)
"""A step ends by the limits of the settings; this is for one that does not."""
_SILENCE = timedelta(seconds=10)
"""After how long without a heartbeat a worker is lost to Temporal. The run's lease decides."""
_UNTIL_BEGUN = timedelta(seconds=60)
"""After how long another worker is asked for a run whose worker takes no steps any more."""
_AGAIN = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2,
    maximum_interval=timedelta(seconds=10),
)
_ONCE = RetryPolicy(maximum_attempts=1)


@dataclass
class StepDone:
    """The result of an activity."""

    ended: bool
    task_queue: str = ""
    """Of the worker that has the run: it does the next step."""
    state: str = ""
    """How the run ended."""


@workflow.defn(name=WORKFLOW)
class RunWorkflow:
    """Has one run executed."""

    @workflow.run
    async def run(self, run_id: str) -> str:
        """Return the state in which the run ended."""
        try:
            while True:
                begun = await self._do(FETCH, run_id, _AGAIN)
                if begun.ended:
                    return begun.state
                try:
                    for name in (COMPARE, APPLY):
                        done = await self._do(name, run_id, _ONCE, begun.task_queue)
                        if done.ended:
                            return done.state
                except ActivityError as error:
                    if is_cancelled_exception(error):
                        raise
                    # Its worker is gone. Another one finds that it has ended, or takes it.
                    workflow.logger.warning("the worker of a run does not answer")
        except (ActivityError, asyncio.CancelledError) as error:
            if is_cancelled_exception(error):
                await asyncio.shield(self._cancel(run_id))
            raise

    async def _do(
        self, name: str, run_id: str, retries: RetryPolicy, task_queue: str | None = None
    ) -> StepDone:
        """Do an activity: any worker, or that of a task queue, which has to begin soon."""
        done: StepDone = await workflow.execute_activity(
            name,
            run_id,
            task_queue=task_queue,
            result_type=StepDone,
            schedule_to_start_timeout=None if task_queue is None else _UNTIL_BEGUN,
            start_to_close_timeout=_LONGEST_STEP,
            heartbeat_timeout=_SILENCE,
            retry_policy=retries,
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
        return done

    async def _cancel(self, run_id: str) -> None:
        await workflow.execute_activity(
            CANCEL, run_id, start_to_close_timeout=timedelta(minutes=1), retry_policy=_AGAIN
        )
