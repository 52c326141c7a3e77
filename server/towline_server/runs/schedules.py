"""Schedules: when runs are requested automatically, and when a sync is late.

A schedule is a cron line in a time zone, or a number of seconds. Cron lines have five fields, and
are read by croniter (MIT). Where clocks are set forward nothing is lost; where they are set back,
what is due at a given hour fires once.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import CroniterBadDateError, croniter
from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from towline.codec import decode, encode
from towline.errors import InvalidValue
from towline_server.db.clock import DatabaseNow, database_now
from towline_server.db.session import Database
from towline_server.errors import NotFound
from towline_server.loops import Backoff
from towline_server.projects.service import Projects

from .domain import BackendName, Origin, RunRequest, TriggeredBy
from .service import Runs
from .states import RunState
from .tables import RunRow, ScheduleRow

_LOG = logging.getLogger("towline.runs")
_LONGEST_SECONDS = 315_360_000
"""Ten years."""
_SOME_TIME = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """How often a schedule fires.

    Raises:
        InvalidValue: neither or both of cron and seconds are given, or one is malformed.
    """

    cron: str | None = None
    timezone: str = "UTC"
    every_seconds: int | None = None

    def __post_init__(self) -> None:
        if (self.cron is None) == (self.every_seconds is None):
            raise InvalidValue(field="schedule", problem="needs either cron or everySeconds")
        if self.every_seconds is not None and self.every_seconds < 1:
            raise InvalidValue(field="schedule.everySeconds", problem="must be at least 1")
        if self.every_seconds is not None and self.every_seconds > _LONGEST_SECONDS:
            problem = f"must be at most {_LONGEST_SECONDS}"
            raise InvalidValue(field="schedule.everySeconds", problem=problem)
        _zone(self.timezone)
        if self.cron is not None and (wrong := _cron_problem(self.cron)):
            raise InvalidValue(field="schedule.cron", problem=wrong)

    def after(self, moment: datetime) -> datetime:
        """Return when it fires next after a moment; seconds are counted from that moment."""
        if self.every_seconds is not None:
            return moment + timedelta(seconds=self.every_seconds)
        assert self.cron is not None, "one of the two is given"
        zone = _zone(self.timezone)
        times = croniter(self.cron, moment.astimezone(zone))
        while True:
            following: datetime = times.get_next(datetime).astimezone(UTC)
            # As cron has it: what runs at every hour runs in a repeated one, too.
            if not following.astimezone(zone).fold or "*" in self.cron.split()[1]:
                return following

    def latest(self, due: datetime, now: datetime) -> datetime:
        """Return the last time that it was due, from a time that has passed until now."""
        if self.every_seconds is not None:
            missed = int((now - due).total_seconds()) // self.every_seconds
            return due + timedelta(seconds=self.every_seconds * missed)
        while (following := self.after(due)) <= now:
            due = following
        return due


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleSpec:
    """What to request, and when."""

    project_id: UUID
    rhythm: Rhythm
    request: RunRequest = field(default_factory=RunRequest)
    kinds: tuple[str, ...] | None = None
    """A parent with a child for each of these kinds, or where none is named, for each that the
    project has by then. None: a single run."""
    sync_id: UUID | None = None
    backend: BackendName = BackendName.NATIVE


class Schedules:
    """The schedules that `place` writes. Every server fires them; each firing happens once."""

    def __init__(self, database: Database, runs: Runs, *, now: DatabaseNow = database_now) -> None:
        self._database = database
        self._runs = runs
        self._now = now
        self._backoff = Backoff[UUID]("schedules")

    def fire(self) -> None:
        """Request every run that is due."""
        for schedule_id in self._due():
            with self._backoff.attempting(schedule_id):
                if (firing := self._take(schedule_id)) is not None:
                    self._request(schedule_id, *firing)

    def _due(self) -> Sequence[UUID]:
        with self._database.reading() as session:
            due = select(ScheduleRow.id).where(
                ScheduleRow.due_at <= self._now(session),
                ScheduleRow.id.not_in(self._backoff.waiting),
            )
            return session.scalars(due.order_by(ScheduleRow.due_at)).all()

    def _take(self, schedule_id: UUID) -> tuple[ScheduleSpec, datetime] | None:
        """Advance a schedule, and return what fires; a second server finds it advanced.

        All times that were missed are one firing.
        """
        with self._database.writing() as session:
            row = session.get(ScheduleRow, schedule_id, with_for_update=True)
            now = self._now(session)
            if row is None or row.due_at is None or row.due_at > now:
                return None
            try:
                spec = _spec_of(row)
            except InvalidValue as error:
                # An earlier version accepted it.
                _LOG.warning("schedule %s ends: %s", schedule_id, error.message)
                row.due_at = None
                return None
            at = spec.rhythm.latest(row.due_at, now)
            row.due_at = spec.rhythm.after(at)
            # A run that waits pulls the same.
            return None if _waits(session, schedule_id) else (spec, at)

    def _request(self, schedule_id: UUID, spec: ScheduleSpec, at: datetime) -> None:
        origin = Origin(
            by=TriggeredBy.SCHEDULED,
            ref=at.isoformat(),
            sync_id=spec.sync_id,
            schedule_id=schedule_id,
            key=f"schedule:{schedule_id}:{at.isoformat()}",
        )
        runs, project_id, backend = self._runs, spec.project_id, spec.backend
        try:
            if spec.kinds is None:
                runs.request(project_id, spec.request, origin=origin, backend=backend)
            else:
                kinds = spec.kinds or self._kinds(project_id)
                runs.request_fan_out(
                    project_id, kinds, spec.request, origin=origin, backend=backend
                )
        except NotFound:
            _LOG.info("schedule %s fired for a project that is gone", schedule_id)

    def _kinds(self, project_id: UUID) -> list[str]:
        """Return the kinds that a project has now. Raises NotFound."""
        with self._database.reading() as session:
            project = Projects(session).known(project_id)
        return [kind.name for kind in project.kinds.kinds]


def place(session: Session, schedule_id: UUID, spec: ScheduleSpec | None, now: datetime) -> None:
    """Create, replace or, with None, delete a schedule, in the caller's transaction.

    An equal one is still due when it was. The caller has checked the backend.
    """
    row = session.get(ScheduleRow, schedule_id)
    if spec is None:
        if row is not None:
            session.delete(row)
        return
    if row is None:
        row = ScheduleRow(id=schedule_id, created_at=now)
        session.add(row)
    elif _is_same(row, spec):
        return
    _write(row, spec, now)


def is_late(
    last_success: datetime | None, since: datetime, sla_seconds: int | None, now: datetime
) -> bool:
    """Whether the last success, or else ``since``, is longer ago than the SLA allows."""
    if sla_seconds is None:
        return False
    return now - (last_success or since) > timedelta(seconds=sla_seconds)


def _cron_problem(line: str) -> str | None:
    """Return what is wrong with a cron line; one that is due once is due again and again."""
    fields = len(line.split())
    if fields != 5:
        return f"has {fields} fields; it needs five: minute, hour, day, month and weekday"
    if not croniter.is_valid(line):
        return f"{line[:80]!r} is no cron line"
    try:
        croniter(line, _SOME_TIME).get_next()
    except CroniterBadDateError:
        return f"{line[:80]!r} never falls due"
    return None


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        problem = f"{name[:80]!r} is no time zone"
        raise InvalidValue(field="schedule.timezone", problem=problem) from None


def _waits(session: Session, schedule_id: UUID) -> bool:
    """Whether a run of this schedule still waits to begin."""
    run = RunRow
    waiting = exists().where(run.schedule_id == schedule_id, run.state == RunState.QUEUED)
    return bool(session.scalar(select(waiting)))


def _write(row: ScheduleRow, spec: ScheduleSpec, now: datetime) -> None:
    row.project_id, row.sync_id = spec.project_id, spec.sync_id
    row.cron, row.timezone = spec.rhythm.cron, spec.rhythm.timezone
    row.every_seconds = spec.rhythm.every_seconds
    row.request, row.backend = encode(spec.request), spec.backend
    row.kinds = None if spec.kinds is None else list(spec.kinds)
    row.due_at = spec.rhythm.after(now)
    row.updated_at = now


def _is_same(row: ScheduleRow, spec: ScheduleSpec) -> bool:
    try:
        return _spec_of(row) == spec
    except InvalidValue:
        return False  # an earlier version accepted it


def _spec_of(row: ScheduleRow) -> ScheduleSpec:
    rhythm = Rhythm(cron=row.cron, timezone=row.timezone, every_seconds=row.every_seconds)
    return ScheduleSpec(
        project_id=row.project_id,
        rhythm=rhythm,
        request=decode(RunRequest, row.request, "request"),
        kinds=None if row.kinds is None else tuple(row.kinds),
        sync_id=row.sync_id,
        backend=BackendName(row.backend),
    )
