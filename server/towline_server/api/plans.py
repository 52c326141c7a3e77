"""``/projects/{id}/plans``: make, show, apply or delete stored plans."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BeforeValidator

from towline.records import PlanKind
from towline.report import report_of
from towline_server.projects.stored_plans import StoredPlans
from towline_server.runs.domain import RunMode
from towline_server.web.schemas import problems
from towline_server.web.waiting import wait_in_thread

from .access import Context, NativeRoute, ProjectForReader, ProjectForWriter
from .models import AppliedModel, Flag, Model, Page, ReportModel, Window, at
from .runs import PullOptionsBody

router = APIRouter(prefix="/projects/{project_id}/plans", route_class=NativeRoute)


class PlanBody(PullOptionsBody):
    """A plan to be made."""

    full_refresh: Flag = False
    """Compares every asset again, trusting no recorded tree."""


class WaitingPlan(Model):
    """A stored plan."""

    id: UUID
    created_at: datetime


class PlanModel(WaitingPlan):
    """A stored plan, and what applying it would do."""

    kind: Annotated[PlanKind, at("plan.kind")]
    base: Annotated[str | None, at("plan.before.base")]
    revision: Annotated[str | None, at("plan.revision")]
    is_noop: Annotated[bool, at("plan.is_noop")]
    """Whether applying it would leave everything as it is, the base too."""
    refused: Annotated[bool, at("plan.refused")]
    """Whether conflicts are open that nothing settles; then it cannot be applied."""
    report: Annotated[ReportModel, BeforeValidator(report_of), at("plan")]


@router.get("")
def list_plans(context: Context, project: ProjectForReader, window: Window) -> Page[WaitingPlan]:
    """The stored plans, newest first."""
    with context.reading() as session:
        found = StoredPlans(session, project.id).waiting()
    return window.slice(
        WaitingPlan, [{"id": plan_id, "created_at": created} for plan_id, created in found]
    )


@router.post("", status_code=201, responses=problems(409, 502, 504))
async def make_plan(
    context: Context, project: ProjectForWriter, body: PlanBody, response: Response
) -> PlanModel:
    """Fetch, and plan a pull. Nothing in the project changes."""
    mode = RunMode.FULL_REFRESH if body.full_refresh else RunMode.INCREMENTAL
    wanted = body.request(mode)
    made = await wait_in_thread(lambda: context.services.plans.make(project.id, wanted))
    response.headers["Location"] = f"/api/towline/v1/projects/{project.id}/plans/{made.id}"
    return PlanModel.of(made)


@router.get("/{plan_id}")
def get_plan(context: Context, project: ProjectForReader, plan_id: UUID) -> PlanModel:
    """A stored plan."""
    return PlanModel.of(context.services.plans.get(project.id, plan_id))


@router.delete("/{plan_id}", status_code=204)
def discard_plan(context: Context, project: ProjectForWriter, plan_id: UUID) -> None:
    """Delete a plan."""
    context.services.plans.discard(project.id, plan_id)


@router.post("/{plan_id}/apply", responses=problems(409, 502, 504))
async def apply_plan(context: Context, project: ProjectForWriter, plan_id: UUID) -> AppliedModel:
    """Apply a plan, all of it or nothing; it pulls the revision that it names."""
    return AppliedModel.of(
        await wait_in_thread(lambda: context.services.plans.apply(project.id, plan_id))
    )
