"""``/ui/projects/{id}/schedules``: when runs of a project are requested automatically."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from towline_server.api import schedules as api
from towline_server.auth.roles import Role
from towline_server.errors import ScheduleOfSync
from towline_server.projects.domain import Project
from towline_server.runs.project_schedules import ProjectSchedules
from towline_server.runs.schedules import Schedule, schedules_of

from .forms import FormField, ShownForm, fields_of, once, shown_form, submitted
from .visitor import Sent, SignedIn, Visitor, go

router = APIRouter(prefix="/ui/projects/{project_id}/schedules")

_LABELS = {
    "cron": "Cron line",
    "timezone": "Time zone of the cron line",
    "every_seconds": "Or interval in seconds",
    "enabled": "Enabled",
    "mode": "Mode of the runs",
    "kind": "Kind to pull",
    "on_conflict": "On conflict",
    "allow_empty": "Allow a repository without assets",
    "backend": "Executed by",
}
_HINTS = {
    "cron": "Minute, hour, day of the month, month, weekday: 0 4 * * 1-5 is at 4:00 on workdays.",
    "timezone": "Such as Europe/Berlin.",
    "enabled": "Unchecked: the schedule is paused.",
    "kind": "None: all kinds of the project.",
    "on_conflict": "None: the project's setting.",
}
_FIELDS = fields_of(api.ScheduleBody, labels=_LABELS, hints=_HINTS)


@router.get("")
def list_schedules(visitor: SignedIn, project_id: UUID) -> Response:
    """List the schedules of a project, with when each fires next."""
    project = visitor.project(project_id, Role.READER)
    with visitor.reading() as session:
        found = schedules_of(session, project.id)
    return visitor.page("schedules.html", project=project, schedules=found)


@router.get("/new")
def new_schedule(visitor: SignedIn, project_id: UUID) -> Response:
    """Show the form of a new schedule."""
    project = visitor.project(project_id, Role.WRITER)
    return _form_page(visitor, project, shown_form(_fields(visitor, project)))


@router.post("/new")
def create_schedule(visitor: SignedIn, form: Sent, project_id: UUID) -> Response:
    """Make a schedule."""
    project = visitor.project(project_id, Role.WRITER)

    def save(body: api.ScheduleBody) -> Response:
        api.create_schedule(visitor, project, body, Response())
        return go(_address(project))

    def again(shown: ShownForm) -> Response:
        return _form_page(visitor, project, shown)

    fields = _fields(visitor, project)
    return submitted(api.ScheduleBody, fields, form, once(visitor, form, save), again)


@router.get("/{schedule_id}")
def show_schedule(visitor: SignedIn, project_id: UUID, schedule_id: UUID) -> Response:
    """Show the form of a schedule that there is."""
    project = visitor.project(project_id, Role.WRITER)
    schedule = _found(visitor, project, schedule_id)
    shown = api.ScheduleModel.of(schedule).model_dump()
    values = {name: shown[name] for name in api.ScheduleBody.model_fields}
    filled = shown_form(_fields(visitor, project, schedule), values)
    return _form_page(visitor, project, filled, schedule)


@router.post("/{schedule_id}")
def change_schedule(visitor: SignedIn, form: Sent, project_id: UUID, schedule_id: UUID) -> Response:
    """Edit a schedule."""
    project = visitor.project(project_id, Role.WRITER)
    schedule = _found(visitor, project, schedule_id)

    def save(body: api.ScheduleBody) -> Response:
        return _changed(visitor, project, schedule, body.model_dump())

    def again(shown: ShownForm) -> Response:
        return _form_page(visitor, project, shown, schedule)

    return submitted(api.ScheduleBody, _fields(visitor, project, schedule), form, save, again)


@router.post("/{schedule_id}/pause")
def pause_schedule(visitor: SignedIn, project_id: UUID, schedule_id: UUID) -> Response:
    """Pause a schedule."""
    return _enable(visitor, project_id, schedule_id, enabled=False)


@router.post("/{schedule_id}/resume")
def resume_schedule(visitor: SignedIn, project_id: UUID, schedule_id: UUID) -> Response:
    """Have a paused schedule request runs again."""
    return _enable(visitor, project_id, schedule_id, enabled=True)


@router.get("/{schedule_id}/delete")
def ask_to_delete(visitor: SignedIn, project_id: UUID, schedule_id: UUID) -> Response:
    """Ask whether a schedule is to be deleted."""
    project = visitor.project(project_id, Role.WRITER)
    rhythm = _found(visitor, project, schedule_id).spec.rhythm
    cron = f"{rhythm.cron} {rhythm.timezone}"
    return visitor.page(
        "confirm.html",
        project=project,
        question="Delete the schedule?",
        subject=cron if rhythm.cron else f"every {rhythm.every_seconds} s",
        consequence="It requests no more runs. Runs that it has requested are not deleted.",
        answer="Delete it",
        back=_address(project),
    )


@router.post("/{schedule_id}/delete")
def delete_schedule(visitor: SignedIn, project_id: UUID, schedule_id: UUID) -> Response:
    """Delete a schedule."""
    project = visitor.project(project_id, Role.WRITER)
    api.delete_schedule(visitor, project, schedule_id)
    return go(_address(project))


def _fields(
    visitor: Visitor, project: Project, schedule: Schedule | None = None
) -> tuple[FormField, ...]:
    """Return what the form asks: of kinds and backends, those that there are."""
    kinds = [each.name for each in project.kinds.kinds]
    backends = [str(each) for each in visitor.services.runs.backends.configured]
    if schedule is not None:
        # What it has stays to be chosen, though it may be gone.
        kinds += [] if (kind := schedule.spec.request.kind) in (None, *kinds) else [str(kind)]
        backends += [] if (own := str(schedule.spec.backend)) in backends else [own]
    offered = {"kind": kinds, "backend": backends}
    return tuple(
        replace(each, widget="select", options=_options(offered[each.name]))
        if each.name in offered
        else each
        for each in _FIELDS
    )


def _options(names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, name) for name in names)


def _found(visitor: Visitor, project: Project, schedule_id: UUID) -> Schedule:
    """Return a schedule that is changed here. Raises NotFound, ScheduleOfSync."""
    with visitor.reading() as session:
        found = ProjectSchedules(session, project.id).get(schedule_id)
    if found.spec.sync_id is not None:
        raise ScheduleOfSync
    return found


def _changed(
    visitor: Visitor, project: Project, schedule: Schedule, values: dict[str, Any]
) -> Response:
    """Change what differs: what the schedule has already may be gone."""
    shown = api.ScheduleModel.of(schedule).model_dump()
    given = {name: value for name, value in values.items() if value != shown[name]}
    change = api.ScheduleChange.model_validate(given)
    api.change_schedule(visitor, project, schedule.id, change)
    return go(_address(project))


def _enable(visitor: Visitor, project_id: UUID, schedule_id: UUID, *, enabled: bool) -> Response:
    project = visitor.project(project_id, Role.WRITER)
    schedule = _found(visitor, project, schedule_id)
    return _changed(visitor, project, schedule, {"enabled": enabled})


def _address(project: Project) -> str:
    return f"/ui/projects/{project.id}/schedules"


def _form_page(
    visitor: Visitor, project: Project, filled: ShownForm, schedule: Schedule | None = None
) -> Response:
    at, is_new = _address(project), schedule is None
    return visitor.page(
        "form.html",
        project=project,
        title="Add a schedule" if is_new else "Edit a schedule",
        back=at,
        back_label="All schedules",
        action=f"{at}/new" if schedule is None else f"{at}/{schedule.id}",
        button="Add" if is_new else "Save",
        filled=filled,
        status=filled.status,
    )
