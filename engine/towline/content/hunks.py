"""Hunks, and where each lies: among the places where a run of changed lines could lie, git's.

That is as far down as it can, unless it can lie beside a run of the other side.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

from towline.content.search import TooCostly

Marks = bytearray
"""One byte for each line, 1 where it is changed; and one more, which is 0."""

_SLIDES = 500_000
"""Lines that all runs of a side may be moved by. Git has no such bound."""


class Hunk(NamedTuple):
    """Lines ``before[start:end]`` that became ``after[after_start:after_end]``; not both empty."""

    start: int
    end: int
    after_start: int
    after_end: int


def hunks(deleted: Marks, inserted: Marks) -> Iterator[Hunk]:
    """Yield the hunks that the marks of both sides make."""
    start = after_start = 0
    while True:
        found, after_found = deleted.find(1, start), inserted.find(1, after_start)
        if found < 0 and after_found < 0:
            return
        # Equal lines lie between, as many on either side.
        equal = found - start
        if found < 0 or 0 <= after_found < equal + after_start:
            equal = after_found - after_start
        start, after_start = start + equal, after_start + equal
        end, after_end = deleted.index(0, start), inserted.index(0, after_start)
        yield Hunk(start, end, after_start, after_end)
        start, after_start = end, after_end


def place_runs(lines: Sequence[Hashable], changed: Marks, other: Marks) -> None:
    """Move each run of changed lines to where git shows it; ``other``: the other side's marks.

    Raises `TooCostly`.
    """
    runs, others = _Runs(lines, changed), _Runs(lines, other)
    distance = behind = 0
    while True:
        behind += distance
        if runs.can_slide():
            others.advance(behind)
            behind = 0
            _place(runs, others)
        distance = runs.to_next()
        if not distance:
            return


def _place(runs: _Runs, others: _Runs) -> None:
    while True:
        size = runs.end - runs.start
        beside: int | None = None
        while runs.slide_up():
            others.previous()
        highest = runs.end
        if others.end > others.start:
            beside = runs.end
        while runs.slide_down():
            others.advance()
            if others.end > others.start:
                beside = runs.end
        # A run that met another one is longer now, and may slide further.
        if runs.end - runs.start == size:
            break
    if runs.end == highest or beside is None:
        return
    while others.end == others.start:
        runs.slide_up()
        others.previous()


class _Runs:
    """A cursor over the runs of changed lines of one side; a run may be empty."""

    def __init__(self, lines: Sequence[Hashable], changed: Marks) -> None:
        self.lines, self.changed = lines, changed
        self.start = self.end = 0
        self._slides_left = _SLIDES
        self._grow_down()

    def _grow_down(self) -> None:
        self.end = self.changed.index(0, self.end)

    def to_next(self) -> int:
        """Go to the next run that is not empty; returns how many lines on it is, or 0."""
        found = self.changed.find(1, self.end + 1)
        if found < 0:
            return 0
        distance, self.start, self.end = found - self.end, found, found
        self._grow_down()
        return distance

    def advance(self, unchanged: int = 1) -> None:
        """Go past this many unchanged lines."""
        while unchanged:
            found = self.changed.find(1, self.end + 1, self.end + unchanged + 1)
            target = found if found >= 0 else self.end + unchanged
            unchanged -= target - self.end
            self.start = self.end = target
            self._grow_down()

    def previous(self) -> None:
        """Go to the run before the unchanged line above."""
        self.start = self.end = self.start - 1
        self.start = self.changed.rfind(0, 0, self.start) + 1

    def can_slide(self) -> bool:
        """Whether there is a run, and it can move by a line, up or down."""
        lines, start, end = self.lines, self.start, self.end
        return end > start and (
            (end < len(lines) and lines[start] == lines[end])
            or (start > 0 and lines[start - 1] == lines[end - 1])
        )

    def slide_down(self) -> bool:
        """Move the run a line down, if the line that enters equals the one that leaves."""
        if self.end >= len(self.lines) or self.lines[self.start] != self.lines[self.end]:
            return False
        self._count_slide()
        self.changed[self.start], self.changed[self.end] = 0, 1
        self.start, self.end = self.start + 1, self.end + 1
        self._grow_down()
        return True

    def slide_up(self) -> bool:
        """Move the run a line up, likewise."""
        if self.start == 0 or self.lines[self.start - 1] != self.lines[self.end - 1]:
            return False
        self._count_slide()
        self.start, self.end = self.start - 1, self.end - 1
        self.changed[self.start], self.changed[self.end] = 1, 0
        self.start = self.changed.rfind(0, 0, self.start) + 1
        return True

    def _count_slide(self) -> None:
        self._slides_left -= 1
        if self._slides_left < 0:
            raise TooCostly
