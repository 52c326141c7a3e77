"""New runs as rows: the first attempt of each, and the attempts that replace another."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Select, literal, select
from sqlalchemy.orm import Session, aliased

from towline.codec import encode
from towline.errors import InvalidValue
from towline.frozen import frozen
from towline.remotes.url import ALL_SCHEMES, RemoteUrl
from towline_server.db.clock import clock
from towline_server.db.jobs import growing_delays
from towline_server.errors import KindInProgress, QueueFull, existing
from towline_server.projects.connection_tables import BindingRow, ConnectionRow
from towline_server.projects.connections import host_of
from towline_server.projects.domain import Provider
from towline_server.projects.tables import ProjectRow

from .domain import ORCHESTRATED, BackendName, Run, RunMode, RunRequest, Trigger, TriggeredBy
from .listing import RunFilter
from .states import TERMINAL, RunState
from .tables import RunRow, run_of, waits

FULL_SECONDS = 10
"""After how long a request that found its tenant's queue full may be sent again."""
LONGEST_RETRY_SECONDS = 3600
"""The longest delay of an attempt, also where the remote requests a longer one."""
RETRIES = growing_delays(3, 10, LONGEST_RETRY_SECONDS)


@frozen(kw_only=True)
class Batch:
    """What new runs belong to."""

    batch_id: UUID | None
    parent: RunRequest | None = None
    """The request as a whole, of a run that has the others as children."""
    alone: bool = False
    """Refuse them while another run of their kind is in progress."""

    @classmethod
    def of_one(cls, request: RunRequest) -> Batch:
        """Return the batch of a single request: none, unless it is pulled by windows."""
        if request.window is None:
            return cls(batch_id=None)
        return cls(batch_id=uuid4(), parent=request)


@frozen(kw_only=True)
class RunTarget:
    """What the rows of new runs take from their project."""

    project_id: UUID
    tenant_id: UUID
    connection_id: UUID | None
    url: str | None
    """Of that connection."""
    is_initial: bool


def find_target(
    session: Session, project_id: UUID, backend: BackendName, most_waiting: int
) -> tuple[RunTarget, datetime]:
    """Lock a project against deletion; return what new runs take from it, and when.

    Raises:
        NotFound: there is no such project.
        QueueFull: ``most_waiting`` runs of its tenant wait.
        InvalidValue: an external executor cannot read what the project is bound to.
    """
    full = _is_full(ProjectRow.tenant_id, backend, most_waiting).label("full")
    query = select_targets().add_columns(full, clock(session).label("now"))
    found = session.execute(query.where(ProjectRow.id == project_id)).first()
    row = existing(found, "project")
    if row.provider is not None:
        check_readable(backend, Provider(row.provider))
    if row.full:
        raise QueueFull(allowed=most_waiting, retry_after=FULL_SECONDS)
    return target_of(row), row.now


def select_targets() -> Select[Any]:
    """Select what `target_of` reads of each project, and lock it against deletion."""
    project, binding, connection = ProjectRow, BindingRow, ConnectionRow
    return (
        select(project.id, project.tenant_id, project.base)
        .add_columns(binding.connection_id, connection.url, connection.provider)
        .outerjoin(binding, binding.project_id == project.id)
        .outerjoin(connection, connection.id == binding.connection_id)
        .with_for_update(read=True, key_share=True, of=project)
    )


def target_of(row: Any) -> RunTarget:
    """Return what new runs take from a project, of a row of `select_targets`."""
    return RunTarget(
        project_id=row.id,
        tenant_id=row.tenant_id,
        connection_id=row.connection_id,
        url=row.url,
        is_initial=row.base is None,
    )


def check_readable(backend: BackendName, provider: Provider) -> None:
    """Refuse what external executors cannot read: the snapshots of a source are this server's.

    Raises:
        InvalidValue: the backend is external, and the provider is no Git host.
    """
    if backend is BackendName.EXTERNAL and not provider.is_git:
        problem = f"an external executor can only pull Git repositories, not {provider}"
        raise InvalidValue(field="backend", problem=problem)


def check_room(session: Session, tenant_id: UUID, backend: BackendName, most_waiting: int) -> None:
    """Refuse one more run of a tenant where so many wait.

    Raises:
        QueueFull: they do.
    """
    if session.scalar(select(_is_full(literal(tenant_id), backend, most_waiting))):
        raise QueueFull(allowed=most_waiting, retry_after=FULL_SECONDS)


_IN_QUEUE = aliased(RunRow, name="queued")


def _is_full(tenant_id: Any, backend: BackendName, most_waiting: int) -> ColumnElement[bool]:
    run = _IN_QUEUE
    mine = select(run.id).where(run.backend == backend, run.tenant_id == tenant_id, waits(run))
    # In the order of the index, which is walked no further.
    ordered = mine.order_by(run.created_at, run.position, run.id)
    return ordered.offset(most_waiting - 1).limit(1).exists()


def rows_of(
    target: RunTarget,
    requests: Sequence[RunRequest],
    trigger: Trigger,
    backend: BackendName,
    batch: Batch,
    at: datetime,
) -> list[RunRow]:
    """Return the rows of runs that were requested together, their parent first.

    ``at`` is one moment for all: lists then show a batch by position.
    """
    host = None if target.url is None else host_of(RemoteUrl.parse(target.url, ALL_SCHEMES))
    whole = [] if batch.parent is None else [batch.parent]
    rows: list[RunRow] = []
    for position, request in enumerate([*whole, *requests]):
        run_id, is_parent = uuid4(), bool(whole) and not rows
        row = RunRow(
            id=run_id,
            tenant_id=target.tenant_id,
            project_id=target.project_id,
            batch_id=batch.batch_id,
            parent_id=rows[0].id if whole and rows else None,
            position=position,
            is_parent=is_parent,
            windows_pulled=0 if is_parent and request.window is not None else None,
            is_initial=target.is_initial,
            triggered_by=trigger.by,
            trigger_ref=trigger.ref,
            requested_by=trigger.requested_by,
            sync_id=trigger.sync_id,
            schedule_id=trigger.schedule_id,
            request_key=trigger.key,
            connection_id=target.connection_id,
            host=host,
            attempt=1,
            attempt_root_id=run_id,
            backend=backend,
            **_request_values(request),
            **_queued_values(at),
            **_due_values(backend, at, is_parent=is_parent),
        )
        rows.append(row)
    return rows


def find_by_key(session: Session, project_id: UUID, key: str | None) -> tuple[Run, ...]:
    """Return the runs of the project's first request with this key."""
    if key is None:
        return ()
    same = select(RunRow).where(RunRow.project_id == project_id, RunRow.request_key == key)
    return tuple(run_of(row) for row in session.scalars(same.order_by(RunRow.position)))


def refuse_second(session: Session, project_id: UUID, kind: str) -> None:
    """Refuse a second run of one kind; the project is locked to the end of the transaction.

    Raises:
        KindInProgress: there is one.
    """
    run = RunRow
    session.execute(select(ProjectRow.id).where(ProjectRow.id == project_id).with_for_update())
    same = RunFilter(project_id=project_id, kind=kind, of_one_kind=True, put_off=False).conditions()
    oldest = select(run.id).where(*same, run.state.not_in(TERMINAL))
    found = session.scalars(oldest.order_by(run.created_at, run.position, run.id).limit(1)).first()
    if found is not None:
        raise KindInProgress(kind=kind, run_id=str(found))


def resume(
    session: Session,
    row: RunRow,
    at: datetime,
    *,
    counted: bool,
    not_before: datetime | None = None,
) -> UUID:
    """Add the attempt that replaces a run automatically, and return its id.

    It pulls the revision that the run had, so that its batch stays one. ``counted``: it counts
    against the number of attempts that are made automatically.
    """
    return _follow(
        session,
        row,
        at,
        not_before=not_before,
        triggered_by=TriggeredBy.AUTO_RESUME,
        requested_by=row.requested_by,
        batch_id=row.batch_id,
        parent_id=row.parent_id,
        position=row.position,
        kind=row.kind,
        mode=row.mode,
        request=row.request,
        auto_resumes=row.auto_resumes + (1 if counted else 0),
        target_revision=row.target_revision,
        target_committed_at=row.target_committed_at,
    ).id


def retry(
    session: Session,
    row: RunRow,
    at: datetime,
    *,
    request: RunRequest,
    requested_by: UUID | None,
) -> RunRow:
    """Add the attempt that a caller requests, outside any batch.

    It resolves the ref again, unless the request itself names the revision.
    """
    return _follow(
        session,
        row,
        at,
        triggered_by=TriggeredBy.RETRY,
        requested_by=requested_by,
        position=0,
        **_request_values(request),
    )


def follow_window(session: Session, parent: RunRow, before: RunRow, at: datetime) -> None:
    """Add the child of a parent that pulls the window after that of another child.

    It was requested with its parent: it is before what was requested since.
    """
    following = RunRow(
        id=(run_id := uuid4()),
        batch_id=parent.batch_id,
        parent_id=parent.id,
        position=before.position + 1,
        requested_by=parent.requested_by,
        triggered_by=parent.triggered_by,
        trigger_ref=parent.trigger_ref,
        kind=parent.kind,
        mode=parent.mode,
        request=parent.request,
        attempt=1,
        attempt_root_id=run_id,
        is_parent=False,
        not_before=at,
        **_shared_values(parent),
        **_due_values(BackendName(parent.backend), at, is_parent=False),
        **_queued_values(at) | {"created_at": parent.created_at},
    )
    session.add(following)
    session.flush()


def _shared_values(row: RunRow) -> dict[str, Any]:
    """Return what a run that follows another has of it."""
    names = ("tenant_id", "project_id", "is_initial", "connection_id", "host")
    return {name: getattr(row, name) for name in (*names, "sync_id", "schedule_id", "backend")}


def _follow(session: Session, row: RunRow, at: datetime, **values: Any) -> RunRow:
    following = RunRow(
        id=uuid4(),
        is_parent=row.is_parent,
        windows_pulled=None if row.windows_pulled is None else 0,
        trigger_ref=str(row.id),
        attempt=row.attempt + 1,
        attempt_root_id=row.attempt_root_id,
        previous_attempt_id=row.id,
        **_shared_values(row),
        **_due_values(BackendName(row.backend), at, is_parent=row.is_parent),
        **{**_queued_values(at), **values},
    )
    session.add(following)
    row.next_attempt_id = following.id
    row.updated_at = at
    session.flush()
    return following


def _request_values(request: RunRequest) -> dict[str, Any]:
    return {
        "kind": request.kind,
        "mode": RunMode(request.mode),
        "request": encode(request),
        "target_revision": request.revision,
    }


def _due_values(backend: BackendName, at: datetime, *, is_parent: bool) -> dict[str, Any]:
    """Return when a new run is passed on to an orchestrator, at the earliest."""
    return {} if is_parent or backend not in ORCHESTRATED else {"backend_due_at": at}


def _queued_values(at: datetime) -> dict[str, Any]:
    return {
        "state": RunState.QUEUED,
        "progress": 0,
        "auto_resumes": 0,
        "created_at": at,
        "updated_at": at,
    }
