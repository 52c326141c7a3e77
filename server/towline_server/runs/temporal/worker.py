"""A worker of Temporal: it polls for steps, and does them in threads of this process."""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from towline_server.loops import Ticker
from towline_server.orchestrator_settings import TemporalSettings
from towline_server.runs.bounds import AtOnce
from towline_server.runs.orchestrated import OrchestratedWorker
from towline_server.runs.steps import Steps

from .connection import check_installed, connect

if TYPE_CHECKING:
    from temporalio.client import Client
    from temporalio.worker import Worker

_LOG = logging.getLogger("towline.runs")
_LOOK_SECONDS = 1.0
_LONGEST_PAUSE = 30.0
_THROTTLE = timedelta(seconds=2)
"""How often heartbeats are sent: their answers say that a workflow was cancelled."""


class TemporalWorker:
    """Executes the runs that Temporal has for this deployment, so many ``at_once``.

    Raises:
        InvalidSettings: the extra ``temporal`` is not installed.
    """

    def __init__(
        self,
        worker: OrchestratedWorker,
        settings: TemporalSettings,
        *,
        at_once: AtOnce,
        lease_seconds: float,
    ) -> None:
        check_installed()
        self._worker = worker
        self._settings = settings
        self._at_once = at_once.total
        # A run whose next step is late makes room for no other at once: some more may have begun.
        self.steps = Steps(
            worker, at_once=replace(at_once, total=2 * at_once.total), idle_seconds=lease_seconds
        )
        self._ticker = Ticker("towline-steps", _LOOK_SECONDS, self.steps.release_idle)
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="temporal-worker", daemon=True)

    def start(self) -> None:
        """Begin, with the runs that this executor had when it was killed."""
        self._worker.start()
        self._ticker.start()
        self.steps.resume()
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Hand back the runs that are executed, and stop; wait no longer than ``seconds``."""
        self._worker.close()
        self._ticker.stop()
        self.steps.release_idle()
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(seconds)
        self._worker.stop()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        """Poll until the process stops; while Temporal is away, connect again and again."""
        pause = 1.0
        while not self._stopping.is_set():
            try:
                client = await connect(self._settings)
                pause = 1.0
                await self._poll(client)
            except Exception as error:  # noqa: BLE001 - it has to go on for as long as the process does
                _LOG.warning("Temporal cannot be used: %s", error)
                await self._paused(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def _paused(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    async def _poll(self, client: Client) -> None:
        workers = self._workers(client)
        _LOG.info("polling Temporal", extra={"task_queue": self._settings.task_queue})
        running = [asyncio.create_task(each.run()) for each in workers]
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({*running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for each in workers:
            await each.shutdown()
        stopping.cancel()
        for each_run in running:
            await each_run

    def _workers(self, client: Client) -> list[Worker]:
        """Return the worker of the deployment's task queue, and that of this process's own."""
        from temporalio.worker import Worker

        from .activities import Activities
        from .workflow import RunWorkflow

        shared = self._settings.task_queue
        own = f"{shared}/{self._worker.worker.executor_id}"
        activities = Activities(self._worker, self.steps, own)
        return [
            Worker(
                client,
                task_queue=queue,
                workflows=workflows,
                activities=done,
                max_concurrent_activities=self._at_once,
                max_heartbeat_throttle_interval=_THROTTLE,
                graceful_shutdown_timeout=timedelta(hours=1),
            )
            for queue, workflows, done in (
                (shared, [RunWorkflow], activities.of_any),
                (own, [], activities.of_own),
            )
        ]
