"""``/projects/{id}/schedules``: when runs of a project are requested automatically."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from towline.errors import InvalidValue
from towline.options import OnConflict
from towline_server.errors import UnknownKind
from towline_server.projects.domain import Project
from towline_server.runs.domain import BackendName, RunMode, RunRequest
from towline_server.runs.project_schedules import ProjectSchedules
from towline_server.runs.schedules import (
    LONGEST_SECONDS,
    Rhythm,
    Schedule,
    ScheduleSpec,
    schedules_of,
)
from towline_server.web.schemas import CRON, TIME_ZONE, WHOLE, of_format, one_of, problems

from .access import Context, NativeRoute, ProjectForReader, ProjectForWriter, RequestContext
from .models import Body, Flag, Model, Page, Text, Window, at

router = APIRouter(prefix="/projects/{project_id}/schedules", route_class=NativeRoute)

Cron = Annotated[Text, of_format(CRON)]
Zone = Annotated[Text, of_format(TIME_ZONE)]
Seconds = Annotated[int, Field(ge=1, le=LONGEST_SECONDS), WHOLE]
_NULL: JsonDict = {"type": "null"}
_ONE_RHYTHM = one_of(cron={"type": "string"}, every_seconds={"type": "integer"})
_NOT_BOTH: JsonDict = {
    "anyOf": [{"properties": {"cron": _NULL}}, {"properties": {"every_seconds": _NULL}}]
}


class ScheduleBody(Body):
    """A schedule to be made: by a cron line in a time zone, or by a number of seconds."""

    model_config = ConfigDict(json_schema_extra=_ONE_RHYTHM)

    cron: Cron | None = None
    """Minute, hour, day of the month, month and weekday."""
    timezone: Zone = "UTC"
    """What the cron line's hours are of, such as Europe/Berlin."""
    every_seconds: Seconds | None = None
    enabled: Flag = True
    mode: RunMode = RunMode.INCREMENTAL
    kind: Text | None = None
    """The only kind to pull; null: all."""
    on_conflict: OnConflict | None = None
    """null: as the project's settings have it."""
    allow_empty: Flag = False
    backend: BackendName = BackendName.NATIVE

    @model_validator(mode="after")
    def _has_one_rhythm(self) -> ScheduleBody:
        if (self.cron is None) == (self.every_seconds is None):
            raise ValueError("needs either cron or every_seconds")
        return self


class ScheduleChange(Body):
    """A change of a schedule: what is left out stays.

    A null ``kind`` or ``on_conflict`` is as in a new schedule; another null is as if left out.
    """

    model_config = ConfigDict(json_schema_extra=_NOT_BOTH)

    cron: Cron | None = None
    timezone: Zone | None = None
    every_seconds: Seconds | None = None
    """Takes the place of the cron line, as that does of it."""
    enabled: Flag | None = None
    mode: RunMode | None = None
    kind: Text | None = None
    on_conflict: OnConflict | None = None
    allow_empty: Flag | None = None
    backend: BackendName | None = None

    @model_validator(mode="after")
    def _has_no_two_rhythms(self) -> ScheduleChange:
        if self.cron is not None and self.every_seconds is not None:
            raise ValueError("takes either cron or every_seconds")
        return self


class ScheduleModel(Model):
    """A schedule of a project, of a sync too."""

    id: UUID
    sync_id: Annotated[UUID | None, at("spec.sync_id")]
    """The sync whose schedule it is, and with which alone it changes."""
    cron: Annotated[str | None, at("spec.rhythm.cron")]
    timezone: Annotated[str, at("spec.rhythm.timezone")]
    every_seconds: Annotated[int | None, at("spec.rhythm.every_seconds")]
    enabled: bool
    due_at: datetime | None
    """When it fires next; null: it is paused."""
    mode: Annotated[RunMode, at("spec.request.mode")]
    kind: Annotated[str | None, at("spec.request.kind")]
    on_conflict: Annotated[OnConflict | None, at("spec.request.on_conflict")]
    allow_empty: Annotated[bool, at("spec.request.allow_empty")]
    backend: Annotated[BackendName, at("spec.backend")]


@router.get("")
def list_schedules(
    context: Context, project: ProjectForReader, window: Window
) -> Page[ScheduleModel]:
    """The schedules of a project, next due first, including those of its syncs."""
    with context.reading() as session:
        found = schedules_of(session, project.id)
    return window.slice(ScheduleModel, found)


@router.post("", status_code=201, responses=problems(409))
def create_schedule(
    context: Context, project: ProjectForWriter, body: ScheduleBody, response: Response
) -> ScheduleModel:
    """Create a schedule. Times missed while no server was up are made up for by one run."""
    _check(context, project, body)
    spec = _spec(project, body)
    with context.writing() as session:
        made = ProjectSchedules(session, project.id).create(spec, enabled=body.enabled)
    response.headers["Location"] = f"/api/towline/v1/projects/{project.id}/schedules/{made.id}"
    return ScheduleModel.of(made)


@router.get("/{schedule_id}")
def get_schedule(context: Context, project: ProjectForReader, schedule_id: UUID) -> ScheduleModel:
    """A schedule."""
    with context.reading() as session:
        return ScheduleModel.of(ProjectSchedules(session, project.id).get(schedule_id))


@router.patch("/{schedule_id}", responses=problems(409))
def change_schedule(
    context: Context, project: ProjectForWriter, schedule_id: UUID, body: ScheduleChange
) -> ScheduleModel:
    """Change a schedule; ``enabled`` false pauses it. A sync's cannot be changed here."""
    # What it has already may not fit any more, and can be paused all the same.
    _check(context, project, body)
    with context.writing() as session:
        schedules = ProjectSchedules(session, project.id)
        wanted = _changed(schedules.get(schedule_id), body)
        spec = _spec(project, wanted)
        return ScheduleModel.of(schedules.change(schedule_id, spec, enabled=wanted.enabled))


@router.delete("/{schedule_id}", status_code=204, responses=problems(409))
def delete_schedule(context: Context, project: ProjectForWriter, schedule_id: UUID) -> None:
    """Delete a schedule; its runs stay. A sync's schedule cannot be deleted here."""
    with context.writing() as session:
        ProjectSchedules(session, project.id).delete(schedule_id)


def _check(context: RequestContext, project: Project, body: ScheduleBody | ScheduleChange) -> None:
    """Refuse what cannot be requested.

    Raises:
        UnknownKind: the project has no such kind.
        BackendNotConfigured: the backend cannot be used here.
    """
    if body.backend is not None:
        context.services.runs.backends.get(body.backend)
    if body.kind is not None and body.kind not in {each.name for each in project.kinds.kinds}:
        raise UnknownKind(kind=body.kind)


def _spec(project: Project, body: ScheduleBody) -> ScheduleSpec:
    """Return what a body requests, and when. Raises InvalidValue."""
    return ScheduleSpec(
        project_id=project.id,
        rhythm=_rhythm(body),
        request=RunRequest(
            mode=body.mode,
            kind=body.kind,
            on_conflict=body.on_conflict,
            allow_empty=body.allow_empty,
        ),
        backend=body.backend,
    )


def _rhythm(body: ScheduleBody) -> Rhythm:
    timezone = body.timezone or "UTC"
    try:
        return Rhythm(cron=body.cron, timezone=timezone, every_seconds=body.every_seconds)
    except InvalidValue as error:
        # Its fields have the names of the Syncs API.
        field = error.field.removeprefix("schedule.")
        raise InvalidValue(field=field, problem=error.problem) from None


def _changed(schedule: Schedule, body: ScheduleChange) -> ScheduleBody:
    shown = ScheduleModel.of(schedule)
    values = {name: getattr(shown, name) for name in ScheduleBody.model_fields}
    if body.cron is not None or body.every_seconds is not None:
        values |= {"cron": None, "every_seconds": None}
    return ScheduleBody.model_construct(**values | body.given("kind", "on_conflict"))
