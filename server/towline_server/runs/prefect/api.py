"""The calls of Prefect's REST API that runs need; https://docs.prefect.io/v3/api-ref/rest-api.

Prefect's package pins versions that this server's libraries exclude, so it is not imported.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import UUID

import httpx2
from pydantic import BaseModel, ValidationError

from towline_server.errors import OrchestratorUnavailable

_SECONDS = 10.0
"""How long one call may take."""
_PAUSES = (0.2, 0.5, 1.0)

Model = TypeVar("Model", bound=BaseModel)


class StateType(StrEnum):
    """The types of a flow run's states."""

    SCHEDULED = "SCHEDULED"
    """It waits for a worker."""
    PENDING = "PENDING"
    """A worker prepares it."""
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    CRASHED = "CRASHED"
    """Its process ended without a word."""
    PAUSED = "PAUSED"
    CANCELLING = "CANCELLING"


class FlowState(BaseModel):
    """A state of a flow run."""

    type: StateType
    name: str
    timestamp: datetime
    message: str | None = None


class FlowRun(BaseModel):
    """A flow run, as far as it matters here."""

    id: UUID
    state: FlowState


class _Named(BaseModel):
    """What else is made there: a flow, a deployment."""

    id: UUID


class _Decision(BaseModel):
    """The answer to a proposed state."""

    state: FlowState


class Missing(Exception):
    """Prefect has no such thing (any more)."""


class PrefectApi:
    """A client of a Prefect server; several threads may use it.

    ``authorization`` is the header that it sends, if any; ``transport`` replaces the network.
    Each method raises `OrchestratorUnavailable` where Prefect does not answer, or refuses the
    call.
    """

    def __init__(
        self,
        url: str,
        authorization: str | None = None,
        *,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        headers = {} if authorization is None else {"Authorization": authorization}
        self._client = httpx2.Client(
            base_url=url, headers=headers, timeout=_SECONDS, transport=transport
        )

    def close(self) -> None:
        """End its connections."""
        self._client.close()

    def ensure_work_pool(self, name: str) -> None:
        """Make a work pool whose workers start processes, unless there is one of this name."""
        try:
            self._call("GET", f"/work_pools/{quote(name, safe='')}")
        except Missing:
            # Another server may make it now: 409.
            self._call("POST", "/work_pools/", {"name": name, "type": "process"}, unless=409)

    def ensure_deployment(self, name: str, *, flow: str, work_pool: str) -> UUID:
        """Make a flow and its deployment to a work pool, unless they exist; return its id.

        Raises:
            Missing: there is no such work pool.
        """
        try:
            path = "/".join(quote(each, safe="") for each in (flow, name))
            found = self._call("GET", f"/deployments/name/{path}")
        except Missing:
            # Both are updated where another server has made them meanwhile.
            flow_id = _parsed(_Named, self._call("POST", "/flows/", {"name": flow})).id
            made = {"name": name, "flow_id": str(flow_id), "work_pool_name": work_pool}
            found = self._call("POST", "/deployments/", made)
        return _parsed(_Named, found).id

    def create_flow_run(self, deployment_id: UUID, *, name: str, key: str, command: str) -> FlowRun:
        """Make a flow run, or return the one that was made with the same ``key``.

        ``command`` is what its worker executes.

        Raises:
            Missing: there is no such deployment.
        """
        body = {
            "name": name,
            "idempotency_key": key,
            "job_variables": {"command": command},
            "state": {"type": StateType.SCHEDULED},
        }
        path = f"/deployments/{deployment_id}/create_flow_run"
        return _parsed(FlowRun, self._call("POST", path, body))

    def flow_run(self, flow_run_id: UUID) -> FlowRun:
        """Return a flow run.

        Raises:
            Missing: there is none.
        """
        return _parsed(FlowRun, self._call("GET", f"/flow_runs/{flow_run_id}"))

    def propose(self, flow_run_id: UUID, state: StateType) -> StateType:
        """Have a flow run enter a state, and return the one that it has after Prefect's rules.

        Raises:
            Missing: there is no such flow run.
        """
        body = {"state": {"type": state}, "force": False}
        answer = self._call("POST", f"/flow_runs/{flow_run_id}/set_state", body)
        return _parsed(_Decision, answer).state.type

    def set_state(
        self,
        flow_run_id: UUID,
        state: StateType,
        message: str | None = None,
        *,
        at: datetime | None = None,
    ) -> None:
        """Set the state of a flow run, whatever it is; ``at`` is when a scheduled one is due.

        Raises:
            Missing: there is no such flow run.
        """
        details = {} if at is None else {"scheduled_time": at.isoformat()}
        new = {"type": state, "message": message, "state_details": details}
        body = {"state": new, "force": True}
        self._call("POST", f"/flow_runs/{flow_run_id}/set_state", body)

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        unless: int | None = None,
    ) -> Any:
        """Return an answer's JSON; ``unless`` is a status that is as good as success."""
        answer = self._answer(method, path, body)
        if answer.status_code == 404:
            raise Missing(path)
        if answer.status_code in (401, 403):
            raise _unavailable("refuses the credential of the settings")
        if not answer.is_success and answer.status_code != unless:
            raise _unavailable(f"answers {answer.status_code} to {method} {path}")
        try:
            return answer.json()
        except ValueError:
            raise _unavailable("answers with no JSON") from None

    def _answer(self, method: str, path: str, body: Mapping[str, Any] | None) -> httpx2.Response:
        """Return an answer, of several attempts where Prefect's database is locked for a moment."""
        try:
            for pause in _PAUSES:
                answer = self._client.request(method, path, json=body)
                if answer.status_code != 503:
                    return answer
                time.sleep(pause)
            return self._client.request(method, path, json=body)
        except httpx2.HTTPError as error:
            # Its text may name more than the operator's address.
            raise _unavailable(f"does not answer ({type(error).__name__})") from None


def _unavailable(problem: str) -> OrchestratorUnavailable:
    return OrchestratorUnavailable(orchestrator="Prefect", problem=problem)


def _parsed(of: type[Model], answer: Any) -> Model:
    try:
        return of.model_validate(answer)
    except ValidationError:
        raise _unavailable(f"answers with no {of.__name__}") from None
