"""The values of runs: a request, a run, its attempts and its executor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from towline.content_rules import ContentMode
from towline.errors import InvalidValue
from towline.frozen import frozen
from towline.model import Revision
from towline.options import OnConflict, Renames, Resolutions, Selection
from towline.remotes.windows import Window
from towline_server.projects.domain import Binding

from .run_log import LogLine
from .states import Fault, Outcome, ReasonCode, ResultClass, RunState

if TYPE_CHECKING:
    from .inputs import Inputs


class RunMode(StrEnum):
    """How much a run looks at, and whether it writes."""

    INCREMENTAL = "incremental"
    FULL_REFRESH = "full_refresh"
    """Compares every asset and trusts no recorded tree; local edits conflict as always."""
    DRY_RUN = "dry_run"


class TriggeredBy(StrEnum):
    """What requested a run."""

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


ORCHESTRATED = frozenset({BackendName.TEMPORAL, BackendName.PREFECT})
"""The backends that pass runs on to an orchestrator (`towline_server.runs.orchestrator`)."""


@frozen(kw_only=True)
class RequiredBinding:
    """What a project must be bound to when a run begins; None allows any ref or folder."""

    connection_id: UUID
    ref: str | None = None
    scope: str | None = None

    def is_met_by(self, binding: Binding) -> bool:
        """Whether a binding is as required."""
        return (
            binding.connection_id == self.connection_id
            and (self.ref is None or binding.has_ref(self.ref))
            and (self.scope is None or binding.has_scope(self.scope))
        )


@frozen(kw_only=True)
class RunRequest:
    """What a run is to do; it is stored with the run, and each attempt does the same.

    ``on_conflict``, ``content_merge``, ``renames`` None: as the project's settings have it.
    ``kind`` limits the run to one kind of asset, and excludes ``only``. ``revision`` is pulled
    instead of what the ref names. ``reset`` discards every local change to tracked assets,
    ``clean`` deletes every asset that is not tracked. ``checkout`` is pulled from, and bound to,
    instead of the project's binding.
    ``source`` is what the project must still be bound to; None: any binding. ``window``: the run
    has a child for each such part of the history (`towline_server.runs.windows`); it excludes
    ``revision`` and ``checkout``.

    Raises:
        InvalidValue: two are given that exclude each other.
    """

    mode: RunMode = RunMode.INCREMENTAL
    kind: str | None = None
    only: Selection = Selection()
    resolutions: Resolutions = Resolutions()
    on_conflict: OnConflict | None = None
    content_merge: ContentMode | None = None
    renames: Renames | None = None
    allow_empty: bool = False
    revision: Revision | None = None
    reset: bool = False
    clean: bool = False
    checkout: Binding | None = None
    source: RequiredBinding | None = None
    window: Window | None = None

    def __post_init__(self) -> None:
        if self.window is not None and (self.revision or self.checkout) is not None:
            raise InvalidValue(
                field="window", problem="cannot be used with a revision or a checkout"
            )
        if self.kind is not None and not self.only.is_all:
            raise InvalidValue(field="only", problem="a run of one kind cannot have a selection")
        if self.reset and self.resolutions.named():
            raise InvalidValue(field="reset", problem="cannot be used with resolutions")

    @property
    def selection(self) -> Selection:
        """The assets that the run is limited to."""
        return self.only if self.kind is None else Selection(kinds=frozenset({self.kind}))


@frozen(kw_only=True)
class Trigger:
    """What requested runs.

    ``ref`` is the trigger's own name for it (a webhook's delivery, a schedule's due time).
    ``key`` makes the request idempotent: a project's second request with one key is the first.
    """

    by: TriggeredBy = TriggeredBy.MANUAL
    ref: str | None = None
    requested_by: UUID | None = None
    sync_id: UUID | None = None
    schedule_id: UUID | None = None
    key: str | None = None


@frozen(kw_only=True)
class RunError:
    """Why a run failed, as it may be shown: the library's error code, message and data."""

    code: str
    message: str
    fault: Fault
    data: dict[str, Any] = field(default_factory=dict)


@frozen(kw_only=True)
class Cancellation:
    """Who cancelled a run, when and why."""

    at: datetime
    by: str | None
    reason: str | None


@frozen(kw_only=True)
class Attempts:
    """A run's place among the attempts at one request; ``number`` counts from 1."""

    number: int
    root_id: UUID
    previous_id: UUID | None
    next_id: UUID | None
    auto_resumes: int
    """How many of the attempts up to this one were made automatically."""
    not_before: datetime | None
    """When this attempt may begin; None: at once."""


class RemoteState(StrEnum):
    """The state of a run at its orchestrator; only the run's row says how the run itself is."""

    RUNNING = "running"
    """It waits there, or is executed."""
    CANCELLING = "cancelling"
    """It is to stop there, and has not stopped yet."""
    ENDED = "ended"
    CANCELLED = "cancelled"
    FAILED = "failed"
    """It ended there, and no executor is started for it any more."""

    @property
    def is_terminal(self) -> bool:
        """Whether the orchestrator does nothing more with it."""
        return self not in (RemoteState.RUNNING, RemoteState.CANCELLING)


@frozen(kw_only=True)
class RemoteRun:
    """A run as its orchestrator knows it."""

    ref: str
    """Its id there."""
    url: str | None
    """Its page there, for people."""
    state: RemoteState
    details: Mapping[str, Any] = field(default_factory=dict)
    """More about the state, in the orchestrator's own words; JSON, without the key ``state``."""
    heartbeat_at: datetime | None = None
    """When its executor reported to the orchestrator last."""

    @property
    def status(self) -> dict[str, Any]:
        """The state and its details, as they are stored and shown."""
        return {"state": str(self.state), **self.details}


@frozen(kw_only=True)
class WindowCount:
    """How many windows a run has pulled, and how many are left, also beyond what it may pull."""

    pulled: int
    left: int | None
    """None: they were not counted yet."""


@frozen(kw_only=True)
class PulledWindow:
    """What an external executor found of the history whose next window it pulled."""

    tip: Revision
    """The revision that the last window ends with."""
    left: int
    """How many windows follow."""


@frozen(kw_only=True)
class Executor:
    """What executes a run, and until when it has the lease."""

    backend: BackendName
    id: str | None
    heartbeat_at: datetime | None
    lease_until: datetime | None
    remote: RemoteRun | None = None
    """The run at its orchestrator, once that has it."""


@frozen(kw_only=True)
class Lease:
    """The right to execute one run."""

    run_id: UUID
    project_id: UUID
    tenant_id: UUID
    host: str | None
    """The host that the run pulls from, with its port."""
    parent_id: UUID | None = None
    token: str
    inputs: Inputs | None = field(default=None, repr=False, compare=False)
    """What was read with it; None: the executor reads by itself."""

    @property
    def row_ids(self) -> tuple[UUID, ...]:
        """The runs whose rows change with it: its own, and its parent."""
        return (self.run_id,) if self.parent_id is None else (self.run_id, self.parent_id)


@frozen(kw_only=True)
class Run:
    """One execution of a pull."""

    id: UUID
    tenant_id: UUID
    project_id: UUID
    batch_id: UUID | None
    parent_id: UUID | None
    position: int
    """Its place in its batch."""
    is_parent: bool
    """Whether it only combines its children (`Runs.children`)."""
    request: RunRequest
    trigger: Trigger
    connection_id: UUID | None
    """What its project was bound to when it was requested."""
    is_initial: bool
    """Whether the project had never been pulled when this was requested."""

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
    """As `towline.report.report_json` gives it, of a refused pull and a dry run, too; None in a
    list."""
    counts: dict[str, int] | None
    """How many entries each list of the report has."""
    merged: int
    """How many assets its report lists as merged with local edits."""
    pull: int | None
    """The number of the project's log that it wrote."""
    phase_seconds: Mapping[str, float] | None = None
    """How long each phase lasted; None: it has not ended, or an external executor had it."""
    log: tuple[LogLine, ...] = ()
    """What happened while it was executed; empty in a list."""
    windows: WindowCount | None
    """Of a parent with a child for each window."""

    @property
    def window(self) -> Window | None:
        """The part of the history that it pulls; None: all, as a dry run compares it."""
        is_part = self.parent_id is not None and self.request.mode is not RunMode.DRY_RUN
        return self.request.window if is_part else None

    @property
    def is_terminal(self) -> bool:
        """Whether it has ended."""
        return self.state.is_terminal

    @property
    def is_cancelling(self) -> bool:
        """Whether it is to stop, and has not stopped yet."""
        return self.cancellation is not None and not self.is_terminal

    @property
    def tries(self) -> int:
        """How many attempts were made so far, 0 before the first has begun."""
        return self.attempts.number if self.started_at is not None else self.attempts.number - 1

    @property
    def will_be_retried(self) -> bool:
        """Whether it failed, and another attempt replaces it automatically."""
        return (
            self.result_class is ResultClass.RETRYABLE_FAILURE and self.attempts.next_id is not None
        )


def merged_in(report: Mapping[str, Any] | None) -> int:
    """Return how many assets a report lists as merged with local edits."""
    return 0 if report is None else sum(bool(item["merged"]) for item in report["updated"])
