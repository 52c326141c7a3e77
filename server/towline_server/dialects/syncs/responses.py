"""The responses of the Syncs API, read from the domain's values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator

from towline_server.api.models import at
from towline_server.dialects.models import CamelModel
from towline_server.projects.domain import Provider
from towline_server.runs.domain import BackendName, Run, RunMode, TriggeredBy
from towline_server.runs.states import ReasonCode, ResultClass, RunState

from .domain import ExecutionMode, LoadMode, SyncStatus, TriggerMode

AccountId = Annotated[str, BeforeValidator(str)]


class TableBindingOut(CamelModel):
    """The table of one kind."""

    id: UUID
    entity_key: str
    load_mode: LoadMode
    table_name: str
    logical_table_name: str
    physical_table_name: str
    table_naming_version: Literal["legacy"] = "legacy"
    cursor_field: str | None
    primary_key_columns: list[str]
    source_instance_key: str
    created_at: datetime
    updated_at: datetime


class SyncOut(CamelModel):
    """A sync."""

    id: UUID
    connection_id: UUID
    provider_key: Provider = at("provider")
    name: str
    slug: str
    status: SyncStatus = at("shown_status")
    task_slug: str
    """The slug of the definition of its runs."""
    source_config: Mapping[str, Any]
    destination_config: Mapping[str, Any]
    execution_config: Mapping[str, Any]
    entities: list[str]
    execution_backend: BackendName
    execution_mode: ExecutionMode
    trigger_mode: TriggerMode
    schedule: Mapping[str, Any] | None
    freshness_sla_seconds: int | None
    is_late: bool
    """Whether its last success is longer ago than ``freshnessSlaSeconds``."""
    last_success_at: datetime | None
    last_error: str | None
    table_bindings: list[TableBindingOut] = at("tables")
    created_at: datetime
    created_by: AccountId
    updated_at: datetime
    updated_by: AccountId


class SyncList(CamelModel):
    """A page of syncs."""

    syncs: list[SyncOut]
    total: int
    limit: int
    offset: int
    has_next: bool


class RunStatus(StrEnum):
    """The status of a run."""

    PENDING = "pending"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @classmethod
    def of(cls, run: Run) -> RunStatus:
        """Return the status of a run."""
        if run.is_cancelling:
            return cls.CANCELLING
        if run.state is RunState.QUEUED:
            return cls.PENDING
        return cls(run.state) if run.is_terminal else cls.RUNNING


class RunOut(CamelModel):
    """A run of a sync."""

    id: UUID
    sync_id: UUID
    status: RunStatus
    run_mode: RunMode
    result_class: ResultClass | None
    result_reason_code: ReasonCode | None
    error: str | None
    summary: dict[str, Any]
    """What it did, or in a dry run would do: the report; in a list how many assets of each sort.

    Of a run by windows, ``windows``: how many were pulled, and how many remain. By itself also the
    ids of the ``runs`` that it is made of, and the ``events`` that it appended.
    """
    triggered_by: TriggeredBy
    trigger_ref: str | None
    execution_backend: BackendName
    execution_mode: ExecutionMode
    executor_id: str | None
    backend_run_ref: str | None
    backend_run_url: str | None
    """The page of its orchestrator, where it has one."""
    backend_status: dict[str, Any]
    backend_heartbeat_at: datetime | None
    last_heartbeat_at: datetime | None
    attempt_number: int
    attempt_root_run_id: UUID
    previous_attempt_run_id: UUID | None
    next_attempt_run_id: UUID | None
    max_auto_resume_attempts: int
    cancel_requested_at: datetime | None
    cancel_requested_by: str | None
    cancel_reason: str | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    updated_at: datetime

    @classmethod
    def of_run(cls, run: Run, max_auto_resumes: int) -> RunOut:
        """Return a run as this API shows it."""
        assert run.trigger.sync_id is not None, "the run is of a sync"
        cancellation, remote = run.cancellation, run.executor.remote
        status, heartbeat_at = _backend_status(run)
        return cls(
            id=run.id,
            sync_id=run.trigger.sync_id,
            status=RunStatus.of(run),
            run_mode=run.request.mode,
            result_class=run.result_class,
            result_reason_code=run.reason_code,
            error=None if run.error is None else run.error.message,
            summary=_summary(run),
            triggered_by=run.trigger.by,
            trigger_ref=run.trigger.ref,
            execution_backend=run.executor.backend,
            execution_mode=ExecutionMode.of(run),
            executor_id=run.executor.id,
            backend_run_ref=_backend_ref(run),
            backend_run_url=None if remote is None else remote.url,
            backend_status=status,
            backend_heartbeat_at=heartbeat_at,
            last_heartbeat_at=run.executor.heartbeat_at,
            attempt_number=run.attempts.number,
            attempt_root_run_id=run.attempts.root_id,
            previous_attempt_run_id=run.attempts.previous_id,
            next_attempt_run_id=run.attempts.next_id,
            max_auto_resume_attempts=max_auto_resumes,
            cancel_requested_at=None if cancellation is None else cancellation.at,
            cancel_requested_by=None if cancellation is None else cancellation.by,
            cancel_reason=None if cancellation is None else cancellation.reason,
            created_at=run.created_at,
            started_at=run.started_at,
            completed_at=run.completed_at,
            updated_at=run.updated_at,
        )


def _summary(run: Run) -> dict[str, Any]:
    found = run.report or run.counts or {}
    if run.windows is None or run.windows.left is None:
        return found
    return {**found, "windows": {"pulled": run.windows.pulled, "remaining": run.windows.left}}


def _backend_ref(run: Run) -> str | None:
    if run.executor.remote is not None:
        return run.executor.remote.ref
    return None if run.started_at is None else str(run.id)


def _backend_status(run: Run) -> tuple[dict[str, Any], datetime | None]:
    """Return the status of a run at what executes it, and when that reported it was alive."""
    remote = run.executor.remote
    if remote is not None:
        return remote.status, remote.heartbeat_at or run.executor.heartbeat_at
    return {"state": str(run.state), "progress": run.progress}, run.executor.heartbeat_at


class RunList(CamelModel):
    """A page of runs."""

    runs: list[RunOut]
    total: int
    limit: int
    offset: int
    has_next: bool


class Resource(CamelModel):
    """A kind of asset."""

    entity_key: str
    display_name: str
    description: str
    config_schema: dict[str, Any]
    cursor_field: str | None
    default_selected: bool
    depends_on: list[str]
    load_mode: LoadMode
    size_class: Literal["xs", "s", "m", "l", "xl"]
    slicing: dict[str, Any]
    storage_description: str
    storage_kind: Literal["postgres", "sqlite"]


class Catalog(CamelModel):
    """What can be pulled from a provider."""

    provider: Provider
    name: str
    display_name: str
    config_schema: dict[str, Any]
    defaults: dict[str, Any]
    available_resources: list[str]
    default_resources: list[str]
    dynamic_resources: bool
    resources: list[Resource]


class Detail(BaseModel):
    """One thing that is wrong, and where."""

    loc: list[str | int]
    msg: str
    type: str


class Refusal(BaseModel):
    """Why a request was refused."""

    detail: list[Detail]
