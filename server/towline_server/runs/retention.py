"""Deletes what the settings no longer retain: runs, plans, reports of pulls, events of assets.

In short transactions of a few rows each, which hold up no other. Every server does it; rows that
another one has locked are left to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, exists, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from towline.frozen import frozen
from towline_server import metrics
from towline_server.audit.tables import AuditEventRow
from towline_server.db.clock import DatabaseNow, database_now
from towline_server.db.session import Database
from towline_server.errors import NotFound
from towline_server.projects.asset_events import delete_old
from towline_server.projects.asset_tables import PullRow, StoredPlanRow

from .tables import RunRow

_TOGETHER = 200
"""Rows that one transaction looks at; a report may be large."""


@frozen(kw_only=True)
class Retained:
    """How long rows are stored."""

    runs: timedelta = timedelta(days=90)
    plans: timedelta = timedelta(days=7)
    pulls: timedelta = timedelta(days=365)
    audit: timedelta = timedelta(days=365)
    events: timedelta = timedelta(days=30)


class Retention:
    """The old rows of a database."""

    def __init__(
        self,
        database: Database,
        retained: Retained = Retained(),
        *,
        now: DatabaseNow = database_now,
    ) -> None:
        self._database = database
        self._retained = retained
        self._now = now

    def prune(self) -> None:
        """Delete what is older than it is retained."""
        with self._database.reading() as session:
            now = self._now(session)
        plans = partial(_delete_old, row=StoredPlanRow, at=StoredPlanRow.created_at)
        audit = partial(_delete_old, row=AuditEventRow, at=AuditEventRow.at)
        for what, batches in (
            ("runs", self._run_batches(now - self._retained.runs)),
            ("plans", self._batches(partial(plans, before=now - self._retained.plans))),
            ("pulls", self._batches(partial(_delete_pulls, before=now - self._retained.pulls))),
            ("audit", self._batches(partial(audit, before=now - self._retained.audit))),
            ("events", self._event_batches(now - self._retained.events)),
        ):
            for deleted in batches:
                metrics.DELETED.labels(what).inc(deleted)

    def _batches(self, delete_some: Callable[[Session], int]) -> Iterator[int]:
        deleted = _TOGETHER
        while deleted == _TOGETHER:
            with self._database.writing() as session:
                deleted = delete_some(session)
            yield deleted

    def _event_batches(self, before: datetime) -> Iterator[int]:
        """Delete events, those of one project at a time, whose pulls wait meanwhile."""
        while True:
            try:
                with self._database.writing() as session:
                    deleted = delete_old(session, before, _TOGETHER)
            except NotFound:
                continue
            if deleted == 0:
                return
            yield deleted

    def _run_batches(self, before: datetime) -> Iterator[int]:
        """Delete runs, the oldest first; one that is retained is looked at once in a pass."""
        after: tuple[datetime, UUID] | None = None
        while True:
            with self._database.writing() as session:
                seen = _ended(session, before, after)
                deleted = _delete_runs(session, [run_id for _, run_id in seen])
            yield deleted
            if len(seen) < _TOGETHER:
                return
            after = seen[-1]


def _ended(
    session: Session, before: datetime, after: tuple[datetime, UUID] | None
) -> list[tuple[datetime, UUID]]:
    """Return some last attempts that ended before a moment, those that follow ``after``."""
    run = RunRow
    old = select(run.completed_at, run.id).where(
        run.completed_at < before, run.next_attempt_id.is_(None)
    )
    if after is not None:
        at, run_id = after
        later = or_(run.completed_at > at, run.id > run_id)
        old = old.where(run.completed_at >= at, later)
    found = session.execute(old.order_by(run.completed_at, run.id).limit(_TOGETHER))
    return [(row.completed_at, row.id) for row in found]


def _delete_runs(session: Session, run_ids: Sequence[UUID]) -> int:
    """Delete runs that nothing needs, each with its earlier attempts; return how many went."""
    run = RunRow
    parent = aliased(RunRow)
    has_parent = exists().where(parent.id == run.parent_id)
    found = select(run.attempt_root_id).where(
        run.id.in_(run_ids), _is_superseded(), or_(run.parent_id.is_(None), ~has_parent)
    )
    roots = session.scalars(found.order_by(run.id).with_for_update(skip_locked=True)).all()
    gone = delete(run).where(run.attempt_root_id.in_(roots)).returning(run.id)
    return len(session.scalars(gone, execution_options={"synchronize_session": False}).all())


def _is_superseded() -> ColumnElement[bool]:
    """Match the runs that a later one replaces in every list of latest runs.

    The last of each kind, sync, binding, mode and end stays: statuses are read from them.
    """
    run, later = RunRow, aliased(RunRow)
    same = [
        getattr(later, name).is_not_distinct_from(getattr(run, name))
        for name in ("kind", "sync_id", "connection_id", "mode", "state")
    ]
    return exists().where(
        later.project_id == run.project_id,
        later.completed_at > run.completed_at,
        later.next_attempt_id.is_(None),
        later.target_revision.is_(None) == run.target_revision.is_(None),
        *same,
    )


def _delete_old(
    session: Session,
    row: type[StoredPlanRow | AuditEventRow],
    at: InstrumentedAttribute[datetime],
    before: datetime,
) -> int:
    old = select(row.id).where(at < before).order_by(at, row.id)
    ids = session.scalars(old.limit(_TOGETHER).with_for_update(skip_locked=True)).all()
    session.execute(delete(row).where(row.id.in_(ids)))
    return len(ids)


def _delete_pulls(session: Session, before: datetime) -> int:
    """Delete the reports of pulls that can no longer be undone."""
    pull = PullRow
    old = select(pull.project_id, pull.number).where(pull.at < before, pull.plan.is_(None))
    locked = old.order_by(pull.at).limit(_TOGETHER).with_for_update(skip_locked=True)
    keys = [
        and_(pull.project_id == row[0], pull.number == row[1]) for row in session.execute(locked)
    ]
    if keys:
        session.execute(delete(pull).where(or_(*keys)))
    return len(keys)
