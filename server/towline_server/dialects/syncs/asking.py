"""What a sync asks of the runs: once, and by its schedule."""

from __future__ import annotations

from uuid import UUID

from towline.resolutions import OnConflict, Selection
from towline_server.projects.domain import Project
from towline_server.runs.domain import Origin, Run, RunMode, RunRequest
from towline_server.runs.schedules import ScheduleSpec
from towline_server.runs.service import Runs

from .checks import kinds_of, rhythm_of
from .domain import Definition, ExecutionMode, TriggerMode


def ask(runs: Runs, definition: Definition, project: Project, mode: RunMode, origin: Origin) -> Run:
    """Ask for a run of a project as a sync defines it.

    Raises:
        NotFound, BackendNotConfigured: as `Runs.request`.
    """
    backend = definition.execution_backend
    if definition.execution_mode is ExecutionMode.FAN_OUT_ENTITY:
        kinds = kinds_of(definition, project)
        whole = RunRequest(mode=mode, on_conflict=_policy(definition))
        return runs.request_fan_out(project.id, kinds, whole, origin=origin, backend=backend)
    request = _request(definition, mode)
    return runs.request(project.id, request, origin=origin, backend=backend)


def schedule_of(
    sync_id: UUID, definition: Definition, project: Project | None
) -> ScheduleSpec | None:
    """The schedule that a sync has; None while it must not fire."""
    scheduled = definition.trigger_mode is TriggerMode.SCHEDULED and definition.status.fires
    if project is None or definition.schedule is None or not scheduled:
        return None
    fan_out = definition.execution_mode is ExecutionMode.FAN_OUT_ENTITY
    requests: tuple[RunRequest, ...] = (_request(definition, RunMode.INCREMENTAL),)
    if fan_out:
        policy = _policy(definition)
        kinds = kinds_of(definition, project)
        requests = tuple(RunRequest(kind=kind, on_conflict=policy) for kind in kinds)
    return ScheduleSpec(
        project_id=project.id,
        rhythm=rhythm_of(definition.schedule),
        requests=requests,
        fan_out=fan_out,
        sync_id=sync_id,
        backend=definition.execution_backend,
    )


def _request(definition: Definition, mode: RunMode) -> RunRequest:
    """One run over all that a sync pulls."""
    entities, policy = definition.entities, _policy(definition)
    if len(entities) == 1:
        return RunRequest(mode=mode, kind=entities[0], on_conflict=policy)
    return RunRequest(mode=mode, only=Selection(kinds=frozenset(entities)), on_conflict=policy)


def _policy(definition: Definition) -> OnConflict | None:
    """What becomes of conflicts that are left over; None leaves it to the project."""
    given = definition.execution_config.get("on_conflict")
    return None if given is None else OnConflict(given)
