"""Schedules: when runs are requested automatically, and when a sync is late.

A schedule is a cron line in a time zone, or a number of seconds. Cron lines have five fields, and
are read by croniter (MIT). Where clocks are set forward nothing is lost; where they are set back,
what is due at a given hour fires once.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import field
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import CroniterBadDateError, croniter
from sqlalchemy import select
from sqlalchemy.orm import Session

from towline.codec import decode, encode
from towline.errors import InvalidValue
from towline.frozen import frozen

from .domain import BackendName, RunRequest
from .schedule_tables import ScheduleRow

LONGEST_SECONDS = 315_360_000
"""Ten years."""
_SOME_TIME = datetime(2024, 1, 1, tzinfo=UTC)


@frozen(kw_only=True)
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
        if self.every_seconds is not None and self.every_seconds > LONGEST_SECONDS:
            problem = f"must be at most {LONGEST_SECONDS}"
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


@frozen(kw_only=True)
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


def spec_of(row: ScheduleRow) -> ScheduleSpec:
    """Return the schedule of a row. Raises InvalidValue: an earlier version accepted it."""
    rhythm = Rhythm(cron=row.cron, timezone=row.timezone, every_seconds=row.every_seconds)
    return ScheduleSpec(
        project_id=row.project_id,
        rhythm=rhythm,
        request=decode(RunRequest, row.request, "request"),
        kinds=None if row.kinds is None else tuple(row.kinds),
        sync_id=row.sync_id,
        backend=BackendName(row.backend),
    )


@frozen(kw_only=True)
class Schedule:
    """A schedule of a project, and when it fires next; None: it is paused."""

    id: UUID
    spec: ScheduleSpec
    due_at: datetime | None

    @property
    def enabled(self) -> bool:
        """Whether it fires."""
        return self.due_at is not None


def schedule_of(row: ScheduleRow) -> Schedule:
    """Return the schedule of a row. Raises as `spec_of`."""
    return Schedule(id=row.id, spec=spec_of(row), due_at=row.due_at)


def schedules_of(session: Session, project_id: UUID) -> tuple[Schedule, ...]:
    """Return the schedules of a project, the next first; those of an earlier version aside."""
    row = ScheduleRow
    query = select(row).where(row.project_id == project_id).order_by(row.due_at, row.id)
    found = []
    for each in session.scalars(query):
        with suppress(InvalidValue):
            found.append(schedule_of(each))
    return tuple(found)


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
        return f"{line[:80]!r} is not a cron line"
    try:
        croniter(line, _SOME_TIME).get_next()
    except CroniterBadDateError:
        return f"{line[:80]!r} never falls due"
    return None


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        problem = f"{name[:80]!r} is not a time zone"
        raise InvalidValue(field="schedule.timezone", problem=problem) from None


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
        return spec_of(row) == spec
    except InvalidValue:
        return False  # an earlier version accepted it
