"""``/work``: runs of external executors. Claim one, renew its lease, complete it.

The lease token that a claim gives is the right to the run; beside it the caller needs the role on
the run's project. The executor reads the repository with credentials of its own, plans with the
library, and gives back the plan with the contents that it needs.
"""

from __future__ import annotations

from base64 import b64decode
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from towline.codec import encode
from towline.content_rules import ContentMode
from towline.errors import ContentMissing, InvalidValue
from towline.model import Digest, Revision
from towline.names import NamePolicy
from towline.options import OnConflict, Renames
from towline_server.auth.roles import Role
from towline_server.runs.domain import PulledWindow, RunMode
from towline_server.runs.external import FAILURE_REASONS
from towline_server.runs.states import ReasonCode, RunState
from towline_server.web.schemas import (
    PLAN,
    WHOLE,
    PlainText,
    accepting,
    of_format,
    one_of,
    problems,
)

from .access import Context, NativeRoute, RequestContext
from .models import Base64, Body, Model, Name, Sha, Text, at
from .runs import RunModel, RunSummary

router = APIRouter(prefix="/work", route_class=NativeRoute)

Token = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Steps = Annotated[int, Field(ge=0, le=2**53), WHOLE]

Windows = Annotated[int, Field(ge=0, le=2**31 - 1), WHOLE]


class ClaimBody(Body):
    """Who claims, and of which projects; without them, of all that the caller may write to."""

    executor_id: Name
    project_ids: Annotated[list[UUID], Field(max_length=1000)] | None = None


class HeldBody(Body):
    """A run, and the right to it."""

    run_id: UUID
    token: Token


class HeartbeatBody(HeldBody):
    """How far the run is."""

    phase: Literal["fetching", "comparing", "validating", "applying"] | None = None
    done: Steps = 0
    total: Steps | None = None


class FailureBody(Body):
    """Why the run could not be completed."""

    reason: Annotated[ReasonCode, accepting(*FAILURE_REASONS)]
    message: Text


class WindowBody(Body):
    """The history of which one window was pulled."""

    tip: Sha
    """The revision that the last window ends with."""
    left: Windows
    """How many windows follow."""


class CompleteBody(HeldBody):
    """The plan with its contents; or a failure."""

    model_config = ConfigDict(
        json_schema_extra=one_of(
            plan={"type": "string", "format": PLAN}, failure={"type": "object"}
        )
    )

    plan: Annotated[PlainText, of_format(PLAN)] | None = None
    """As ``towline.dump_plan`` writes it."""
    contents: dict[Sha, Base64] = Field(
        default_factory=dict, json_schema_extra={"additionalProperties": False}
    )
    """Base64 by digest, for each digest that the plan needs."""
    failure: FailureBody | None = None
    window: WindowBody | None = None
    """Of work with a window, what the plan pulls of the history."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.plan is None) == (self.failure is None):
            raise ValueError("needs either a plan or a failure")
        return self


Encoded = Annotated[dict[str, Any], BeforeValidator(encode)]
"""A value as ``towline.codec`` encodes it."""
Sorted = Annotated[list[str], BeforeValidator(sorted)]


class PullModel(Model):
    """What the run is to do."""

    mode: RunMode
    only: Annotated[Encoded, at("selection")]
    use_theirs: Annotated[Sorted, at("resolutions.use_theirs")]
    use_ours: Annotated[Sorted, at("resolutions.use_ours")]
    allow_empty: bool


class WorkModel(Model):
    """What planning needs; values as ``towline.codec`` encodes them."""

    project: str
    """Its name for ids."""
    path: str
    kinds: Encoded
    names: NamePolicy
    state: Encoded
    records: list[Encoded]
    used: dict[str, str | None]
    """Each id that an asset has, or had, and where an asset that was dropped has it again."""
    url: str
    ref: str
    scope: str
    on_conflict: Annotated[OnConflict, at("settings.on_conflict")]
    content_merge: Annotated[ContentMode, at("settings.content_merge")]
    renames: Annotated[Renames, at("settings.renames")]
    limits: Encoded
    resolutions: list[Encoded]
    """Those that are saved, for the merge to use."""
    window: Encoded | None
    """How much of the history to pull, after ``state.base``: so many ``commits`` along first
    parents, or those of so many ``seconds``; null: all."""
    tip: str | None
    """The revision that the last window ends with; null: what the ref names."""


class ClaimModel(Model):
    """A run that is the claimer's until ``lease_until``, if no heartbeat comes."""

    run: RunSummary
    token: str
    lease_until: datetime
    pull: Annotated[PullModel, at("run.request")]
    work: WorkModel


class LeaseModel(Model):
    """How long a renewed lease lasts, and whether to stop."""

    lease_until: datetime
    cancel: bool


@router.post(
    "/claim",
    response_model=ClaimModel,
    responses={204: {"description": "no run is waiting"}},
)
def claim_work(context: Context, body: ClaimBody) -> Any:
    """Take the oldest run that waits for an external executor."""
    projects = _claimable(context, body)
    if projects is not None and not projects:
        return Response(status_code=204)
    claim = context.services.external.claim(
        # Another identity's executor of the same name must not take over the lease.
        f"{context.caller.id}/{body.executor_id}",
        tenant_id=context.caller.tenant_id,
        project_ids=projects,
    )
    return Response(status_code=204) if claim is None else ClaimModel.of(claim)


@router.post("/heartbeat", responses=problems(409))
def heartbeat(context: Context, body: HeartbeatBody) -> LeaseModel:
    """Renew a lease, and report the progress of the run."""
    run = context.run(body.run_id, Role.WRITER)
    phase = None if body.phase is None else RunState(body.phase)
    renewed = context.services.external.heartbeat(
        run.id, body.token, phase=phase, done=body.done, total=body.total
    )
    return LeaseModel.of(renewed)


@router.post("/renew", responses=problems(409))
def renew_work(context: Context, body: HeldBody) -> WorkModel:
    """The current input for planning, for when a plan has become stale."""
    run = context.run(body.run_id, Role.WRITER)
    return WorkModel.of(context.services.external.work(run.id, body.token))


@router.post("/complete", responses=problems(409, 413))
def complete_work(context: Context, body: CompleteBody) -> RunModel:
    """End a run with its plan, which towline applies, or with the reason why there is none.

    If the plan has become stale (409 ``stale_plan``), see ``renew``.
    """
    run, external = context.run(body.run_id, Role.WRITER), context.services.external
    if body.failure is not None:
        reason = body.failure.reason
        if reason not in FAILURE_REASONS:
            known = ", ".join(FAILURE_REASONS)
            raise InvalidValue(field="failure.reason", problem=f"must be one of {known}")
        return RunModel.of(external.fail(run.id, body.token, reason, body.failure.message))
    assert body.plan is not None, "the body was validated"
    contents = {
        Digest.parse(each): b64decode(text, validate=True) for each, text in body.contents.items()
    }
    window = None
    if body.window is not None:
        window = PulledWindow(tip=Revision(body.window.tip), left=body.window.left)
    try:
        ended = external.complete(run.id, body.token, body.plan, contents, window)
    except ContentMissing as error:
        # Elsewhere that is the machine's fault; here the caller's.
        problem = f"has no content, or another one, for {', '.join(error.digests[:10])}"
        raise InvalidValue(field="contents", problem=problem) from None
    return RunModel.of(ended)


def _claimable(context: RequestContext, body: ClaimBody) -> list[UUID] | None:
    """The projects whose runs the caller may execute; None: every one of the tenant."""
    if body.project_ids is not None:
        return [context.project(each, Role.WRITER).id for each in body.project_ids]
    caller = context.caller
    if caller.tenant_role is not None and caller.tenant_role.covers(Role.WRITER):
        return None
    return [each for each, role in caller.project_roles.items() if role.covers(Role.WRITER)]
