"""When a message is sent again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from towline_server.webhooks.domain import RETRIES
from towline_server.webhooks.queue import rest_of

DELAYS = RETRIES.delays
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
RECOMMENDED = [
    "00:00:00", "00:00:05", "00:05:05", "00:35:05", "02:35:05",
    "07:35:05", "17:35:05", "31:35:05", "51:35:05", "75:35:05",
]  # fmt: skip
"""The time since the start, of each attempt, as the specification has it."""


def _span(text: str) -> timedelta:
    hours, minutes, seconds = map(int, text.split(":"))
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def test_attempts_are_made_when_the_specification_recommends():
    made = [sum(DELAYS[: number + 1], timedelta()) for number in range(len(DELAYS))]
    assert made == [_span(text) for text in RECOMMENDED]


def test_there_is_no_attempt_after_the_last():
    assert replace(RETRIES, draw=lambda: 0).delay(len(DELAYS) - 1) == timedelta(hours=24)
    assert RETRIES.delay(len(DELAYS)) is None


def test_jitter_draws_a_delay_out_by_a_tenth_at_most_and_never_shortens_it():
    assert replace(RETRIES, draw=lambda: 0.0).delay(2) == timedelta(seconds=300)
    assert replace(RETRIES, draw=lambda: 1.0).delay(2) == timedelta(seconds=330)
    drawn = {RETRIES.delay(2) for _ in range(20)}
    assert len(drawn) > 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("Thu, 01 Jan 2026 12:01:00 GMT", 60),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0),
        ("86400000", 86_400),
        ("9" * 400, 86_400),
        ("Fri, 01 Jan 2027 12:01:00 GMT", 86_400),
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("²", None),
        ("Thu, 01 Jan 2026 12:01:00", None),
        ("Thu, 99 Jan 2026 12:01:00 GMT", None),
        ("Thu, 9999999999 Jan 2026 12:01:00 GMT", None),
    ],
)
def test_retry_after_is_read_and_bounded(text: str | None, seconds: int | None):
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert rest_of(text, NOW) == expected
