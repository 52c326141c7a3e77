"""``/runs``: request, list, cancel and retry runs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict

from towline.content_rules import ContentMode
from towline.model import AssetId
from towline.options import OnConflict, Renames, Resolutions, Selection
from towline_server.runs.domain import (
    BackendName,
    Run,
    RunMode,
    RunRequest,
    Trigger,
    TriggeredBy,
)
from towline_server.runs.listing import RunFilter
from towline_server.runs.states import Fault, Outcome, ReasonCode, ResultClass, RunState
from towline_server.web.schemas import ASSET_ID, GLOB, of_format, problems

from .access import (
    Context,
    NativeRoute,
    ProjectForReader,
    ProjectForWriter,
    RequestContext,
    RunForReader,
    RunForWriter,
)
from .models import (
    MOST_GLOBS,
    Body,
    Flag,
    Model,
    Page,
    ReportModel,
    Text,
    Window,
    at,
    check_globs,
)

router = APIRouter(route_class=NativeRoute)

Id = Annotated[
    str,
    StringConstraints(min_length=1, max_length=255),
    of_format(ASSET_ID, minLength=1, maxLength=255),
]
Glob = Annotated[Text, of_format(GLOB, maxLength=1024)]
Ids = Annotated[list[Id], Field(max_length=10_000)]
_SOME = Field(max_length=1000)


class SelectionBody(Body):
    """The assets that a pull is limited to: those that one of the three names; all if none does."""

    kinds: Annotated[list[Text], _SOME] = Field(default_factory=list)
    globs: Annotated[list[Glob], Field(max_length=MOST_GLOBS)] = Field(default_factory=list)
    ids: Ids = Field(default_factory=list)


_NOTHING: JsonDict = {"properties": {name: {"maxItems": 0} for name in SelectionBody.model_fields}}
_KIND_OR_ONLY: JsonDict = {
    "anyOf": [
        {"properties": {"kind": {"type": "null"}}},
        {"properties": {"only": {"anyOf": [{"type": "null"}, _NOTHING]}}},
    ]
}


class PullOptionsBody(Body):
    """What a pull is to do."""

    model_config = ConfigDict(json_schema_extra=_KIND_OR_ONLY)

    kind: Text | None = None
    """Limits it to one kind; excludes ``only``."""
    only: SelectionBody | None = None
    use_theirs: Ids = Field(default_factory=list)
    use_ours: Ids = Field(default_factory=list)
    on_conflict: OnConflict | None = None
    content_merge: ContentMode | None = None
    renames: Renames | None = None
    """null, of these three: as the project's settings have it."""
    allow_empty: Flag = False

    def request(self, mode: RunMode) -> RunRequest:
        """Return the request of a run. Raises InvalidValue, ConflictingResolutions."""
        only = self.only or SelectionBody()
        check_globs(only.globs, "only.globs")
        return RunRequest(
            mode=mode,
            kind=self.kind,
            only=Selection(
                kinds=frozenset(only.kinds),
                globs=tuple(only.globs),
                ids=frozenset(AssetId.parse(each) for each in only.ids),
            ),
            resolutions=Resolutions(
                use_theirs=frozenset(self.use_theirs), use_ours=frozenset(self.use_ours)
            ),
            on_conflict=self.on_conflict,
            content_merge=self.content_merge,
            renames=self.renames,
            allow_empty=self.allow_empty,
        )


class RunBody(PullOptionsBody):
    """A run to be made."""

    mode: RunMode = RunMode.INCREMENTAL
    backend: BackendName = BackendName.NATIVE


class CancelBody(Body):
    """Why a run is cancelled."""

    reason: Text | None = None


class RetryBody(Body):
    """How a run is retried."""

    mode: RunMode | None = None


class RunErrorModel(Model):
    """Why a run failed."""

    code: str
    message: str
    fault: Fault
    data: dict[str, Any]


class RunSummary(Model):
    """A run as it is now, without its report."""

    id: UUID
    project_id: UUID
    batch_id: UUID | None
    parent_id: UUID | None
    mode: Annotated[RunMode, at("request.mode")]
    kind: Annotated[str | None, at("request.kind")]
    backend: Annotated[BackendName, at("executor.backend")]
    triggered_by: Annotated[TriggeredBy, at("trigger.by")]
    trigger_ref: Annotated[str | None, at("trigger.ref")]
    requested_by: Annotated[UUID | None, at("trigger.requested_by")]
    is_initial: bool
    state: RunState
    progress: int
    is_cancelling: bool
    attempt: Annotated[int, at("attempts.number")]
    attempt_root_id: Annotated[UUID, at("attempts.root_id")]
    previous_attempt_id: Annotated[UUID | None, at("attempts.previous_id")]
    next_attempt_id: Annotated[UUID | None, at("attempts.next_id")]
    will_be_retried: bool
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    updated_at: datetime
    phase_seconds: dict[str, float] | None
    """How long each phase has lasted so far; null: none has begun, or an earlier version ran it."""
    base_revision: str | None
    target_revision: str | None
    outcome: Outcome | None
    result_class: ResultClass | None
    reason_code: ReasonCode | None
    error: RunErrorModel | None
    pull: int | None
    """The number of the pull in the project's log; null: it wrote none."""


class LogLineModel(Model):
    """A line of a run's log."""

    at: datetime
    """By the executor's clock."""
    level: str
    """``info``, ``warning`` or ``error``."""
    text: str


class RunModel(RunSummary):
    """A run as it is now."""

    report: ReportModel | None


@router.post("/projects/{project_id}/runs", status_code=202, responses=problems(409))
def request_run(
    context: Context, project: ProjectForWriter, body: RunBody, response: Response
) -> RunModel:
    """Request a run; it waits until no other one works on the project."""
    run = context.services.runs.request(
        project.id,
        body.request(body.mode),
        trigger=Trigger(by=TriggeredBy.MANUAL, requested_by=context.caller.id),
        backend=body.backend,
    )
    return _accepted(run, response)


States = Annotated[tuple[RunState, ...] | None, Query()]


@router.get("/projects/{project_id}/runs")
def list_project_runs(
    context: Context, project: ProjectForReader, window: Window, state: States = None
) -> Page[RunSummary]:
    """The runs of a project, newest first."""
    return _page(context, RunFilter(project_id=project.id, states=state), window)


@router.get("/runs")
def list_runs(context: Context, window: Window, state: States = None) -> Page[RunSummary]:
    """The runs of every project that the caller has any role on, newest first."""
    caller = context.caller
    wanted = RunFilter(
        tenant_id=caller.tenant_id,
        project_ids=tuple(caller.project_roles) if caller.tenant_role is None else None,
        states=state,
    )
    return _page(context, wanted, window)


@router.get("/runs/{run_id}")
def get_run(run: RunForReader) -> RunModel:
    """A run."""
    return RunModel.of(run)


@router.get("/runs/{run_id}/log")
def read_run_log(run: RunForReader) -> list[LogLineModel]:
    """The log of a run: at most 201 lines, without the middle.

    It is empty if an external executor executes the run.
    """
    return [LogLineModel.of(line) for line in run.log]


@router.get("/runs/{run_id}/attempts")
def list_attempts(context: Context, run: RunForReader) -> list[RunSummary]:
    """Every attempt of a run, oldest first."""
    return [RunSummary.of(each) for each in context.services.runs.attempts(run.id)]


@router.post("/runs/{run_id}/cancel")
def cancel_run(context: Context, run: RunForWriter, body: CancelBody | None = None) -> RunModel:
    """Cancel a run. It has no effect after the run's commit point."""
    reason = None if body is None else body.reason
    by = str(context.caller.id)
    return RunModel.of(context.services.runs.cancel(run.id, by=by, reason=reason))


@router.post("/runs/{run_id}/retry", status_code=202, responses=problems(409))
def retry_run(
    context: Context, run: RunForWriter, response: Response, body: RetryBody | None = None
) -> RunModel:
    """Retry a run that has ended."""
    mode = None if body is None else body.mode
    again = context.services.runs.retry(run.id, mode=mode, requested_by=context.caller.id)
    return _accepted(again, response)


def _accepted(run: Run, response: Response) -> RunModel:
    response.headers["Location"] = f"/api/towline/v1/runs/{run.id}"
    return RunModel.of(run)


def _page(context: RequestContext, wanted: RunFilter, window: Window) -> Page[RunSummary]:
    found = context.services.runs.page(wanted, limit=window.limit, offset=window.offset)
    return window.page(RunSummary, found.runs, found.total)
