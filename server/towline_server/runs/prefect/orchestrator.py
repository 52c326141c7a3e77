"""The orchestrator Prefect: each run is a flow run, which a worker of a work pool executes.

Its worker starts a process for it, ``towline work --backend prefect RUN``; see
`towline_server.runs.prefect.execution`.
"""

from __future__ import annotations

import threading
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any
from uuid import UUID

import httpx2

from towline_server.errors import OrchestratorUnavailable
from towline_server.orchestrator_settings import PrefectSettings
from towline_server.runs.domain import BackendName, RemoteRun, RemoteState
from towline_server.runs.states import RunState

from .api import FlowRun, FlowState, Missing, PrefectApi, StateType

_FLOW = "towline"

_STATES: Mapping[StateType, RemoteState] = MappingProxyType(
    {
        StateType.SCHEDULED: RemoteState.RUNNING,
        StateType.PENDING: RemoteState.RUNNING,
        StateType.RUNNING: RemoteState.RUNNING,
        StateType.PAUSED: RemoteState.RUNNING,
        StateType.COMPLETED: RemoteState.ENDED,
        StateType.CANCELLING: RemoteState.CANCELLING,
        StateType.CANCELLED: RemoteState.CANCELLED,
        StateType.FAILED: RemoteState.FAILED,
        StateType.CRASHED: RemoteState.FAILED,
    }
)

_ENDS: Mapping[RunState, StateType] = MappingProxyType(
    {
        RunState.SUCCEEDED: StateType.COMPLETED,
        RunState.FAILED: StateType.FAILED,
        RunState.CANCELLED: StateType.CANCELLED,
    }
)


class PrefectOrchestrator:
    """A client of Prefect; it makes the work pool and the deployment that it needs."""

    name = BackendName.PREFECT

    def __init__(
        self, settings: PrefectSettings, *, transport: httpx2.BaseTransport | None = None
    ) -> None:
        self._settings = settings
        self.api = PrefectApi(settings.api_url, _authorization(settings), transport=transport)
        self._lock = threading.Lock()
        self._deployment_id: UUID | None = None

    def close(self) -> None:
        """End its connections."""
        self.api.close()

    def start(self, run_id: UUID) -> RemoteRun:
        """Make the flow run of a run, or return the one that was made before."""
        name, command = str(run_id), f"{self._settings.command} --backend prefect {run_id}"
        for _ in range(2):
            try:
                made = self.api.create_flow_run(
                    self._deployment(), name=name, key=name, command=command
                )
                return self._remote(made)
            except Missing:
                # It was deleted there since.
                with self._lock:
                    self._deployment_id = None
        problem = "its deployment was deleted while it was made"
        raise OrchestratorUnavailable(orchestrator="Prefect", problem=problem)

    def find(self, ref: str) -> RemoteRun | None:
        """Return a run by its flow run's id; None: Prefect does not have it (any more)."""
        try:
            return self._remote(self.api.flow_run(UUID(ref)))
        except Missing:
            return None

    def cancel(self, ref: str) -> None:
        """Have the flow run cancelled: a worker that executes it ends its process."""
        with suppress(Missing):
            self.api.propose(UUID(ref), StateType.CANCELLING)

    def settle(self, ref: str, state: RunState) -> None:
        """Give a flow run the state in which its run has ended.

        Prefect would leave it running where its worker was killed.
        """
        with suppress(Missing):
            self.api.set_state(UUID(ref), _ENDS[state], f"run {state}")

    # --- parts --------------------------------------------------------------------------------

    def _deployment(self) -> UUID:
        with self._lock:
            if self._deployment_id is None:
                pool = self._settings.work_pool
                self.api.ensure_work_pool(pool)
                self._deployment_id = self.api.ensure_deployment(
                    self._settings.deployment, flow=_FLOW, work_pool=pool
                )
            return self._deployment_id

    def _remote(self, flow_run: FlowRun) -> RemoteRun:
        state = flow_run.state
        return RemoteRun(
            ref=str(flow_run.id),
            url=self._url(flow_run.id),
            state=RemoteState.FAILED if self._is_lost(state) else _STATES[state.type],
            details=_details(state),
        )

    def _is_lost(self, state: FlowState) -> bool:
        """Whether the worker that prepares a flow run must have ended: Prefect does not notice."""
        age = datetime.now(UTC) - state.timestamp
        longest = timedelta(seconds=self._settings.pending_seconds)
        return state.type is StateType.PENDING and age > longest

    def _url(self, flow_run_id: UUID) -> str | None:
        api, ui = self._settings.api_url.rstrip("/"), self._settings.ui_url.rstrip("/")
        # A Prefect server has its pages beside its API.
        ui = ui or (api.removesuffix("/api") if api.endswith("/api") else "")
        return f"{ui}/runs/flow-run/{flow_run_id}" if ui else None


def _details(state: FlowState) -> dict[str, Any]:
    found = {"type": str(state.type), "name": state.name, "since": state.timestamp.isoformat()}
    return found if state.message is None else {**found, "message": state.message}


def _authorization(settings: PrefectSettings) -> str | None:
    if key := settings.api_key.get_secret_value():
        return f"Bearer {key}"
    if user_and_password := settings.auth_string.get_secret_value():
        return f"Basic {b64encode(user_and_password.encode()).decode()}"
    return None
