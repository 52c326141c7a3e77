"""Fires the schedules that are due: many in one transaction, each firing once.

Every server does it. A schedule advances in the transaction that adds its runs; projects are
locked before their schedules, and what another server has locked is left to it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from towline.codec import decode
from towline.errors import CallerError, InvalidValue
from towline.frozen import frozen
from towline.kinds import Kinds
from towline_server.db.clock import DatabaseNow, database_now
from towline_server.db.failures import passes
from towline_server.db.session import Database
from towline_server.loops import Backoff
from towline_server.projects.tables import ProjectRow

from .attempts import Batch, RunTarget, rows_of, select_targets, target_of
from .domain import BackendName, Trigger, TriggeredBy
from .schedule_tables import ScheduleRow
from .schedules import ScheduleSpec, spec_of
from .service import Runs
from .states import RunState
from .tables import RunRow

_LOG = logging.getLogger("towline.runs")
_TOGETHER = 200
"""Schedules that are fired in one transaction."""


@frozen(kw_only=True)
class _Firing:
    """What one schedule requests now."""

    schedule_id: UUID
    spec: ScheduleSpec
    at: datetime

    @property
    def trigger(self) -> Trigger:
        return Trigger(
            by=TriggeredBy.SCHEDULED,
            ref=self.at.isoformat(),
            sync_id=self.spec.sync_id,
            schedule_id=self.schedule_id,
            key=f"schedule:{self.schedule_id}:{self.at.isoformat()}",
        )


class Schedules:
    """The schedules that `towline_server.runs.schedules.place` writes."""

    def __init__(self, database: Database, runs: Runs, *, now: DatabaseNow = database_now) -> None:
        self._database = database
        self._backends = runs.backends
        self._now = now
        self._backoff = Backoff[UUID]("schedules")

    def fire(self) -> None:
        """Request every run that is due."""
        while due := self._due():
            if self._fire_each(due) < _TOGETHER:
                return  # no more are due, or another server has them

    def _due(self) -> Mapping[UUID, UUID]:
        """Return the projects of schedules that are due, by the schedules' ids."""
        row = ScheduleRow
        with self._database.reading() as session:
            due = select(row.id, row.project_id).where(
                row.due_at <= self._now(session), row.id.not_in(self._backoff.waiting)
            )
            found = session.execute(due.order_by(row.due_at, row.id).limit(_TOGETHER))
            return {each.id: each.project_id for each in found}

    def _fire_each(self, due: Mapping[UUID, UUID]) -> int:
        """Fire schedules together, or where that fails one by one; return how many were due."""
        try:
            return self._fire(due)
        except Exception as error:
            if passes(error):
                raise
        fired = 0
        for schedule_id, project_id in due.items():
            with self._backoff.attempting(schedule_id):
                fired += self._fire({schedule_id: project_id})
        return fired

    def _fire(self, due: Mapping[UUID, UUID]) -> int:
        """Advance schedules, and add the runs that they request; return how many were due.

        All times that one missed are one firing. A second server finds it advanced.
        """
        with self._database.writing() as session:
            targets, kinds = _targets(session, set(due.values()))
            schedules = _locked(session, due, now := self._now(session))
            firings = [found for row in schedules if (found := _advance(row, now)) is not None]
            rows: list[RunRow] = []
            for firing in _unserved(session, firings):
                project_id = firing.spec.project_id
                rows += self._rows(firing, targets[project_id], kinds[project_id], now)
            session.add_all(rows)
            session.flush()
            waiting: dict[str, list[UUID]] = {}
            for row in rows:
                if not row.is_parent:
                    waiting.setdefault(row.backend, []).append(row.id)
        for backend, run_ids in waiting.items():
            self._backends.get(backend).submit(run_ids)
        return len(schedules)

    def _rows(
        self, firing: _Firing, target: RunTarget, kinds: Mapping[str, object], now: datetime
    ) -> list[RunRow]:
        spec, requests = firing.spec, [firing.spec.request]
        batch = Batch.of_one(spec.request)
        try:
            self._backends.get(spec.backend)
            if spec.kinds is not None:
                names = spec.kinds or [each.name for each in decode(Kinds, kinds, "kinds").kinds]
                if not names:
                    raise InvalidValue(field="kinds", problem="names none")
                requests = [replace(spec.request, kind=name) for name in names]
                batch = Batch(batch_id=uuid4(), parent=spec.request)
        except CallerError as error:
            _LOG.warning("schedule %s fired in vain: %s", firing.schedule_id, error.message)
            return []
        backend = BackendName(spec.backend)
        return rows_of(target, requests, firing.trigger, backend, batch, now)


def _targets(
    session: Session, project_ids: set[UUID]
) -> tuple[Mapping[UUID, RunTarget], Mapping[UUID, Mapping[str, object]]]:
    """Lock projects against deletion; return what runs take from each, and its kinds."""
    project = ProjectRow
    query = select_targets().add_columns(project.kinds).where(project.id.in_(project_ids))
    found = session.execute(query.order_by(project.id)).all()
    return {row.id: target_of(row) for row in found}, {row.id: row.kinds for row in found}


def _locked(session: Session, due: Mapping[UUID, UUID], now: datetime) -> Sequence[ScheduleRow]:
    """Lock the schedules that are due still, and in the project that was locked."""
    row = ScheduleRow
    query = select(row).where(row.id.in_(due), row.due_at <= now)
    found = session.scalars(query.order_by(row.id).with_for_update(skip_locked=True)).all()
    return [each for each in found if each.project_id == due[each.id]]


def _advance(row: ScheduleRow, now: datetime) -> _Firing | None:
    """Set when a schedule is due next, and return what fires now."""
    assert row.due_at is not None, "it is due"
    try:
        spec = spec_of(row)
    except InvalidValue as error:
        # An earlier version accepted it.
        _LOG.warning("schedule %s ends: %s", row.id, error.message)
        row.due_at = None
        return None
    at = spec.rhythm.latest(row.due_at, now)
    row.due_at = spec.rhythm.after(at)
    return _Firing(schedule_id=row.id, spec=spec, at=at)


def _unserved(session: Session, firings: Sequence[_Firing]) -> list[_Firing]:
    """Leave out what a run that waits pulls as well, and what was requested before."""
    if not firings:
        return []
    run = RunRow
    waiting = select(run.schedule_id).where(
        run.project_id.in_({each.spec.project_id for each in firings}),
        run.state == RunState.QUEUED,
        run.position <= 1,  # what its parent began with is not new any more
        run.schedule_id.in_([each.schedule_id for each in firings]),
    )
    requested = select(run.request_key).where(
        run.project_id.in_({each.spec.project_id for each in firings}),
        run.request_key.in_([each.trigger.key for each in firings]),
    )
    ids, keys = set(session.scalars(waiting)), set(session.scalars(requested))
    return [
        each for each in firings if each.schedule_id not in ids and each.trigger.key not in keys
    ]
