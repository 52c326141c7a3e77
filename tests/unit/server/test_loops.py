"""The server's loops: what fails in one of them, and when one stops."""

from __future__ import annotations

from contextlib import ExitStack
from uuid import uuid4

import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeout

from towline_server.loops import Backoff, ChangeSignal, Ticker


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_task_that_fails_keeps_no_other_from_being_done_and_stalls_in_the_end():
    clock, done = Clock(), list[int]()

    def fail() -> None:
        raise RuntimeError

    ticker = Ticker("loop", 1, fail, lambda: done.append(1), clock=clock)
    for now in (0, 61):
        clock.now = now
        ticker.once()
        assert not ticker.is_stalled
    clock.now = 62
    ticker.once()
    assert (len(done), ticker.is_stalled) == (3, True)


def test_a_database_that_is_away_is_a_warning_without_a_traceback(caplog: pytest.LogCaptureFixture):
    def fail() -> None:
        raise PoolTimeout("no connection")

    Ticker("loop", 1, fail).once()
    (record,) = caplog.records
    assert (record.levelname, record.exc_info) == ("WARNING", None)


def test_an_item_that_fails_is_left_alone_for_a_time_that_doubles():
    clock = Clock()
    backoff = Backoff[str]("loop", first_seconds=5, longest_seconds=8, clock=clock)

    def fail(now: float) -> None:
        clock.now = now
        with backoff.attempting("bad"):
            raise RuntimeError

    fail(0)
    with backoff.attempting("good"):
        pass
    assert backoff.waiting == ["bad"]
    clock.now = 5
    assert backoff.waiting == []
    fail(5)
    clock.now = 12.9
    assert backoff.waiting == ["bad"]
    clock.now = 13
    with backoff.attempting("bad"):
        pass
    fail(14)
    clock.now = 19
    assert backoff.waiting == []


def test_a_change_wakes_those_who_wait_for_that_row_alone():
    changes, rows = ChangeSignal(), [uuid4() for _ in range(3)]
    with ExitStack() as stack:
        waiters = [stack.enter_context(changes.waiter(row)) for row in rows]

        def woken() -> list[bool]:
            found = [each.is_woken for each in waiters]
            for each in waiters:
                each.forget()
            return found

        changes.changed(rows[1])
        assert woken() == [False, True, False]
        changes.changed(rows[0], rows[2])
        assert woken() == [True, False, True]
        changes.changed()
        assert woken() == [True, True, True]
        waiters[1].row_id = rows[0]
        changes.changed(rows[0])
        assert woken() == [True, True, False]
        changes.close()
        assert woken() == [True, True, True]
        assert changes.is_closed
