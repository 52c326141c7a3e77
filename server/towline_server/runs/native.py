"""Runs as durable workflows, on DBOS over the control plane's own database.

A workflow has three steps: fetch, compare, apply. What a step did stands in the run's row; DBOS
remembers no more than that it was done. So a process that was killed goes on where it was, and a
step that is done again changes nothing twice.

What DBOS does by itself that has to be kept in mind:

- A workflow whose process died keeps its project's place in the queue until it is cancelled or
  resumed (`forget`); on start a process recovers its own, and only those. That is so from the
  moment it leaves the queue until DBOS has written that it ended: before its run is taken, and
  after its run has ended, too (`held_elsewhere`).
- A name is good for one workflow, even for one that failed before it did anything (`still_has`).
- Cancelling one takes effect between steps. What stops a step is the run's own token.
- There is one DBOS in a process, so there is one `NativeBackend` in it that is started.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import make_url

from towline_server.errors import Unavailable
from towline_server.projects.service import utc_now

from .backends import Dispatch
from .dispatching import give_back
from .domain import BackendName
from .leases import Refusal
from .worker import Worker

_APPLICATION = "towline"
_VERSION = "1"
"""The shape of the workflow: a process takes up what one of the same shape began."""
_QUEUE = "towline-runs"
_STEPS = ("fetch", "compare", "apply")
_KEPT = timedelta(days=1)
_PRUNED = 500


class NativeBackend:
    """Executes runs in this process, ``at_once`` of them, one a project.

    ``idle_seconds``: as `towline_server.db.make_engine` has it, for DBOS's own transactions.
    """

    name = BackendName.NATIVE

    def __init__(
        self,
        worker: Worker,
        database_url: str,
        *,
        at_once: int = 8,
        poll_seconds: float = 0.2,
        idle_seconds: float = 20,
        utc_now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._worker = worker
        self._url = database_url
        self._at_once = at_once
        self._poll_seconds = poll_seconds
        self._idle_seconds = idle_seconds
        self._utc_now = utc_now
        self._workflow: Callable[[str], str] | None = None

    def start(self) -> None:
        """Take up what this executor left behind, and begin to take what is handed over.

        The database must have its tables, and be in WAL mode if it is SQLite.
        """
        # It gives a logger that has no handler one that writes lines of its own form.
        logging.getLogger("dbos").addHandler(logging.NullHandler())
        from dbos import DBOS

        def towline_run(run_id: str) -> str:
            return self._run(run_id)

        DBOS(config=self._configuration())
        self._workflow = DBOS.workflow(name="towline_run")(towline_run)
        DBOS.launch()
        DBOS.register_queue(
            _QUEUE,
            worker_concurrency=self._at_once,
            partition_concurrency=1,
            polling_interval_sec=self._poll_seconds,
            on_conflict="always_update",
        )

    def stop(self, seconds: float) -> None:
        """Hand back what is executed, and stop. What takes longer than ``seconds`` is left."""
        from dbos import DBOS

        busy = self._worker.heart.close()
        self._workflow = None
        # It looks once a second, so an idle process is not made to wait for it.
        DBOS.destroy(
            destroy_registry=True, workflow_completion_timeout_sec=int(seconds) if busy else 0
        )

    def _configuration(self) -> Any:
        from dbos import DBOSConfig, DBOSPortableJSONSerializer

        url = make_url(self._url)
        drivers = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}
        plain = url.set(drivername=drivers[url.get_backend_name()])
        return DBOSConfig(
            name=_APPLICATION,
            system_database_url=plain.render_as_string(hide_password=False),
            sys_db_pool_size=self._at_once + 4,
            application_version=_VERSION,
            executor_id=self._worker.executor_id,
            # The default is pickle: who can write to the table could run code here.
            serializer=DBOSPortableJSONSerializer(),
            max_executor_threads=self._at_once + 4,
            sys_db_idle_transaction_timeout_sec=self._idle_seconds,
            # Nobody listens: what changed is told by `signals`, or looked up.
            use_listen_notify=False,
            enable_otlp=False,
            log_level="WARNING",
        )

    # --- the port -----------------------------------------------------------------------------

    def submit(self, dispatches: Sequence[Dispatch]) -> None:
        """Queue these. One that is queued already, under the same name, stays as it is."""
        from dbos import DBOS, SetEnqueueOptions, SetWorkflowID

        workflow = self._workflow
        if workflow is None:
            raise Unavailable(problem="this process executes no runs now")
        for each in dispatches:
            partition = SetEnqueueOptions(queue_partition_key=str(each.project_id))
            with SetWorkflowID(each.ref), partition:
                DBOS.enqueue_workflow(_QUEUE, workflow, str(each.run_id))

    def stop_run(self, run_id: UUID) -> None:
        """Tell a run that executes here that it was cancelled."""
        self._worker.heart.stop_run(run_id)

    def forget(self, ref: str) -> None:
        """Free the place in its project's queue that a lost run still holds."""
        from dbos import DBOS

        if self._workflow is not None:
            DBOS.cancel_workflow(ref)

    def held_elsewhere(self, since: datetime) -> Sequence[str]:
        """What it calls the runs that other processes took before this moment, and still hold."""
        from dbos import DBOS

        if self._workflow is None:
            return ()
        found = DBOS.list_workflows(
            status="PENDING",
            queue_name=_QUEUE,
            dequeued_before=since.isoformat(),
            load_input=False,
            load_output=False,
        )
        # This process took up its own when it started.
        mine = self._worker.executor_id
        return [each.workflow_id for each in found if each.executor_id != mine]

    def still_has(self, refs: Sequence[str]) -> Collection[str]:
        """Those of these that wait in the queue, or are held by some process."""
        from dbos import DBOS

        if self._workflow is None:
            return refs
        found = DBOS.list_workflows(
            workflow_ids=list(refs),
            status=["ENQUEUED", "PENDING"],
            load_input=False,
            load_output=False,
        )
        return [each.workflow_id for each in found]

    def prune(self) -> None:
        """Let DBOS forget what has long ended: the runs themselves stay in their own table."""
        from dbos import DBOS

        if self._workflow is None:
            return
        before = (self._utc_now() - _KEPT).isoformat()
        # Some at a time: each is a row or two, and the next look comes soon.
        found = DBOS.list_workflows(
            completed_before=before, limit=_PRUNED, load_input=False, load_output=False
        )
        DBOS.delete_workflows([each.workflow_id for each in found])

    # --- the workflow -------------------------------------------------------------------------

    def _run(self, run_id: str) -> str:
        """Execute a run; returns how that went, for whoever reads DBOS's own tables."""
        from dbos import DBOS

        with self._worker.opened(UUID(run_id)) as execution:
            if isinstance(execution, Refusal):
                if execution in (Refusal.BUSY, Refusal.CLOSING):
                    give_back(self._worker.tools.database, UUID(run_id))
                return str(execution)
            for name in _STEPS:
                step: Callable[[], bool] = getattr(execution, name)
                if not DBOS.run_step({"name": name}, step):
                    break
        return "executed"
