"""What a sync asks of the runs: once, and by its schedule."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from towline.options import OnConflict, Selection
from towline_server.projects.domain import Project
from towline_server.runs.domain import Origin, Run, RunMode, RunRequest, Source
from towline_server.runs.schedules import ScheduleSpec
from towline_server.runs.service import Runs

from .checks import kinds_of, rhythm_of
from .domain import Definition, ExecutionMode, TriggerMode


def ask(runs: Runs, definition: Definition, project: Project, mode: RunMode, origin: Origin) -> Run:
    """Ask for a run of a project as a sync defines it.

    Raises:
        NotFound, BackendNotConfigured: as `Runs.request`.
        NotAssociated: the project is bound to nothing (any more).
    """
    backend = definition.execution_backend
    if definition.execution_mode is ExecutionMode.FAN_OUT_ENTITY:
        kinds = kinds_of(definition, project)
        whole = _whole(definition, project, mode)
        return runs.request_fan_out(project.id, kinds, whole, origin=origin, backend=backend)
    request = _request(definition, project, mode)
    return runs.request(project.id, request, origin=origin, backend=backend)


def schedule_of(
    sync_id: UUID, definition: Definition, project: Project | None
) -> ScheduleSpec | None:
    """The schedule that a sync has; None while it must not fire."""
    scheduled = definition.trigger_mode is TriggerMode.SCHEDULED and definition.status.fires
    if project is None or definition.schedule is None or not scheduled:
        return None
    fan_out = definition.execution_mode is ExecutionMode.FAN_OUT_ENTITY
    requests: tuple[RunRequest, ...] = (_request(definition, project, RunMode.INCREMENTAL),)
    if fan_out:
        whole = _whole(definition, project, RunMode.INCREMENTAL)
        # None is named: every kind that the project has when it fires.
        named = kinds_of(definition, project) if definition.entities else ()
        requests = tuple(replace(whole, kind=kind) for kind in named) or (whole,)
    return ScheduleSpec(
        project_id=project.id,
        rhythm=rhythm_of(definition.schedule),
        requests=requests,
        fan_out=fan_out,
        sync_id=sync_id,
        backend=definition.execution_backend,
    )


def _request(definition: Definition, project: Project, mode: RunMode) -> RunRequest:
    """One run over all that a sync pulls."""
    whole, entities = _whole(definition, project, mode), definition.entities
    if len(entities) == 1:
        return replace(whole, kind=entities[0])
    return replace(whole, only=Selection(kinds=frozenset(entities)))


def _whole(definition: Definition, project: Project, mode: RunMode) -> RunRequest:
    """A run over every kind, as a sync defines it."""
    return RunRequest(
        mode=mode, on_conflict=_policy(definition), source=_source(definition, project)
    )


def _source(definition: Definition, project: Project) -> Source:
    """What the sync was checked against: a project that is bound anew is not pulled by it."""
    ref, path = (definition.source_config.get(name) for name in ("ref", "path"))
    connection_id = str(project.bound.connection_id)
    return Source(connection_id=connection_id, ref=ref, scope=path)


def _policy(definition: Definition) -> OnConflict | None:
    """What becomes of conflicts that are left over; None leaves it to the project."""
    given = definition.execution_config.get("on_conflict")
    return None if given is None else OnConflict(given)
