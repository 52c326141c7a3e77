"""The nouns of a run: what is asked for, and how it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from towline.errors import InvalidValue
from towline.model import Revision
from towline.options import OnConflict, Resolutions, Selection
from towline_server.projects.domain import Binding

from .states import Fault, Outcome, ReasonCode, ResultClass, RunState


class RunMode(StrEnum):
    """How much a run looks at, and whether it writes."""

    INCREMENTAL = "incremental"
    FULL_REFRESH = "full_refresh"
    """Compares every asset anew, trusting no recorded tree; local edits conflict as ever."""
    DRY_RUN = "dry_run"


class TriggeredBy(StrEnum):
    """What made a run be asked for."""

    MANUAL = "manual"
    SCHEDULED = "scheduled"
    ON_CREATE = "on_create"
    WEBHOOK = "webhook"
    RETRY = "retry"
    AUTO_RESUME = "auto_resume"


class BackendName(StrEnum):
    """What executes runs."""

    NATIVE = "native"
    EXTERNAL = "external"
    TEMPORAL = "temporal"
    PREFECT = "prefect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """What a project shall be bound to from the run's commit on, and not before.

    Raises:
        InvalidValue: as `Binding`.
    """

    connection_id: str
    ref: str
    scope: str = ""

    def __post_init__(self) -> None:
        _ = self.binding

    @classmethod
    def of(cls, binding: Binding) -> Self:
        """The same binding, as a request keeps it."""
        return cls(connection_id=str(binding.connection_id), ref=binding.ref, scope=binding.scope)

    @property
    def binding(self) -> Binding:
        """The binding."""
        return Binding(connection_id=UUID(self.connection_id), ref=self.ref, scope=self.scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a project must be bound to when a run begins; a ref or folder of None may be any."""

    connection_id: str
    ref: str | None = None
    scope: str | None = None

    def is_of(self, binding: Binding) -> bool:
        """Whether this is where a binding leads."""
        return (
            str(binding.connection_id) == self.connection_id
            and (self.ref is None or binding.has_ref(self.ref))
            and (self.scope is None or binding.has_scope(self.scope))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What a run shall do; it is kept with the run, and an attempt does the same again.

    ``on_conflict`` None: the project's policy. ``kind`` limits the run to one kind of asset, and
    excludes ``only``. ``revision`` is what to pull instead of what the ref names. ``reset`` gives
    up every local change to what the repository tracks, ``clean`` every asset that it does not.
    ``checkout`` is what to pull from instead of what the project is bound to, and to bind it to.
    ``source`` is what it must still be bound to; None: whatever it is bound to by then.

    Raises:
        InvalidValue: both ``kind`` and ``only`` are given, or ``reset`` and single resolutions.
    """

    mode: RunMode = RunMode.INCREMENTAL
    kind: str | None = None
    only: Selection = Selection()
    resolutions: Resolutions = Resolutions()
    on_conflict: OnConflict | None = None
    allow_empty: bool = False
    revision: Revision | None = None
    reset: bool = False
    clean: bool = False
    checkout: Checkout | None = None
    source: Source | None = None

    def __post_init__(self) -> None:
        if self.kind is not None and not self.only.is_all:
            raise InvalidValue(field="only", problem="a run of one kind takes no selection")
        if self.reset and self.resolutions.named():
            raise InvalidValue(field="reset", problem="takes no resolutions beside it")

    @property
    def selection(self) -> Selection:
        """The assets that the run is limited to."""
        return self.only if self.kind is None else Selection(kinds=frozenset({self.kind}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a request for runs came from.

    ``ref`` is what the trigger itself calls it (a webhook's delivery, a schedule's due time).
    ``key`` makes the request idempotent: a project's second request with one key is the first.
    """

    by: TriggeredBy = TriggeredBy.MANUAL
    ref: str | None = None
    requested_by: UUID | None = None
    sync_id: UUID | None = None
    schedule_id: UUID | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunError:
    """Why a run failed, fit to be shown: the library's error code, sentence and data."""

    code: str
    message: str
    fault: Fault
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancellation:
    """Who asked for a run to stop, when and why."""

    at: datetime
    by: str | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """A run's place among those that tried the same; ``number`` counts from 1."""

    number: int
    root_id: UUID
    previous_id: UUID | None
    next_id: UUID | None
    auto_resumes: int
    """How many of the attempts up to this one were made by themselves."""
    not_before: datetime | None
    """When this attempt may begin, if it was put off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Executor:
    """Who executes a run, and until when it is his."""

    backend: BackendName
    id: str | None
    heartbeat_at: datetime | None
    lease_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of a pull, as it stands."""

    id: UUID
    tenant_id: UUID
    project_id: UUID
    batch_id: UUID | None
    parent_id: UUID | None
    position: int
    """Its place in its batch."""
    is_parent: bool
    """Whether it only sums up its children (`Runs.children`)."""
    request: RunRequest
    origin: Origin
    connection_id: UUID | None
    """What its project was bound to when it was asked for."""
    is_initial: bool
    """Whether the project had never been pulled when this was asked for."""

    state: RunState
    progress: int
    attempts: Attempts
    executor: Executor
    cancellation: Cancellation | None

    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    updated_at: datetime

    base_revision: Revision | None
    base_committed_at: datetime | None
    target_revision: Revision | None
    target_committed_at: datetime | None

    outcome: Outcome | None
    result_class: ResultClass | None
    reason_code: ReasonCode | None
    error: RunError | None
    report: dict[str, Any] | None
    """As `towline.report.report_json` gives it; of a refused pull and a dry run, too."""
    pull: int | None
    """The number of the project's log that it wrote."""

    @property
    def is_terminal(self) -> bool:
        """Whether it has ended."""
        return self.state.is_terminal

    @property
    def is_cancelling(self) -> bool:
        """Whether it was asked to stop, and has not stopped yet."""
        return self.cancellation is not None and not self.is_terminal

    @property
    def tries(self) -> int:
        """How many attempts were made so far, 0 before the first has begun."""
        return self.attempts.number if self.started_at is not None else self.attempts.number - 1

    @property
    def will_be_retried(self) -> bool:
        """Whether it failed, and another attempt takes its place by itself."""
        return (
            self.result_class is ResultClass.RETRYABLE_FAILURE and self.attempts.next_id is not None
        )
