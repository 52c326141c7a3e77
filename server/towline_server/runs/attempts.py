"""New runs, as rows: the first attempt of each, and those that take the place of another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from towline.codec import encode
from towline_server.projects.connection_tables import Binding
from towline_server.projects.locking import hold
from towline_server.projects.tables import Project

from . import tables
from .domain import BackendName, Origin, Run, RunMode, RunRequest, TriggeredBy
from .rows import run_of
from .states import RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Where new runs belong."""

    batch_id: UUID | None
    parent: RunRequest | None = None
    """The request as a whole, where one run comprises the rest."""
    alone: bool = False
    """Whether there may be no other run of its kind in progress."""


def new_runs(
    session: Session,
    project_id: UUID,
    requests: Sequence[RunRequest],
    origin: Origin,
    backend: BackendName,
    batch: Batch,
    at: datetime,
) -> list[tables.Run]:
    """The rows of runs that were just asked for together, the one that comprises them first.

    ``at`` is one moment for all: lists then show a batch by position. The caller adds them.

    Raises:
        NotFound: there is no such project.
    """
    hold(session, project_id)
    project = session.get_one(Project, project_id)
    binding = session.get(Binding, project_id)
    whole = [] if batch.parent is None else [batch.parent]
    rows = [
        _new_run(
            tenant_id=project.tenant_id,
            project_id=project_id,
            request=request,
            origin=origin,
            backend=backend,
            is_initial=project.base is None,
            at=at,
        )
        for request in [*whole, *requests]
    ]
    for position, row in enumerate(rows):
        row.position, row.batch_id = position, batch.batch_id
        row.connection_id = None if binding is None else binding.connection_id
    if batch.parent is not None:
        rows[0].is_parent = True
        for child in rows[1:]:
            child.parent_id = rows[0].id
    return rows


def asked_before(session: Session, project_id: UUID, key: str | None) -> tuple[Run, ...]:
    """What was made of the first request with this key."""
    if key is None:
        return ()
    same = select(tables.Run).where(
        tables.Run.project_id == project_id, tables.Run.request_key == key
    )
    return tuple(run_of(row) for row in session.scalars(same.order_by(tables.Run.position)))


def _new_run(
    *,
    tenant_id: UUID,
    project_id: UUID,
    request: RunRequest,
    origin: Origin,
    backend: BackendName,
    is_initial: bool,
    at: datetime,
) -> tables.Run:
    run_id = uuid4()
    return tables.Run(
        id=run_id,
        tenant_id=tenant_id,
        project_id=project_id,
        position=0,
        is_parent=False,
        kind=request.kind,
        mode=request.mode,
        request=encode(request),
        is_initial=is_initial,
        triggered_by=origin.by,
        trigger_ref=origin.ref,
        requested_by=origin.requested_by,
        sync_id=origin.sync_id,
        schedule_id=origin.schedule_id,
        request_key=origin.key,
        target_revision=request.revision,
        state=RunState.QUEUED,
        progress=0,
        attempt=1,
        attempt_root_id=run_id,
        auto_resumes=0,
        backend=backend,
        created_at=at,
        updated_at=at,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often, and after how long, a run is tried again by itself."""

    most: int = 3
    first_seconds: float = 10
    """The first delay; each is four times the one before."""
    longest_seconds: float = 3600
    """The longest delay, whatever the remote asks for."""

    def delay(self, made: int, asked: float | None) -> timedelta:
        """Return how long the next attempt waits, where the remote asked for so many seconds."""
        seconds = max(self.first_seconds * 4**made, asked or 0)
        return timedelta(seconds=min(seconds, self.longest_seconds))


def resumed(
    session: Session,
    row: tables.Run,
    at: datetime,
    *,
    counted: bool,
    not_before: datetime | None = None,
) -> tables.Run:
    """The attempt that takes the place of a run by itself: the same once more.

    It pulls the revision that the run had, so that its batch stays one. ``counted``: whether it
    counts against what may be resumed.
    """
    following = _following(row, at)
    following.not_before = not_before
    following.triggered_by = TriggeredBy.AUTO_RESUME
    following.trigger_ref = str(row.id)
    following.batch_id, following.parent_id = row.batch_id, row.parent_id
    following.position = row.position
    following.auto_resumes = row.auto_resumes + (1 if counted else 0)
    following.target_revision = row.target_revision
    following.target_committed_at = row.target_committed_at
    return _link(session, row, following)


def retried(
    session: Session,
    row: tables.Run,
    at: datetime,
    *,
    request: RunRequest,
    requested_by: UUID | None,
) -> tables.Run:
    """The attempt that somebody asked for, out of any batch.

    It looks at the remote anew, unless the request itself names the revision.
    """
    following = _following(row, at)
    following.triggered_by = TriggeredBy.RETRY
    following.trigger_ref = str(row.id)
    following.requested_by = requested_by
    following.request, following.mode = encode(request), RunMode(request.mode)
    following.kind = request.kind
    following.target_revision = request.revision
    return _link(session, row, following)


def _following(row: tables.Run, at: datetime) -> tables.Run:
    return tables.Run(
        id=uuid4(),
        tenant_id=row.tenant_id,
        project_id=row.project_id,
        position=0,
        is_parent=row.is_parent,
        kind=row.kind,
        mode=row.mode,
        request=row.request,
        is_initial=row.is_initial,
        connection_id=row.connection_id,
        requested_by=row.requested_by,
        sync_id=row.sync_id,
        schedule_id=row.schedule_id,
        state=RunState.QUEUED,
        progress=0,
        attempt=row.attempt + 1,
        attempt_root_id=row.attempt_root_id,
        previous_attempt_id=row.id,
        auto_resumes=0,
        backend=row.backend,
        created_at=at,
        updated_at=at,
    )


def _link(session: Session, row: tables.Run, following: tables.Run) -> tables.Run:
    session.add(following)
    row.next_attempt_id = following.id
    row.updated_at = following.created_at
    session.flush()
    return following
