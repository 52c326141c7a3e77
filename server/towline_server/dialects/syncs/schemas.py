"""The wire of the Syncs API: what its bodies are, and how the domain is told in them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel
from pydantic.json_schema import SkipJsonSchema

from towline_server.projects.domain import Provider
from towline_server.runs.domain import BackendName, Run, RunMode, TriggeredBy
from towline_server.runs.states import ReasonCode, ResultClass, RunState
from towline_server.web.documents import JsonObject, PlainText

from .domain import (
    Definition,
    ExecutionMode,
    LoadMode,
    Status,
    Sync,
    SyncPage,
    TableBinding,
    TableChoice,
    TriggerMode,
)

_MOST = 2**31 - 1

Name: TypeAlias = Annotated[PlainText, Field(min_length=1, max_length=255)]
Slug: TypeAlias = Annotated[str, Field(max_length=255, pattern=r"^[a-z0-9]+(?:[_-][a-z0-9]+)*$")]
Seconds: TypeAlias = Annotated[int, Field(ge=0, le=_MOST)]


class _Wire(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


# --- what comes in ----------------------------------------------------------------------------


class TableBindingIn(_Wire):
    """The table of one kind, as far as its owner sets it."""

    entity_key: Name
    load_mode: LoadMode = LoadMode.MIRROR
    table_name: Name | None = None
    logical_table_name: Name | None = None
    physical_table_name: Name | None = None
    cursor_field: Name | None = None
    primary_key_columns: Annotated[list[Name], Field(max_length=100)] | None = None
    source_instance_key: Name | None = None

    def choice(self) -> TableChoice:
        """The same for the domain."""
        columns = self.primary_key_columns
        return TableChoice(
            entity_key=self.entity_key,
            load_mode=self.load_mode,
            table_name=self.table_name,
            logical_table_name=self.logical_table_name,
            physical_table_name=self.physical_table_name,
            cursor_field=self.cursor_field,
            primary_key_columns=("asset_id",) if columns is None else tuple(columns),
            source_instance_key=self.source_instance_key,
        )


class SyncChanges(_Wire):
    """What may be changed of a sync; null gives a field its default."""

    name: Name | None = None
    slug: Slug | None = None
    status: Status | None = None
    source_config: JsonObject | None = None
    destination_config: JsonObject | None = None
    execution_config: JsonObject | None = None
    entities: Annotated[list[Name], Field(max_length=1000)] | None = None
    execution_backend: BackendName | None = None
    execution_mode: ExecutionMode | None = None
    trigger_mode: TriggerMode | None = None
    schedule: JsonObject | None = None
    freshness_sla_seconds: Seconds | None = None
    table_bindings: Annotated[list[TableBindingIn], Field(max_length=1000)] | None = None
    connection_id: SkipJsonSchema[object] = None
    """Here to be refused."""

    @field_validator("connection_id", mode="before")
    @classmethod
    def _stays(cls, _value: object) -> object:
        raise ValueError("a sync stays with its connection")

    @field_validator("name", mode="before")
    @classmethod
    def _cannot_be_cleared(cls, value: object) -> object:
        if value is None:
            raise ValueError("a sync needs a name")
        return value

    def changes(self) -> dict[str, Any]:
        """The fields of `Definition` that were given."""
        return _fields(self)


class SyncCreate(_Wire):
    """A new sync."""

    connection_id: UUID
    name: Name
    slug: Slug | None = None
    status: Status = Status.DRAFT
    source_config: JsonObject = Field(default_factory=dict)
    destination_config: JsonObject = Field(
        default_factory=dict,
        description="``project`` names the project, by path or id; other keys are kept.",
    )
    execution_config: JsonObject = Field(
        default_factory=dict,
        description="``on_conflict`` overrides the project's policy; other keys are kept.",
    )
    entities: Annotated[list[Name], Field(max_length=1000)] = Field(default_factory=list)
    execution_backend: BackendName = BackendName.NATIVE
    execution_mode: ExecutionMode = ExecutionMode.SEQUENTIAL
    trigger_mode: TriggerMode = TriggerMode.MANUAL
    schedule: JsonObject | None = Field(
        default=None, description="``cron`` and ``timezone``, or ``everySeconds``."
    )
    freshness_sla_seconds: Seconds | None = None
    table_bindings: Annotated[list[TableBindingIn], Field(max_length=1000)] = Field(
        default_factory=list
    )

    def definition(self) -> Definition:
        """The same for the domain."""
        given = _fields(self)
        del given["connection_id"]
        return Definition(**given)


def _fields(body: BaseModel) -> dict[str, Any]:
    """The fields that were given, as `Definition` has them; null is the default there."""
    defaults = Definition(name="")
    given: dict[str, Any] = {}
    for name in body.model_fields_set:
        value = getattr(body, name)
        if value is None:
            value = getattr(defaults, name)
        elif name == "table_bindings":
            value = tuple(table.choice() for table in value)
        elif name == "entities":
            value = tuple(dict.fromkeys(value))
        given[name] = value
    return given


class TriggerBody(_Wire):
    """How a run shall go."""

    run_mode: RunMode | None = None


class CancelBody(_Wire):
    """Why a run is cancelled."""

    reason: Annotated[PlainText, Field(max_length=1000)] | None = None


# --- what goes out ----------------------------------------------------------------------------


class TableBindingOut(_Wire):
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

    @classmethod
    def of(cls, table: TableBinding) -> TableBindingOut:
        """A table as this API tells of it."""
        choice = table.choice
        return cls(
            id=table.id,
            entity_key=choice.entity_key,
            load_mode=choice.load_mode,
            table_name=choice.table_name or "",
            logical_table_name=choice.logical_table_name or "",
            physical_table_name=choice.physical_table_name or "",
            cursor_field=choice.cursor_field,
            primary_key_columns=list(choice.primary_key_columns),
            source_instance_key=choice.source_instance_key or "",
            created_at=table.created_at,
            updated_at=table.updated_at,
        )


class SyncOut(_Wire):
    """A sync as it stands."""

    id: UUID
    connection_id: UUID
    provider_key: Provider
    name: str
    slug: str
    status: Status
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
    table_bindings: list[TableBindingOut]
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str

    @classmethod
    def of(cls, sync: Sync) -> SyncOut:
        """A sync as this API tells of it."""
        set_to = sync.definition
        return cls(
            id=sync.id,
            connection_id=sync.connection_id,
            provider_key=sync.provider,
            name=set_to.name,
            slug=sync.slug,
            status=sync.status,
            task_slug=f"{sync.slug}-pull",
            source_config=set_to.source_config,
            destination_config=set_to.destination_config,
            execution_config=set_to.execution_config,
            entities=list(set_to.entities),
            execution_backend=set_to.execution_backend,
            execution_mode=set_to.execution_mode,
            trigger_mode=set_to.trigger_mode,
            schedule=set_to.schedule,
            freshness_sla_seconds=set_to.freshness_sla_seconds,
            is_late=sync.is_late,
            last_success_at=sync.last_success_at,
            last_error=sync.last_error,
            table_bindings=[TableBindingOut.of(table) for table in sync.tables],
            created_at=sync.created_at,
            created_by=str(sync.created_by),
            updated_at=sync.updated_at,
            updated_by=str(sync.updated_by),
        )


class SyncList(_Wire):
    """A page of syncs."""

    syncs: list[SyncOut]
    total: int
    limit: int
    offset: int
    has_next: bool

    @classmethod
    def of(cls, page: SyncPage, limit: int) -> SyncList:
        """A page as this API tells of it."""
        return cls(
            syncs=[SyncOut.of(sync) for sync in page.syncs],
            total=page.total,
            limit=limit,
            offset=page.offset,
            has_next=page.has_next,
        )


class RunStatus(StrEnum):
    """How a run stands."""

    PENDING = "pending"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @classmethod
    def of(cls, run: Run) -> RunStatus:
        """Of a run."""
        if run.is_cancelling:
            return cls.CANCELLING
        if run.state is RunState.QUEUED:
            return cls.PENDING
        return cls(run.state) if run.is_terminal else cls.RUNNING


class RunOut(_Wire):
    """A run of a sync, as it stands."""

    id: UUID
    sync_id: UUID
    status: RunStatus
    run_mode: RunMode
    result_class: ResultClass | None
    result_reason_code: ReasonCode | None
    error: str | None
    summary: dict[str, Any]
    """What it did, or in a dry run would do: the report."""
    triggered_by: TriggeredBy
    trigger_ref: str | None
    execution_backend: BackendName
    execution_mode: ExecutionMode
    executor_id: str | None
    backend_run_ref: str | None
    backend_run_url: str | None = None
    """No backend here has pages of its own."""
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
    def of(cls, run: Run, max_auto_resumes: int) -> RunOut:
        """A run as this API tells of it."""
        assert run.origin.sync_id is not None, "it is a sync's"
        mode = ExecutionMode.FAN_OUT_ENTITY if run.gathers else ExecutionMode.SEQUENTIAL
        asked = run.cancellation
        return cls(
            id=run.id,
            sync_id=run.origin.sync_id,
            status=RunStatus.of(run),
            run_mode=run.request.mode,
            result_class=run.result_class,
            result_reason_code=run.reason_code,
            error=None if run.error is None else run.error.message,
            summary=run.report or {},
            triggered_by=run.origin.by,
            trigger_ref=run.origin.ref,
            execution_backend=run.executor.backend,
            execution_mode=mode,
            executor_id=run.executor.id,
            backend_run_ref=run.executor.backend_ref,
            backend_status={"state": str(run.state), "progress": run.progress},
            backend_heartbeat_at=run.executor.heartbeat_at,
            last_heartbeat_at=run.executor.heartbeat_at,
            attempt_number=run.attempts.number,
            attempt_root_run_id=run.attempts.root_id,
            previous_attempt_run_id=run.attempts.previous_id,
            next_attempt_run_id=run.attempts.next_id,
            max_auto_resume_attempts=max_auto_resumes,
            cancel_requested_at=None if asked is None else asked.at,
            cancel_requested_by=None if asked is None else asked.by,
            cancel_reason=None if asked is None else asked.reason,
            created_at=run.created_at,
            started_at=run.started_at,
            completed_at=run.completed_at,
            updated_at=run.updated_at,
        )


class RunList(_Wire):
    """A page of runs."""

    runs: list[RunOut]
    total: int
    limit: int
    offset: int
    has_next: bool


class Resource(_Wire):
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


class Catalog(_Wire):
    """What can be pulled from a sort of Git host."""

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
