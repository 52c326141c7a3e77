"""Executes one run, in the process that a Prefect worker started for its flow run.

Prefect ends the process with SIGTERM where the flow run is cancelled, and where its worker shuts
down: its state there says which.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import assert_never
from uuid import UUID

from towline.errors import InvalidValue
from towline_server.auth.sealing import Sealer
from towline_server.db.session import Database
from towline_server.errors import InvalidSettings, OrchestratorUnavailable
from towline_server.runs.domain import BackendName, Lease, Run
from towline_server.runs.orchestrated import OrchestratedWorker
from towline_server.runs.queue import NotTaken
from towline_server.runs.runtime import open_orchestrated_worker
from towline_server.settings import Settings

from .api import Missing, StateType
from .orchestrator import PrefectOrchestrator

_LOG = logging.getLogger("towline.runs")

_FLOW_RUN_VARIABLE = "PREFECT__FLOW_RUN_ID"
"""The environment variable in which each worker gives a process the id of its flow run."""
_LOOK_SECONDS = 1.0
_LATER_SECONDS = 5.0
"""After how long Prefect starts a process again for a run whose project was busy."""
_STOPS = frozenset({StateType.CANCELLING, StateType.CANCELLED})


def execute_flow_run(settings: Settings, database: Database, sealer: Sealer, run_id: UUID) -> Run:
    """Execute a run in this process, which a worker has started; see `PrefectExecution.execute`.

    Raises:
        InvalidSettings: they do not name Prefect.
        InvalidValue: no Prefect worker has started this process, or not for such a run.
        NotFound: there is no such run.
    """
    if not settings.prefect.api_url:
        raise InvalidSettings(problems=("prefect.api_url: needed by work --backend prefect",))
    flow_run_id = _flow_run_id(os.environ.get(_FLOW_RUN_VARIABLE, ""))
    prefect = PrefectOrchestrator(settings.prefect)
    worker = open_orchestrated_worker(settings, database, sealer)
    worker.start()
    try:
        return PrefectExecution(worker, prefect, run_id, flow_run_id).execute()
    finally:
        worker.stop()
        prefect.close()


def _flow_run_id(given: str) -> UUID:
    try:
        return UUID(given)
    except ValueError:
        problem = "a Prefect worker sets it for the processes that it starts"
        raise InvalidValue(field=_FLOW_RUN_VARIABLE, problem=problem) from None


class PrefectExecution:
    """One run, and the flow run that a process was started for."""

    def __init__(
        self,
        worker: OrchestratedWorker,
        prefect: PrefectOrchestrator,
        run_id: UUID,
        flow_run_id: UUID,
    ) -> None:
        self._worker = worker
        self._prefect = prefect
        self._run_id = run_id
        self._flow_run_id = flow_run_id

    def execute(self) -> Run:
        """Execute the run, if it waits, and return it as Prefect was informed of it.

        `SystemExit` in it, as SIGTERM raises it, stops the run first.

        Raises:
            NotFound: there is no such run.
            InvalidValue: the run is for another backend.
        """
        backend = self._worker.runs.get(self._run_id).executor.backend
        if backend is not BackendName.PREFECT:
            raise InvalidValue(field="RUN", problem=f"the run is for the backend {backend}")
        try:
            with ThreadPoolExecutor(1, "towline-run") as thread:
                executed = thread.submit(self._execute)
                try:
                    # Where another thread was interrupted, this one handles the signal then.
                    while not executed.done():
                        wait([executed], timeout=_LOOK_SECONDS)
                    executed.result()
                except SystemExit:
                    self._stop()
                    raise
        finally:
            self._report()
        return self._worker.runs.get(self._run_id)

    def _execute(self) -> None:
        taken = self._worker.worker.take(self._run_id)
        match taken:
            case Lease():
                with self._worker.worker.holding(taken) as execution:
                    self._begin()
                    execution.run()
            case NotTaken.BUSY:
                self._postpone()
            case NotTaken.HELD | NotTaken.FULL | NotTaken.ENDED | NotTaken.CLOSING:
                _LOG.info("run %s is not executed here: %s", self._run_id, taken)
            case _:
                assert_never(taken)

    # --- between it and Prefect ----------------------------------------------------------------

    def _begin(self) -> None:
        with self._informing():
            if self._prefect.api.propose(self._flow_run_id, StateType.RUNNING) in _STOPS:
                self._cancel()

    def _postpone(self) -> None:
        later = datetime.now(UTC) + timedelta(seconds=_LATER_SECONDS)
        with self._informing():
            busy = "another run works on the project"
            self._prefect.api.set_state(self._flow_run_id, StateType.SCHEDULED, busy, at=later)

    def _stop(self) -> None:
        with self._informing():
            if self._prefect.api.flow_run(self._flow_run_id).state.type in _STOPS:
                self._cancel()
        # Where it was not cancelled, another attempt follows.
        self._worker.close()

    def _cancel(self) -> None:
        self._worker.cancel(self._run_id, BackendName.PREFECT)

    def _report(self) -> None:
        run = self._worker.runs.get(self._run_id)
        if run.is_terminal:
            with self._informing():
                self._prefect.settle(str(self._flow_run_id), run.state)

    @contextmanager
    def _informing(self) -> Iterator[None]:
        """Go on where Prefect does not answer: a server informs it later."""
        try:
            yield
        except (OrchestratorUnavailable, Missing) as problem:
            _LOG.warning("Prefect is not informed of run %s now: %s", self._run_id, problem)
