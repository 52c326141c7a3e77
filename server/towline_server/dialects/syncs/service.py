"""Syncs: define, find, change and trigger them, as far as the caller may."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.orm import Session

from towline.frozen import frozen
from towline_server.audit.log import Action, Owner, record
from towline_server.auth.roles import Principal, Role, authorise_tenant
from towline_server.db.clock import database_now
from towline_server.db.statements import insert_new
from towline_server.errors import Forbidden, NotFound, existing
from towline_server.projects.asset_events import delete_unwanted, want_events
from towline_server.projects.connection_tables import ConnectionRow
from towline_server.projects.domain import Connection, Project
from towline_server.projects.locking import hold, hold_writers
from towline_server.projects.service import Projects
from towline_server.runs.domain import Run, RunMode, Trigger, TriggeredBy
from towline_server.runs.listing import RunFilter
from towline_server.runs.schedules import place
from towline_server.runs.states import UNENDED
from towline_server.runs.tables import RunRow
from towline_server.services import Services
from towline_server.web import access

from . import rows
from .domain import (
    PROJECT,
    Definition,
    RefusedSync,
    SavedSync,
    SyncProblem,
    SyncStatus,
    TriggerMode,
)
from .execution import problems_of, request_run, schedule_of
from .tables import SyncRow

_TOGETHER = 200
"""Events that one transaction deletes; pulls of their project wait meanwhile."""


@frozen(kw_only=True)
class SyncFilter:
    """Which syncs a list shows: those that fit every field that is set."""

    q: str | None = None
    """In the name or the slug, whatever the case."""
    statuses: Sequence[str] = ()
    providers: Sequence[str] = ()

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the same as conditions on `rows.select_syncs`."""
        found: list[ColumnElement[bool]] = []
        if self.q:
            within = [
                column.icontains(self.q, autoescape=True) for column in (SyncRow.name, SyncRow.slug)
            ]
            found.append(or_(*within))
        if self.statuses:
            found.append(rows.SHOWN_STATUS.in_(self.statuses))
        if self.providers:
            found.append(ConnectionRow.provider.in_(self.providers))
        return found


class Syncs:
    """The syncs that one caller may see."""

    def __init__(self, services: Services, caller: Principal) -> None:
        self._services = services
        self._caller = caller

    # --- read ---------------------------------------------------------------------------------

    def page(
        self, wanted: SyncFilter, *, limit: int, offset: int
    ) -> tuple[tuple[SavedSync, ...], int]:
        """Return some of the syncs that fit, newest first, and how many there are."""
        query = rows.select_syncs().where(self._visible(), *wanted.conditions())
        ordered = query.order_by(SyncRow.created_at.desc(), SyncRow.id)
        with self._services.database.reading() as session:
            total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
            found = session.execute(ordered.limit(limit).offset(offset)).all()
            return rows.syncs_of(session, found, database_now(session)), total

    def get(self, sync_id: UUID, needed: Role = Role.READER) -> SavedSync:
        """Return a sync.

        Raises:
            NotFound: there is none that the caller sees.
            Forbidden: the caller's role is too low.
        """
        with self._services.database.reading() as session:
            query = rows.select_syncs().where(SyncRow.id == sync_id)
            found = rows.syncs_of(session, session.execute(query).all(), database_now(session))
        sync = found[0] if found else None
        if sync is None or sync.tenant_id != self._caller.tenant_id:
            raise NotFound(what="sync")
        if sync.project_id is not None:
            access.project(self._services, self._caller, sync.project_id, needed, "sync")
        elif sync.created_by != self._caller.id:
            authorise_tenant(self._caller, sync, needed, "sync")
        return sync

    # --- create and change ---------------------------------------------------------------------

    def create(self, connection_id: UUID, definition: Definition) -> SavedSync:
        """Create a sync; one that is to run on creation does, if it is active.

        Raises:
            Forbidden: the caller's role is too low.
            RefusedSync: the definition does not fit, or names a connection or a project that the
                caller does not see.
            AlreadyExists: the slug is taken.
        """
        try:
            access.connection(self._services, self._caller, connection_id)
        except NotFound as error:
            raise RefusedSync.misfit(("body", "connectionId"), error.message) from None
        project = self._checked(connection_id, definition)
        if definition.trigger_mode is TriggerMode.ON_CREATE and definition.status.fires:
            # Rather than a sync without its run.
            backend = definition.execution_backend
            self._services.runs.check_room(self._caller.tenant_id, backend)
        sync_id = uuid4()
        with self._services.database.writing() as session:
            _lock_projects(session, [definition], [None if project is None else project.id])
            now = database_now(session)
            row = SyncRow(
                id=sync_id,
                tenant_id=self._caller.tenant_id,
                connection_id=connection_id,
                created_at=now,
                created_by=self._caller.id,
            )
            row.status_since, row.status = now, str(definition.status)
            self._save(session, row, definition, project, now)
            _record(session, Action.SYNC_CREATED, row)
        return self._saved(sync_id)

    def change(self, sync_id: UUID, changes: Mapping[str, Any]) -> SavedSync:
        """Set some fields of a sync's definition. Raises as `get` and `create`."""
        while not self._changed(self.get(sync_id, Role.WRITER), changes):
            pass  # another request changed it meanwhile: apply the changes to its new state
        return self._saved(sync_id)

    def delete(self, sync_id: UUID) -> None:
        """Delete a sync and its schedule, and cancel its runs that have not ended.

        Raises as `get`.
        """
        sync = self.get(sync_id, Role.WRITER)
        with self._services.database.writing() as session:
            _lock_projects(session, [sync], [sync.project_id])
            row = session.get(SyncRow, sync_id, with_for_update=True)
            place(session, sync_id, None, database_now(session))
            if row is not None:
                _record(session, Action.SYNC_DELETED, row)
                session.delete(row)
            unwanted = _want(session, sync_id, {sync.project_id: ()})
        self._forget(unwanted)
        runs = self._services.runs
        left = RunFilter(sync_id=sync_id, states=UNENDED, top_level=True)
        for run in runs.page(left, limit=1000).runs:
            runs.cancel(run.id, reason="its sync was deleted")

    # --- run ----------------------------------------------------------------------------------

    def trigger(self, sync_id: UUID, mode: RunMode) -> Run:
        """Request a run of a sync.

        Raises:
            NotFound, Forbidden: as `get`.
            RefusedSync: it has no project, does not fit its project any more, or is archived.
        """
        sync = self.get(sync_id, Role.WRITER)
        if sync.project_id is None:
            msg = "the sync has no project: name one in destinationConfig.project"
            raise RefusedSync.misfit(("path", "sync_id"), msg)
        if sync.status is SyncStatus.ARCHIVED:
            raise RefusedSync.misfit(("path", "sync_id"), "the sync is archived")
        project = self._checked(sync.connection_id, sync, sync.project_id)
        assert project is not None, "the sync has one"
        trigger = Trigger(by=TriggeredBy.MANUAL, requested_by=self._caller.id, sync_id=sync.id)
        return request_run(self._services.runs, sync, project, mode, trigger)

    # --- private ------------------------------------------------------------------------------

    def _changed(self, before: SavedSync, changes: Mapping[str, Any]) -> bool:
        definition = replace(before.definition, **changes)
        if definition.status is before.shown_status:
            # A client that sends back the status that it was shown changes nothing.
            definition = replace(definition, status=before.status)
        settled = None if "destination_config" in changes else before.project_id
        project = self._checked(before.connection_id, definition, settled)
        with self._services.database.writing() as session:
            ids = [None if project is None else project.id, before.project_id]
            _lock_projects(session, [definition, before], ids)
            row = existing(session.get(SyncRow, before.id, with_for_update=True), "sync")
            if row.updated_at != before.updated_at:
                return False
            now = database_now(session)
            if "status" in changes and changes["status"] is not before.shown_status:
                row.status_since = now
            unwanted = self._save(session, row, definition, project, now)
            _record(session, Action.SYNC_CHANGED, row, changed=[*changes])
        self._forget(unwanted)
        return True

    def _forget(self, unwanted: Iterable[tuple[UUID, str]]) -> None:
        """Delete the events of kinds that no sync of their project appends any more."""
        for project_id, kind in unwanted:
            deleted = _TOGETHER
            with suppress(NotFound):  # the project is gone, with its events
                while deleted == _TOGETHER:
                    with self._services.database.writing() as session:
                        deleted = delete_unwanted(session, project_id, kind, _TOGETHER)

    def _visible(self) -> ColumnElement[bool]:
        """Return what `get` finds, as a condition."""
        mine = SyncRow.tenant_id == self._caller.tenant_id
        if self._caller.tenant_role is not None:
            return mine
        created = and_(SyncRow.project_id.is_(None), SyncRow.created_by == self._caller.id)
        return mine & or_(created, SyncRow.project_id.in_(self._caller.project_roles))

    def _checked(
        self, connection_id: UUID, definition: Definition, settled: UUID | None = None
    ) -> Project | None:
        """Return the project that a definition is for, or raise RefusedSync.

        Where it names none, one that was ``settled`` before stays, whatever is bound since.
        """
        connection, seen = access.connection(self._services, self._caller, connection_id)
        roles = [self._caller.tenant_role, *(self._caller.role_on(each.id) for each in seen)]
        if not any(role is not None and role.covers(Role.WRITER) for role in roles):
            raise Forbidden(problem=f"this needs the role {Role.WRITER} on a project behind it")
        project = self._project(connection, definition, settled)
        backends = self._services.runs.backends
        problems = tuple(problems_of(definition, connection, project, backends))
        if problems:
            raise RefusedSync(problems=problems)
        return project

    def _project(
        self, connection: Connection, definition: Definition, settled: UUID | None
    ) -> Project | None:
        wanted = definition.destination_config.get("project")
        with self._services.database.reading() as session:
            projects = Projects(session)
            if wanted is None and settled is not None:
                found = projects.get(settled)
            elif wanted is None:
                behind = projects.by_connection(connection.id)
                found = behind[0] if len(behind) == 1 else None
                if found is None:
                    return None
            elif isinstance(wanted, str):
                found = _by_id_or_path(projects, self._caller.tenant_id, wanted)
            else:
                raise RefusedSync(problems=(SyncProblem(PROJECT, "must be a path or an id"),))
        try:
            project_id = existing(found, "project").id
            return access.project(self._services, self._caller, project_id, Role.WRITER)
        except NotFound as error:
            raise RefusedSync.misfit(PROJECT, error.message) from None

    def _save(
        self,
        session: Session,
        row: SyncRow,
        definition: Definition,
        project: Project | None,
        now: datetime,
    ) -> list[tuple[UUID, str]]:
        """Write a definition; return the kinds whose changes it no longer appends."""
        former = row.project_id
        row.status = str(definition.status)
        row.project_id = None if project is None else project.id
        row.slug = definition.slug or _free_slug(session, row, definition.name)
        row.updated_at, row.updated_by = now, self._caller.id
        rows.write(row, definition)
        insert_new(session, row, "sync")
        rows.write_tables(session, row.id, definition.table_bindings, now)
        place(session, row.id, schedule_of(row.id, definition, project), now)
        return _want(session, row.id, {former: (), row.project_id: definition.event_kinds})

    def _saved(self, sync_id: UUID) -> SavedSync:
        """Return a sync that was just saved, after requesting the run that this starts, if any."""
        sync = self.get(sync_id)
        if sync.trigger_mode is TriggerMode.ON_CREATE and sync.status.fires:
            self._fire_once(sync)
        return sync

    def _fire_once(self, sync: SavedSync) -> None:
        assert sync.project_id is not None, "a sync without a project is a draft"
        with self._services.database.reading() as session:
            fired = exists().where(
                RunRow.sync_id == sync.id, RunRow.triggered_by == str(TriggeredBy.ON_CREATE)
            )
            project = Projects(session).get(sync.project_id)
            if project is None or session.scalar(select(fired)):
                return
        trigger = Trigger(
            by=TriggeredBy.ON_CREATE,
            requested_by=self._caller.id,
            sync_id=sync.id,
            key=f"on_create:{sync.id}",
        )
        request_run(self._services.runs, sync, project, RunMode.INCREMENTAL, trigger)


def _record(session: Session, action: Action, row: SyncRow, **detail: object) -> None:
    owner = Owner(row.tenant_id, row.project_id)
    record(session, action, row.id, owner, name=row.name, **detail)


def _lock_projects(
    session: Session, definitions: Iterable[Definition], project_ids: Iterable[UUID | None]
) -> None:
    """Lock the projects of a sync before syncs and schedules, as deleting one of them does.

    Pulls wait where one of its definitions appends what they change.
    """
    appends = any(definition.event_kinds for definition in definitions)
    lock = hold_writers if appends else hold
    for project_id in sorted({each for each in project_ids if each is not None}):
        lock(session, project_id)


def _want(
    session: Session, sync_id: UUID, kinds: Mapping[UUID | None, Collection[str]]
) -> list[tuple[UUID, str]]:
    """Set the kinds of which a sync appends every change, by project, each of which is locked.

    Return those that no sync appends any more.
    """
    return [
        (project_id, kind)
        for project_id, wanted in kinds.items()
        if project_id is not None
        for kind in want_events(session, project_id, sync_id, wanted)
    ]


def _by_id_or_path(projects: Projects, tenant_id: UUID, wanted: str) -> Project | None:
    """Return a project by its id or its path."""
    try:
        return projects.get(UUID(wanted))
    except ValueError:
        return projects.by_path(tenant_id, wanted)


def _free_slug(session: Session, row: SyncRow, name: str) -> str:
    """Return a slug made from a name, with a number behind it where another sync has the slug."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:200].rstrip("-") or "sync"
    beside = select(SyncRow.slug).where(
        SyncRow.tenant_id == row.tenant_id,
        SyncRow.id != row.id,
        SyncRow.slug.startswith(plain, autoescape=True),
    )
    taken = set(session.scalars(beside.execution_options(autoflush=False)))
    number, slug = 1, plain
    while slug in taken:
        number += 1
        slug = f"{plain}-{number}"
    return slug
