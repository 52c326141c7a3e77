"""``/projects/{id}/plans``: made, looked at, applied later or dropped."""

from __future__ import annotations

from datetime import datetime
from typing import Self
from uuid import UUID

from fastapi import APIRouter, Response

from towline.plan import PlanKind
from towline.report import Report, report_of
from towline_server.auth.roles import Role
from towline_server.projects.stored_plans import PlanEntry, StoredPlans
from towline_server.runs.domain import RunMode
from towline_server.web.schemas import problems
from towline_server.web.waiting import aside

from .access import Context, NativeRoute
from .models import Flag, Model, Page, Window
from .reports import AppliedModel, ReportModel
from .runs import PullBody

router = APIRouter(prefix="/projects/{project_id}/plans", route_class=NativeRoute)


class PlanBody(PullBody):
    """A plan that is asked for."""

    full_refresh: Flag = False
    """Compares every asset anew, trusting no recorded tree."""


class WaitingPlan(Model):
    """A plan that waits."""

    id: UUID
    created_at: datetime


class PlanModel(WaitingPlan):
    """A plan that waits, and what applying it would do."""

    kind: PlanKind
    base: str | None
    revision: str | None
    is_noop: bool
    """Whether applying it would leave everything as it is, the base too."""
    refused: bool
    """Whether conflicts are open that nothing settles; then it cannot be applied."""
    report: ReportModel

    @classmethod
    def of(cls, entry: PlanEntry) -> Self:
        """Return the model of a plan."""
        plan = entry.plan
        return cls(
            id=entry.id,
            created_at=entry.created_at,
            kind=plan.kind,
            base=plan.before.base,
            revision=plan.revision,
            is_noop=plan.is_noop,
            refused=plan.refused,
            report=ReportModel.of(report_of(plan)),
        )


@router.get("", responses=problems())
def list_plans(context: Context, project_id: UUID, window: Window) -> Page[WaitingPlan]:
    """The plans that wait, newest first."""
    project = context.project(project_id, Role.READER)
    with context.reading() as session:
        found = StoredPlans(session, project.id).waiting()
    shown = found[window.offset : window.offset + window.limit]
    waiting = ({"id": plan_id, "created_at": at} for plan_id, at in shown)
    return window.page(WaitingPlan, waiting, len(found))


@router.post("", status_code=201, responses=problems(409, 502, 504))
async def make_plan(
    context: Context, project_id: UUID, body: PlanBody, response: Response
) -> PlanModel:
    """Fetch, and plan a pull; nothing of the project changes."""

    def make() -> PlanEntry:
        project = context.project(project_id, Role.WRITER)
        mode = RunMode.FULL_REFRESH if body.full_refresh else RunMode.INCREMENTAL
        return context.services.plans.make(project.id, body.request(mode))

    made = await aside(make)
    response.headers["Location"] = f"/api/towline/v1/projects/{project_id}/plans/{made.id}"
    return PlanModel.of(made)


@router.get("/{plan_id}", responses=problems())
def get_plan(context: Context, project_id: UUID, plan_id: UUID) -> PlanModel:
    """A plan that waits."""
    project = context.project(project_id, Role.READER)
    return PlanModel.of(context.services.plans.get(project.id, plan_id))


@router.delete("/{plan_id}", status_code=204, responses=problems())
def discard_plan(context: Context, project_id: UUID, plan_id: UUID) -> None:
    """Drop a plan."""
    project = context.project(project_id, Role.WRITER)
    context.services.plans.discard(project.id, plan_id)


@router.post("/{plan_id}/apply", responses=problems(409, 502, 504))
async def apply_plan(context: Context, project_id: UUID, plan_id: UUID) -> AppliedModel:
    """Carry out a plan, all of it or nothing; it pulls the revision that it names."""

    def carry_out() -> Report:
        project = context.project(project_id, Role.WRITER)
        return context.services.plans.apply(project.id, plan_id)

    return AppliedModel.of(await aside(carry_out))
