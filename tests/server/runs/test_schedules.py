"""Schedules: when they fall due, what is caught up on, fired once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.databases import DatabaseClock
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import Runner
from tests.server.sql_log import statements
from towline.errors import InvalidValue
from towline_server.projects.domain import Project
from towline_server.runs.domain import Run, TriggeredBy
from towline_server.runs.firing import Schedules
from towline_server.runs.listing import RunFilter
from towline_server.runs.schedule_tables import ScheduleRow
from towline_server.runs.schedules import Rhythm, ScheduleSpec, is_late, place, spec_of

START = datetime(2026, 3, 1, tzinfo=UTC)
HOURLY = Rhythm(every_seconds=3600)


class TimedSchedules:
    """Schedules under a clock."""

    def __init__(self, tenant: GitTenant) -> None:
        self.clock = DatabaseClock(START)
        self.runner = Runner(tenant)
        self.project = tenant.project()
        self.schedules = Schedules(tenant.database, self.runner.runs, now=self.clock)

    def place(self, spec: ScheduleSpec | None, schedule_id: UUID | None = None) -> UUID:
        """Write a schedule now, or delete it."""
        schedule_id = schedule_id or uuid4()
        with self.runner.tenant.database.writing() as session:
            place(session, schedule_id, spec, self.clock.now)
        return schedule_id

    def due_at(self, schedule_id: UUID) -> datetime | None:
        with self.runner.tenant.database.reading() as session:
            return session.get_one(ScheduleRow, schedule_id).due_at

    def at(self, **passed: float) -> list[Run]:
        """Fire when so much time has passed; returns every run that was ever asked for."""
        self.clock.now = START + timedelta(**passed)
        self.schedules.fire()
        return self.runs()

    def runs(self) -> list[Run]:
        page = self.runner.runs.page(RunFilter(project_id=self.project.id), limit=100)
        return sorted(page.runs, key=lambda run: run.trigger.ref or "")

    def finish(self) -> None:
        for run in self.runs():
            if not run.is_terminal:
                self.runner.runs.cancel(run.id)


@pytest.fixture
def schedules(tenant: GitTenant) -> TimedSchedules:
    return TimedSchedules(tenant)


def spec(project: Project, rhythm: Rhythm = HOURLY, **changes) -> ScheduleSpec:
    return ScheduleSpec(project_id=project.id, rhythm=rhythm, **changes)


def test_a_schedule_fires_when_it_is_due_and_not_before(schedules: TimedSchedules):
    sync_id = uuid4()
    made = schedules.place(spec(schedules.project, sync_id=sync_id))
    assert schedules.due_at(made) == START + timedelta(hours=1)
    assert schedules.at(minutes=59) == []
    [run] = schedules.at(minutes=60)
    assert run.trigger.by is TriggeredBy.SCHEDULED
    assert (run.trigger.schedule_id, run.trigger.sync_id) == (made, sync_id)
    schedules.finish()
    assert len(schedules.at(minutes=61)) == 1
    assert len(schedules.at(minutes=120)) == 2
    assert schedules.due_at(made) == START + timedelta(hours=3)


def test_two_servers_fire_once(schedules: TimedSchedules, tenant: GitTenant):
    schedules.place(spec(schedules.project))
    second = Schedules(tenant.database, schedules.runner.runs, now=schedules.clock)
    schedules.clock.now = START + timedelta(hours=1)
    due = second._due()
    schedules.schedules.fire()
    assert (len(due), second._fire(due)) == (1, 0)
    assert len(schedules.runs()) == 1


def test_five_hundred_that_are_due_at_once_cost_a_few_statements(
    schedules: TimedSchedules, tenant: GitTenant
):
    every_minute = Rhythm(cron="* * * * *", timezone="Europe/Berlin")

    def sent(number: int) -> int:
        """The statements that it takes to fire so many more."""
        project = tenant.project()
        for each in range(number):
            kinds = ("rule", "task") if each % 5 == 0 else None
            schedules.place(spec(project, every_minute, kinds=kinds))
        schedules.clock.move(minutes=1)
        with statements(tenant.database) as seen:
            schedules.schedules.fire()
        page = schedules.runner.runs.page(RunFilter(project_id=project.id, top_level=True))
        assert page.total == number
        return len(seen)

    one = sent(1)
    # The one of before is due again.
    assert sent(100) <= one + 2
    assert sent(400) <= 5 * one


def test_all_that_was_missed_is_one_firing(schedules: TimedSchedules):
    schedules.place(spec(schedules.project))
    assert len(schedules.at(hours=5, minutes=30)) == 1
    schedules.finish()
    assert len(schedules.at(hours=6)) == 2


@pytest.mark.parametrize("rhythm", [Rhythm(every_seconds=1), Rhythm(cron="0 0 1 * *")])
def test_a_long_sleep_is_one_firing(rhythm: Rhythm, schedules: TimedSchedules):
    made = schedules.place(spec(schedules.project, rhythm))
    assert len(schedules.at(days=3650)) == 1
    assert schedules.due_at(made) == rhythm.after(schedules.clock.now)


def test_a_run_that_waits_is_not_joined_by_another(schedules: TimedSchedules):
    schedules.place(spec(schedules.project))
    assert len(schedules.at(hours=1)) == 1
    assert len(schedules.at(hours=2)) == 1
    schedules.finish()
    assert len(schedules.at(hours=3)) == 2


def test_a_deleted_schedule_is_gone(schedules: TimedSchedules):
    made = schedules.place(spec(schedules.project))
    schedules.place(None, made)
    schedules.place(None, made)
    assert schedules.at(hours=5) == []


def test_a_firing_may_have_a_child_for_each_kind(schedules: TimedSchedules):
    schedules.place(spec(schedules.project, kinds=("rule", "task")))
    runs = schedules.at(hours=1)
    assert {run.request.kind for run in runs} == {None, "rule", "task"}
    assert sum(run.is_parent for run in runs) == 1


@pytest.mark.parametrize(
    ("moment", "due"),
    [
        (datetime(2026, 1, 5, 8, tzinfo=UTC), datetime(2026, 1, 5, 8, 30, tzinfo=UTC)),
        (datetime(2026, 7, 6, 8, tzinfo=UTC), datetime(2026, 7, 7, 7, 30, tzinfo=UTC)),
    ],
)
def test_a_cron_line_is_read_in_its_zone(moment: datetime, due: datetime):
    assert Rhythm(cron="30 9 * * *", timezone="Europe/Berlin").after(moment) == due


def test_clocks_that_are_changed_lose_nothing_and_repeat_nothing():
    rhythm = Rhythm(cron="30 2 * * *", timezone="Europe/Berlin")
    for first in (datetime(2026, 3, 27, tzinfo=UTC), datetime(2026, 10, 23, tzinfo=UTC)):
        moment, days = first, []
        for _ in range(5):
            moment = rhythm.after(moment)
            days.append(moment.date())
        assert len(set(days)) == 5
    hourly = Rhythm(cron="0 * * * *", timezone="Europe/Berlin")
    moment = datetime(2026, 10, 24, 22, tzinfo=UTC)
    for _ in range(5):
        assert hourly.after(moment) == moment + timedelta(hours=1)
        moment = hourly.after(moment)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"cron": "* * * * *", "every_seconds": 5},
        {"every_seconds": 0},
        {"cron": "never"},
        {"cron": "61 * * * *"},
        {"cron": "@daily"},
        {"cron": "0 0 31 2 *"},
        {"every_seconds": 10**15},
        {"cron": "* * * * *", "timezone": "Mars/Olympus"},
        {"cron": "* * * * *", "timezone": "../etc/passwd"},
    ],
)
def test_malformed_rhythms_are_refused(wrong: dict[str, Any]):
    with pytest.raises(InvalidValue):
        Rhythm(**wrong)


@pytest.mark.parametrize("line", ["30 14 26 11 * 0", "30 14 26 11 * 0 2026"])
def test_a_cron_line_has_five_fields(line: str):
    with pytest.raises(InvalidValue, match=f"has {len(line.split())} fields; it needs five"):
        Rhythm(cron=line)


def test_a_schedule_of_an_earlier_version_that_never_falls_due_ends(
    schedules: TimedSchedules, tenant: GitTenant
):
    first = schedules.place(spec(schedules.project))
    schedules.place(spec(schedules.project))
    with tenant.database.writing() as session:
        row = session.get_one(ScheduleRow, first)
        row.every_seconds, row.cron = None, "30 14 26 11 * 0 2026"
    assert len(schedules.at(hours=1)) == 1
    assert schedules.due_at(first) is None


def test_a_schedule_that_fails_keeps_no_other_from_firing(
    schedules: TimedSchedules,
    tenant: GitTenant,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    broken, other = schedules.place(spec(schedules.project)), tenant.project()
    schedules.place(spec(other))
    seen = list[UUID]()

    def reading(row: ScheduleRow) -> ScheduleSpec:
        seen.append(row.id)
        if row.id == broken:
            raise ZeroDivisionError
        return spec_of(row)

    monkeypatch.setattr("towline_server.runs.firing.spec_of", reading)
    schedules.at(hours=1)
    assert schedules.runner.runs.page(RunFilter(project_id=other.id)).total == 1
    assert f"schedules failed at {broken}" in caplog.text
    seen.clear()
    schedules.at(hours=1)
    assert broken not in seen, "it is left alone for a while"


def test_freshness():
    late = START + timedelta(seconds=11)
    assert is_late(START, START, 10, late)
    assert is_late(None, START, 10, late)
    assert not is_late(late, START, 10, late)
    assert not is_late(None, START, None, late)
