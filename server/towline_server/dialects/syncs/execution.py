"""Owns what a sync executes: what is wrong with its definition, its runs, and its schedule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from towline.errors import InvalidValue
from towline.options import OnConflict, Selection
from towline.remotes.windows import Window
from towline_server.errors import BackendNotConfigured
from towline_server.projects.domain import Connection, Project
from towline_server.runs.attempts import check_readable
from towline_server.runs.domain import RequiredBinding, Run, RunMode, RunRequest, Trigger
from towline_server.runs.schedules import Rhythm, ScheduleSpec
from towline_server.runs.service import Runs
from towline_server.runs.worker import Backends

from .domain import (
    DOES_NOT_FIT,
    PROJECT,
    WINDOW_SIZES,
    Definition,
    ExecutionMode,
    LoadMode,
    SyncProblem,
    SyncStatus,
    TableChoice,
    TriggerMode,
)
from .rows import EVENT_TABLE


def problems_of(
    definition: Definition, connection: Connection, project: Project | None, backends: Backends
) -> Iterator[SyncProblem]:
    """Yield every problem of a definition; without a project, all but those that depend on it."""
    yield from _execution(definition, connection, backends)
    yield from _schedule(definition)
    yield from _tables(definition)
    yield from _source_form(definition.source_config)
    if project is None and definition.status is not SyncStatus.DRAFT:
        msg = f"a sync needs a project to be {definition.status}: name one, by path or id"
        yield SyncProblem(PROJECT, msg, DOES_NOT_FIT)
    if project is not None:
        yield from _binding(definition.source_config, connection, project)
        yield from _kinds(definition, project)


def kinds_of(definition: Definition, project: Project) -> tuple[str, ...]:
    """Return the kinds that a sync pulls, in the project's order."""
    every = tuple(kind.name for kind in project.kinds.kinds)
    return tuple(kind for kind in every if not definition.entities or kind in definition.entities)


def rhythm_of(schedule: Mapping[str, Any]) -> Rhythm:
    """Return when a schedule is due.

    Raises:
        InvalidValue: it is malformed.
    """
    cron, timezone = schedule.get("cron"), schedule.get("timezone")
    given = schedule.get("everySeconds")
    for name, text in (("cron", cron), ("timezone", timezone)):
        if text is not None and not isinstance(text, str):
            raise InvalidValue(field=f"schedule.{name}", problem="must be a string")
    seconds = _whole_number(given)
    if given is not None and (seconds is None or seconds >= 2**31):
        raise InvalidValue(field="schedule.everySeconds", problem="must be a whole number")
    return Rhythm(cron=cron, timezone=timezone or "UTC", every_seconds=seconds)


def window_of(config: Mapping[str, Any]) -> Window:
    """Return what one run of a sync by windows pulls: one commit, if nothing is set.

    Raises:
        InvalidValue: it is malformed.
    """
    given = config.get("window")
    if given is None:
        return Window(commits=1)
    if not isinstance(given, dict):
        raise InvalidValue(field="window", problem="must be an object")
    for name, size in given.items():
        if name not in WINDOW_SIZES:
            known = " or ".join(WINDOW_SIZES)
            raise InvalidValue(field="window", problem=f"names {name[:80]!r}: it has {known}")
        if _whole_number(size) is None:
            raise InvalidValue(field=f"window.{name}", problem="must be a whole number")
    return Window(**{name: _whole_number(size) for name, size in given.items()})


def _whole_number(value: object) -> int | None:
    if isinstance(value, float) and value.is_integer():
        return int(value)  # to JSON 60.0 is a whole number, too
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def request_run(
    runs: Runs, definition: Definition, project: Project, mode: RunMode, trigger: Trigger
) -> Run:
    """Request a run of a project as a sync defines it.

    Raises:
        NotFound, BackendNotConfigured: as `Runs.request`.
        NotAssociated: the project is not bound (any more).
    """
    backend = definition.execution_backend
    if definition.execution_mode is ExecutionMode.FAN_OUT_ENTITY:
        kinds = kinds_of(definition, project)
        whole = _whole(definition, project, mode)
        return runs.request_fan_out(project.id, kinds, whole, trigger=trigger, backend=backend)
    request = _request(definition, project, mode)
    return runs.request(project.id, request, trigger=trigger, backend=backend)


def schedule_of(
    sync_id: UUID, definition: Definition, project: Project | None
) -> ScheduleSpec | None:
    """Return the schedule of a sync; None while it must not fire."""
    scheduled = definition.trigger_mode is TriggerMode.SCHEDULED and definition.status.fires
    if project is None or definition.schedule is None or not scheduled:
        return None
    request, kinds = _request(definition, project, RunMode.INCREMENTAL), None
    if definition.execution_mode is ExecutionMode.FAN_OUT_ENTITY:
        request = _whole(definition, project, RunMode.INCREMENTAL)
        # Without names: every kind that the project has when it fires.
        kinds = tuple(kinds_of(definition, project)) if definition.entities else ()
    return ScheduleSpec(
        project_id=project.id,
        rhythm=rhythm_of(definition.schedule),
        request=request,
        kinds=kinds,
        sync_id=sync_id,
        backend=definition.execution_backend,
    )


def _request(definition: Definition, project: Project, mode: RunMode) -> RunRequest:
    """Return the request for one run over all that a sync pulls."""
    whole, entities = _whole(definition, project, mode), definition.entities
    if definition.execution_mode is ExecutionMode.FAN_OUT_WINDOW:
        whole = replace(whole, window=window_of(definition.execution_config))
    if len(entities) == 1:
        return replace(whole, kind=entities[0])
    return replace(whole, only=Selection(kinds=frozenset(entities)))


def _whole(definition: Definition, project: Project, mode: RunMode) -> RunRequest:
    """Return the request for a run over every kind, as a sync defines it."""
    ref, path = (definition.source_config.get(name) for name in ("ref", "path"))
    # What the sync was checked against: it does not pull a project that is bound again.
    source = RequiredBinding(connection_id=project.bound.connection_id, ref=ref, scope=path)
    policy = definition.execution_config.get("on_conflict")
    on_conflict = None if policy is None else OnConflict(policy)
    return RunRequest(mode=mode, on_conflict=on_conflict, source=source)


# --- problems -----------------------------------------------------------------------------------


def _execution(
    definition: Definition, connection: Connection, backends: Backends
) -> Iterator[SyncProblem]:
    try:
        backends.get(definition.execution_backend)
        check_readable(definition.execution_backend, connection.provider)
    except InvalidValue as error:
        yield SyncProblem(("body", "executionBackend"), error.problem, DOES_NOT_FIT)
    except BackendNotConfigured as error:
        yield SyncProblem(("body", "executionBackend"), error.message, DOES_NOT_FIT)
    policy = definition.execution_config.get("on_conflict")
    if policy is not None and policy not in tuple(OnConflict):
        words = ", ".join(OnConflict)
        yield SyncProblem(("body", "executionConfig", "on_conflict"), f"must be one of {words}")
    try:
        window_of(definition.execution_config)
    except InvalidValue as error:
        yield SyncProblem(("body", "executionConfig", *error.field.split(".")), error.problem)


def _schedule(definition: Definition) -> Iterator[SyncProblem]:
    if definition.schedule is not None:
        try:
            rhythm_of(definition.schedule)
        except InvalidValue as error:
            yield SyncProblem(("body", *error.field.split(".")), error.problem)
    elif definition.trigger_mode is TriggerMode.SCHEDULED:
        yield SyncProblem(("body", "schedule"), "a scheduled sync needs a schedule", DOES_NOT_FIT)


def _tables(definition: Definition) -> Iterator[SyncProblem]:
    seen: set[str] = set()
    for index, table in enumerate(definition.table_bindings):
        where = ("body", "tableBindings", index)
        if table.entity_key in seen:
            msg = f"{table.entity_key!r} has a table already"
            yield SyncProblem((*where, "entityKey"), msg, DOES_NOT_FIT)
        seen.add(table.entity_key)
        if table.load_mode is LoadMode.APPEND_EVENT:
            yield from _event_table(table, where)


def _event_table(table: TableChoice, where: tuple[str | int, ...]) -> Iterator[SyncProblem]:
    """Yield what an owner set of a table of events that is not so."""
    for name, (field, known) in {
        "physicalTableName": (table.physical_table_name, EVENT_TABLE["physical_table_name"]),
        "cursorField": (table.cursor_field, EVENT_TABLE["cursor_field"]),
        "primaryKeyColumns": (table.primary_key_columns, EVENT_TABLE["primary_key_columns"]),
    }.items():
        if field and field != known:
            words = known if isinstance(known, str) else ", ".join(known)
            msg = f"is {words} of a table of events; leave it out"
            yield SyncProblem((*where, name), msg, DOES_NOT_FIT)


def _source_form(source: Mapping[str, Any]) -> Iterator[SyncProblem]:
    for name in ("ref", "path"):
        if source.get(name) is not None and not isinstance(source[name], str):
            yield SyncProblem(("body", "sourceConfig", name), "must be a string")


def _binding(
    source: Mapping[str, Any], connection: Connection, project: Project
) -> Iterator[SyncProblem]:
    if project.binding is None or project.binding.connection_id != connection.id:
        msg = "the project is not bound to this connection"
        yield SyncProblem(("body", "connectionId"), msg, DOES_NOT_FIT)
        return
    ref, path = source.get("ref"), source.get("path")
    if isinstance(ref, str) and not project.binding.has_ref(ref):
        msg = f"the project is bound to {project.binding.ref!r}"
        yield SyncProblem(("body", "sourceConfig", "ref"), msg, DOES_NOT_FIT)
    if isinstance(path, str) and not project.binding.has_scope(path):
        msg = f"the project is bound to the folder {project.binding.scope!r}"
        yield SyncProblem(("body", "sourceConfig", "path"), msg, DOES_NOT_FIT)


def _kinds(definition: Definition, project: Project) -> Iterator[SyncProblem]:
    known = {kind.name for kind in project.kinds.kinds}
    for index, entity in enumerate(definition.entities):
        if entity not in known:
            msg = f"the project has no kind {entity!r}"
            yield SyncProblem(("body", "entities", index), msg, DOES_NOT_FIT)
    pulled = known & set(definition.entities) if definition.entities else known
    for index, table in enumerate(definition.table_bindings):
        if table.entity_key not in pulled:
            msg = f"the sync pulls no kind {table.entity_key!r}"
            yield SyncProblem(("body", "tableBindings", index, "entityKey"), msg, DOES_NOT_FIT)
