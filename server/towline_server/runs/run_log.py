"""What happened while a run was executed, a line each: stored in its row, and shown to people.

It is bounded, and holds no secret: what looks like one is masked as in the process's own log. A
line is written with the next phase, the next progress or the end of the run; no statement is sent
for it alone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from threading import Lock
from typing import NamedTuple
from uuid import UUID

from towline_server.logs import masked

_LOG = logging.getLogger("towline.runs")

MOST_LINES = 200
"""Of a longer log the middle is left out."""
LONGEST_LINE = 500
"""Characters."""


class LogLine(NamedTuple):
    """A line of a run's log."""

    at: datetime
    """By the executor's clock."""
    level: str
    """``info``, ``warning`` or ``error``."""
    text: str


class RunLog:
    """The log of a run, for the one process that executes it."""

    def __init__(self, run_id: UUID, lines: Iterable[LogLine] = ()) -> None:
        self._run_id = run_id
        self._lines = list(lines)
        self._left_out = 0
        self._lock = Lock()

    def add(self, level: int, text: str, detail: str = "") -> None:
        """Add a line, and log it in this process, with a detail for the operator alone."""
        text = masked(text)[:LONGEST_LINE]
        # What is as it should be is in the run's own log.
        _LOG.log(
            level if level > logging.INFO else logging.DEBUG,
            "run %s: %s%s",
            self._run_id,
            text,
            detail,
        )
        name = logging.getLevelName(level).lower()
        with self._lock:
            self._lines.append(LogLine(datetime.now(UTC), name, text))
            if len(self._lines) > MOST_LINES:
                del self._lines[MOST_LINES // 2]
                self._left_out += 1

    def note(self, text: str) -> None:
        """Add a line of what is as it should be; this process logs it where it is asked for."""
        self.add(logging.INFO, text)

    def column(self) -> dict[str, list[list[str]]]:
        """Return the lines as the run's row stores them."""
        with self._lock:
            made = [[each.at.isoformat(), each.level, each.text] for each in self._lines]
            if self._left_out:
                at = made[MOST_LINES // 2][0]
                text = f"{self._left_out} lines are left out here"
                made.insert(MOST_LINES // 2, [at, "info", text])
            return {"log": made}


def decoded(stored: Iterable[Sequence[str]] | None) -> tuple[LogLine, ...]:
    """Return the lines that a row has."""
    return tuple(
        LogLine(datetime.fromisoformat(at), level, text) for at, level, text in stored or ()
    )
