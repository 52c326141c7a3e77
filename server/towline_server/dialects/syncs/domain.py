"""The values of a sync: what its owner sets, and its state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from towline.errors import CallerError
from towline.frozen import frozen
from towline_server.projects.domain import Provider
from towline_server.runs.domain import BackendName, Run


class SyncStatus(StrEnum):
    """Whether a sync may start runs by itself; only ``active`` and ``error`` do."""

    DRAFT = "draft"
    ACTIVE = "active"
    PAUSED = "paused"
    ERROR = "error"
    ARCHIVED = "archived"
    """It cannot be triggered either."""

    @property
    def fires(self) -> bool:
        """Whether its schedule, or its creation, starts runs."""
        return self in (SyncStatus.ACTIVE, SyncStatus.ERROR)


class ExecutionMode(StrEnum):
    """How a run is made of runs."""

    SEQUENTIAL = "sequential"
    FAN_OUT_ENTITY = "fan_out_entity"
    """One that comprises a run a kind, with one fetch."""
    FAN_OUT_WINDOW = "fan_out_window"
    """One that comprises a run for each window of the history, in order, with one fetch."""

    @classmethod
    def of(cls, run: Run) -> ExecutionMode:
        """Return how a run is made."""
        if not run.is_parent:
            return cls.SEQUENTIAL
        return cls.FAN_OUT_ENTITY if run.windows is None else cls.FAN_OUT_WINDOW


class TriggerMode(StrEnum):
    """What starts a sync's runs, beside a trigger."""

    MANUAL = "manual"
    SCHEDULED = "scheduled"
    ON_CREATE = "on_create"


class LoadMode(StrEnum):
    """What a table of a sync contains."""

    MIRROR = "mirror"
    """The project's assets of a kind."""
    APPEND_EVENT = "append_event"
    """What each pull of the project changes of a kind, appended to the project's events."""


@frozen(kw_only=True)
class TableChoice:
    """The table of one kind, as far as the owner of a sync sets it."""

    entity_key: str
    load_mode: LoadMode = LoadMode.MIRROR
    table_name: str | None = None
    logical_table_name: str | None = None
    physical_table_name: str | None = None
    cursor_field: str | None = None
    primary_key_columns: tuple[str, ...] = ()
    """Empty: those of its load mode."""
    source_instance_key: str | None = None


@frozen(kw_only=True)
class TableBinding(TableChoice):
    """The table of one kind, with every name filled in."""

    id: UUID
    created_at: datetime
    updated_at: datetime


@frozen(kw_only=True)
class Definition:
    """What the owner of a sync sets; clearing a field gives it the default here."""

    name: str
    slug: str | None = None
    """None: made from the name."""
    status: SyncStatus = SyncStatus.DRAFT
    source_config: Mapping[str, Any] = field(default_factory=dict)
    destination_config: Mapping[str, Any] = field(default_factory=dict)
    execution_config: Mapping[str, Any] = field(default_factory=dict)
    entities: tuple[str, ...] = ()
    """The kinds that it pulls; none named is all of them."""
    execution_backend: BackendName = BackendName.NATIVE
    execution_mode: ExecutionMode = ExecutionMode.SEQUENTIAL
    trigger_mode: TriggerMode = TriggerMode.MANUAL
    schedule: Mapping[str, Any] | None = None
    freshness_sla_seconds: int | None = None
    table_bindings: tuple[TableChoice, ...] = ()

    @property
    def event_kinds(self) -> tuple[str, ...]:
        """The kinds of which it appends every change."""
        appended = LoadMode.APPEND_EVENT
        return tuple(each.entity_key for each in self.table_bindings if each.load_mode is appended)


@frozen(kw_only=True)
class SavedSync(Definition):
    """A sync: what its owner set, and what became of it; its ``status`` is the one that was set."""

    id: UUID
    tenant_id: UUID
    connection_id: UUID
    project_id: UUID | None
    """None: a draft that names no project; it cannot run."""
    provider: Provider
    slug: str
    shown_status: SyncStatus
    """The one that was set, or ``error`` after a permanent failure."""
    tables: tuple[TableBinding, ...]
    """One a kind that it pulls."""
    created_at: datetime
    created_by: UUID
    updated_at: datetime
    updated_by: UUID
    last_success_at: datetime | None
    last_error: str | None
    is_late: bool
    """Whether its last success is longer ago than its freshness allows."""

    @property
    def definition(self) -> Definition:
        """What the owner set, alone."""
        return Definition(**{each.name: getattr(self, each.name) for each in fields(Definition)})

    @property
    def task_slug(self) -> str:
        """The slug of the definition of its runs."""
        return f"{self.slug}-pull"


WINDOW_SIZES = ("commits", "seconds")
"""What `executionConfig.window` names one of."""
PROJECT = ("body", "destinationConfig", "project")
"""Where a request names the project of a sync."""
DOES_NOT_FIT = "does_not_fit"
"""The type of a problem with what exists already, not with the form of the request."""


@frozen
class SyncProblem:
    """One thing that is wrong with a sync, and where it is in the request."""

    loc: tuple[str | int, ...]
    msg: str
    type: str = "value_error"


class RefusedSync(CallerError, code="refused_sync"):
    """A sync cannot be saved, or triggered, as it is; every problem is listed."""

    problems: tuple[SyncProblem, ...]

    @classmethod
    def misfit(cls, loc: tuple[str | int, ...], msg: str) -> RefusedSync:
        """Return the refusal for one thing that does not fit."""
        return cls(problems=(SyncProblem(loc, msg, DOES_NOT_FIT),))

    @property
    def message(self) -> str:
        """Every problem in one sentence."""
        return "; ".join(problem.msg for problem in self.problems)
