"""Temporal as an orchestrator: what a server asks of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from towline_server.errors import OrchestratorUnavailable
from towline_server.orchestrator_settings import TemporalSettings
from towline_server.runs.domain import BackendName, RemoteRun, RemoteState
from towline_server.runs.states import RunState

from .connection import check_installed, connect
from .names import WORKFLOW

if TYPE_CHECKING:
    from temporalio.client import Client, WorkflowExecutionDescription

T = TypeVar("T")

_CALL_SECONDS = 10.0

_STATES = {
    "COMPLETED": RemoteState.ENDED,
    "CANCELED": RemoteState.CANCELLED,
    # What a person does in Temporal's pages to end a workflow that does not.
    "TERMINATED": RemoteState.CANCELLED,
    "FAILED": RemoteState.FAILED,
    "TIMED_OUT": RemoteState.FAILED,
}
"""By Temporal's own word; the others are running."""


class TemporalOrchestrator:
    """A client of Temporal: a run is the workflow that has its id.

    Raises:
        InvalidSettings: the extra ``temporal`` is not installed.
    """

    name = BackendName.TEMPORAL

    def __init__(self, settings: TemporalSettings) -> None:
        check_installed()
        self._settings = settings
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: Client | None = None

    def start(self, run_id: UUID) -> RemoteRun:
        """Start the run's workflow, once."""
        return self._call(self._start(str(run_id)))

    def find(self, ref: str) -> RemoteRun | None:
        """Describe the workflow."""
        return self._call(self._find(ref))

    def cancel(self, ref: str) -> None:
        """Request the cancellation of the workflow."""
        self._call(self._cancel(ref))

    def settle(self, ref: str, state: RunState) -> None:
        """Do nothing: the workflow ends by itself, once its activities time out."""

    def close(self) -> None:
        """End the thread of the connection."""
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._loop = None

    async def _start(self, ref: str) -> RemoteRun:
        from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
        from temporalio.exceptions import WorkflowAlreadyStartedError

        client = await self._connected()
        try:
            handle = await client.start_workflow(
                WORKFLOW,
                ref,
                id=ref,
                task_queue=self._settings.task_queue,
                # One that has ended is not started again.
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                rpc_timeout=timedelta(seconds=_CALL_SECONDS),
            )
        except WorkflowAlreadyStartedError:
            found = await self._find(ref)
            assert found is not None, "it was just there"
            return found
        execution = handle.first_execution_run_id or ""
        return self._remote(ref, execution, "RUNNING", {})

    async def _find(self, ref: str) -> RemoteRun | None:
        from temporalio.service import RPCError, RPCStatusCode

        client = await self._connected()
        handle = client.get_workflow_handle(ref)
        try:
            found = await handle.describe(rpc_timeout=timedelta(seconds=_CALL_SECONDS))
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND and not _lacks_namespace(error):
                return None
            raise
        word = "RUNNING" if found.status is None else found.status.name
        details, heartbeat_at = _activity(found)
        return self._remote(ref, found.run_id, word, details, heartbeat_at)

    async def _cancel(self, ref: str) -> None:
        from temporalio.service import RPCError, RPCStatusCode

        client = await self._connected()
        handle = client.get_workflow_handle(ref)
        try:
            await handle.cancel(rpc_timeout=timedelta(seconds=_CALL_SECONDS))
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND or _lacks_namespace(error):
                raise

    def _remote(
        self,
        ref: str,
        execution: str,
        word: str,
        details: dict[str, Any],
        heartbeat_at: datetime | None = None,
    ) -> RemoteRun:
        url, page = self._settings.ui_url.rstrip("/"), f"workflows/{ref}/{execution}/history"
        return RemoteRun(
            ref=ref,
            url=f"{url}/namespaces/{self._settings.namespace}/{page}" if url else None,
            state=_STATES.get(word, RemoteState.RUNNING),
            details={"status": word, "run_id": execution, **details},
            heartbeat_at=heartbeat_at,
        )

    # --- the connection -----------------------------------------------------------------------

    async def _connected(self) -> Client:
        if self._client is None:
            self._client = await connect(self._settings, lazy=True)
        return self._client

    def _call(self, request: Coroutine[Any, Any, T]) -> T:
        """Wait for an answer, in the thread of the connection.

        Raises:
            OrchestratorUnavailable: there is none, or it is a refusal.
        """
        from temporalio.service import RPCError

        answer = asyncio.run_coroutine_threadsafe(request, self._started())
        try:
            # A little longer than the request's own bound, which says more.
            return answer.result(_CALL_SECONDS + 5)
        except (RPCError, RuntimeError, TimeoutError) as error:
            answer.cancel()
            problem = error.message if isinstance(error, RPCError) else str(error)
            raise OrchestratorUnavailable(orchestrator="Temporal", problem=problem) from None

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = loop = asyncio.new_event_loop()
                self._client = None
                threading.Thread(target=_run, args=(loop,), name="temporal", daemon=True).start()
            return self._loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()


def _lacks_namespace(error: Any) -> bool:
    return "namespace" in error.message.lower()


def _activity(found: WorkflowExecutionDescription) -> tuple[dict[str, Any], datetime | None]:
    """Return the step that is executed, and its last heartbeat."""
    for each in found.raw_description.pending_activities:
        details = {"activity": each.activity_type.name, "activity_attempt": each.attempt}
        sent_at = each.last_heartbeat_time
        at = sent_at.ToDatetime(tzinfo=UTC) if each.HasField("last_heartbeat_time") else None
        return details, at
    return {}, None
