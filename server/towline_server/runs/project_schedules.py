"""Schedules that a project has by itself; those of syncs change with their syncs alone."""

from __future__ import annotations

from uuid import UUID, uuid4

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from towline_server.audit.log import Action
from towline_server.db.clock import database_now
from towline_server.errors import ScheduleOfSync, TooManySchedules, existing
from towline_server.projects.changes import record_in
from towline_server.projects.locking import hold, hold_writers

from .schedule_tables import ScheduleRow
from .schedules import Schedule, ScheduleSpec, place, schedule_of

MOST = 50
"""Schedules that a project may have by itself."""


class ProjectSchedules:
    """The schedules of a project, through a session that the caller commits.

    It does not authorise: see `towline_server.auth.roles.authorise`.
    """

    def __init__(self, session: Session, project_id: UUID) -> None:
        self._session = session
        self._project_id = project_id

    def get(self, schedule_id: UUID) -> Schedule:
        """Return a schedule of the project, of a sync too. Raises NotFound."""
        return schedule_of(self._row(schedule_id))

    def create(self, spec: ScheduleSpec, *, enabled: bool = True) -> Schedule:
        """Create a schedule; paused, it fires once it is enabled.

        Raises:
            NotFound: the project was deleted.
            TooManySchedules: the project has `MOST` already.
        """
        # Two transactions that create the last one take turns.
        hold_writers(self._session, self._project_id)
        own = (ScheduleRow.project_id == self._project_id, ScheduleRow.sync_id.is_(None))
        count = select(func.count()).select_from(ScheduleRow).where(*own)
        if (self._session.scalar(count) or 0) >= MOST:
            raise TooManySchedules(allowed=MOST)
        schedule_id = uuid4()
        made = self._write(schedule_id, spec, enabled=enabled)
        record_in(self._session, self._project_id, Action.SCHEDULE_CREATED, schedule_id)
        return made

    def change(self, schedule_id: UUID, spec: ScheduleSpec, *, enabled: bool) -> Schedule:
        """Replace a schedule; one that is as it was is due when it was.

        Raises:
            NotFound: there is none.
            ScheduleOfSync: a sync has it.
        """
        self._own(schedule_id)
        changed = self._write(schedule_id, spec, enabled=enabled)
        action = Action.SCHEDULE_CHANGED
        record_in(self._session, self._project_id, action, schedule_id, enabled=enabled)
        return changed

    def delete(self, schedule_id: UUID) -> None:
        """Delete a schedule; the runs that it requested stay. Raises as `change`."""
        self._session.delete(self._own(schedule_id))
        record_in(self._session, self._project_id, Action.SCHEDULE_DELETED, schedule_id)

    def _row(self, schedule_id: UUID, *, lock: bool = False) -> ScheduleRow:
        row = self._session.get(ScheduleRow, schedule_id, with_for_update=lock)
        is_here = row is not None and row.project_id == self._project_id
        return existing(row if is_here else None, "schedule")

    def _own(self, schedule_id: UUID) -> ScheduleRow:
        # As firing does: the project is locked before its schedules.
        hold(self._session, self._project_id)
        row = self._row(schedule_id, lock=True)
        if row.sync_id is not None:
            raise ScheduleOfSync
        return row

    def _write(self, schedule_id: UUID, spec: ScheduleSpec, *, enabled: bool) -> Schedule:
        now = database_now(self._session)
        place(self._session, schedule_id, spec, now)
        row = self._session.get_one(ScheduleRow, schedule_id)
        if not enabled:
            row.due_at = None
        elif row.due_at is None:
            row.due_at = spec.rhythm.after(now)
        self._session.flush()
        return schedule_of(row)
