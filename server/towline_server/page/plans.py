"""``/ui/projects/{id}/plans``: make, look at, apply and delete plans of a pull."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from towline.report import report_json, report_of
from towline_server.auth.roles import Role
from towline_server.errors import existing
from towline_server.projects.stored_plans import StoredPlans
from towline_server.runs.domain import RunMode
from towline_server.web.waiting import waiting

from .assets import AssetIdQuery
from .comparing import change_page
from .entries import Wanted, entries_of
from .pull_forms import request_of
from .visitor import Sent, SignedIn, go

router = APIRouter(prefix="/ui/projects/{project_id}/plans")


@router.get("")
def list_plans(visitor: SignedIn, project_id: UUID) -> Response:
    """List the stored plans of a project."""
    project = visitor.project(project_id, Role.READER)
    with visitor.reading() as session:
        waiting = StoredPlans(session, project.id).waiting()
    return visitor.page("plans.html", project=project, waiting=waiting)


@router.post("")
@waiting
def make_plan(visitor: SignedIn, form: Sent, project_id: UUID) -> Response:
    """Fetch, plan a pull, and show it."""
    project = visitor.project(project_id, Role.WRITER)
    entry = visitor.services.plans.make(project.id, request_of(form, RunMode.INCREMENTAL))
    return go(f"/ui/projects/{project_id}/plans/{entry.id}")


@router.get("/{plan_id}")
def show_plan(visitor: SignedIn, project_id: UUID, plan_id: UUID, wanted: Wanted) -> Response:
    """Show what applying a plan would do, and to which assets."""
    project = visitor.project(project_id, Role.READER)
    entry = visitor.services.plans.get(project.id, plan_id)
    report = report_json(report_of(entry.plan, preview=True))
    return visitor.page(
        "plan.html",
        project=project,
        entry=entry,
        report=report,
        entries=entries_of(report, wanted),
        differences=f"/ui/projects/{project.id}/plans/{plan_id}/diff",
    )


@router.get("/{plan_id}/diff")
@waiting
def show_difference(
    visitor: SignedIn, project_id: UUID, plan_id: UUID, asset_id: AssetIdQuery
) -> Response:
    """Show what a plan would change in one asset."""
    project = visitor.project(project_id, Role.READER)
    plan = visitor.services.plans.get(project.id, plan_id).plan
    named = (item for item in plan.items if item.asset_id == asset_id)
    item = existing(next(named, None), "asset")
    back = f"/ui/projects/{project.id}/plans/{plan_id}"
    states, known = (item.before, item.after), dict(plan.merged)
    return change_page(
        visitor, project, item.path, back, states, revision=plan.revision, known=known
    )


@router.post("/{plan_id}/apply")
@waiting
def apply_plan(visitor: SignedIn, project_id: UUID, plan_id: UUID) -> Response:
    """Apply a plan, and show the pull that it is."""
    project = visitor.project(project_id, Role.WRITER)
    number = visitor.services.plans.apply(project.id, plan_id).pull
    history = f"/ui/projects/{project_id}/history"
    return go(history if number is None else f"{history}/{number}")


@router.post("/{plan_id}/delete")
def delete_plan(visitor: SignedIn, project_id: UUID, plan_id: UUID) -> Response:
    """Delete a plan."""
    project = visitor.project(project_id, Role.WRITER)
    visitor.services.plans.discard(project.id, plan_id)
    return go(f"/ui/projects/{project_id}/plans")
