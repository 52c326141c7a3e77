"""Owns when a message that did not arrive is sent again.

The delays are those that Standard Webhooks 1.0.0 recommends ("Deliverability and reliability");
each is drawn out by up to a tenth, so that what failed together does not come back together.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TypeAlias

DELAYS = tuple(
    timedelta(seconds=seconds)
    for seconds in (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
"""Before each attempt, from the one before it."""
LONGEST_REST = timedelta(days=1)
"""The longest Retry-After that is heeded."""
_SPREAD = 0.1

Chance: TypeAlias = Callable[[], float]
"""A number from 0 to 1."""

chance: Chance = random.SystemRandom().random


def delay_after(failures: int, draw: Chance = chance) -> timedelta | None:
    """How long to wait after so many failed attempts; None: there is no further one."""
    if failures >= len(DELAYS):
        return None
    return DELAYS[failures] * (1 + _SPREAD * draw())


def rest_of(retry_after: str | None, now: datetime) -> timedelta | None:
    """What a Retry-After asks for (RFC 9110, 10.2.3), bounded; None: nothing that can be read."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        # More digits than any bound needs.
        seconds = int(text[:9])
        return min(timedelta(seconds=seconds), LONGEST_REST)
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # a day or a year beyond all calendars
        return None
    if until.tzinfo is None:
        return None
    return max(timedelta(), min(until - now, LONGEST_REST))
