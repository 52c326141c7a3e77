"""Line differences as git finds them: Myers' O(ND) algorithm, and where git places each hunk.

A three-way merge is only as exact as its two differences: hunks that touch conflict, hunks that do
not touch merge. So the hunks must be git's. Four rules of git's default algorithm decide where
they lie, and each is a function here:

- equal lines at both ends take no part (`_common_ends`);
- a line that the other side lacks is changed without a search, and so is one that is very common
  there and is among such lines (`_searchable`);
- the search runs from both ends and splits where they meet (`_split`), as in Myers, "An O(ND)
  Difference Algorithm and Its Variations" (1986), section 4b; a costly one is cut short;
- a hunk that could lie at several places lies as far down as it can, unless it can lie beside a
  hunk of the other side (`_place_hunks`).

A line is anything that can be compared and hashed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Lines: TypeAlias = Sequence[Hashable]

_COMMON_LINE_LIMIT = 1024
_WINDOW = 100
"""How many lines around a common line are looked at, each way."""
_RARE_RATIO = 4
_COSTLY = 256
"""Edits after which a search may end early."""
_LONG_RUN = 20
"""Equal lines in a row that make a place good enough to split at in a costly search."""
_HEURISTIC_FACTOR = 4
_FAR = 1 << 60
_BUDGET = 3_000_000
"""Steps that a search may take: some seconds. Git has no such bound, and the speed of C."""


class TooCostly(Exception):
    """The two sides are so long, and have so little in common, that they are not compared."""


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines ``before[start:end]`` that became ``after[after_start:after_end]``; not both empty."""

    start: int
    end: int
    after_start: int
    after_end: int


def diff(before: Lines, after: Lines) -> list[Hunk]:
    """Return what changed, in order; hunks never touch. Raises `TooCostly`."""
    if before == after:
        return []
    deleted, inserted = bytearray(len(before) + 1), bytearray(len(after) + 1)
    head, tail = _common_ends(before, after)
    spans = (range(head, len(before) - tail), range(head, len(after) - tail))
    searched_before = _searchable(before, after, spans[0], deleted)
    searched_after = _searchable(after, before, spans[1], inserted)
    search = _Search(before, after, searched_before, searched_after, deleted, inserted)
    search.run()
    _place_hunks(before, deleted, inserted)
    _place_hunks(after, inserted, deleted)
    return list(_hunks(deleted, inserted))


def _common_ends(before: Lines, after: Lines) -> tuple[int, int]:
    limit = min(len(before), len(after))
    head = 0
    while head < limit and before[head] == after[head]:
        head += 1
    tail = 0
    while tail < limit - head and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    return head, tail


# --- lines that need no search ----------------------------------------------------------------


def _searchable(lines: Lines, other: Lines, span: range, changed: bytearray) -> list[int]:
    """Return the positions that take part in the search, and mark the rest as changed."""
    counts = Counter(other)
    limit = min(_rough_root(len(lines)), _COMMON_LINE_LIMIT)
    found = [counts[line] for line in lines[span.start : span.stop]]
    taking_part = [position for position, count in zip(span, found, strict=True) if count]
    if max(found, default=0) >= limit:
        # 0: the other side lacks it; 1: rare there; 2: common there.
        ranks = bytearray(span.start) + bytes(
            0 if not count else 1 if count < limit else 2 for count in found
        )
        taking_part = [
            position
            for position in taking_part
            if ranks[position] == 1 or not _is_among_unmatched(ranks, position, span)
        ]
    if len(taking_part) < len(span):
        changed[span.start : span.stop] = b"\x01" * len(span)
        for position in taking_part:
            changed[position] = 0
    return taking_part


def _rough_root(number: int) -> int:
    """Return a power of two near the square root: half of the bits, rounded up."""
    root = 1
    while number > 0:
        number >>= 2
        root <<= 1
    return root


def _is_among_unmatched(ranks: bytearray, position: int, span: range) -> bool:
    """Whether a common line is among lines that the other side lacks, on both sides of it."""
    first = max(span.start, position - _WINDOW)
    last = min(span.stop - 1, position + _WINDOW)
    above = _run(ranks, range(position - 1, first - 1, -1))
    below = _run(ranks, range(position + 1, last + 1))
    if not above[0] or not below[0]:
        return False
    lacking, common = above[0] + below[0], above[1] + below[1] + 2
    return common * _RARE_RATIO < common + lacking


def _run(ranks: bytearray, positions: range) -> tuple[int, int]:
    """Count the unmatched and the common lines up to the first rare one."""
    counts = [0, 0, 0]
    for position in positions:
        if ranks[position] == 1:
            break
        counts[ranks[position]] += 1
    return counts[0], counts[2]


# --- the search -------------------------------------------------------------------------------


class _Search:
    """Finds which of the lines that take part were changed."""

    def __init__(
        self,
        before: Lines,
        after: Lines,
        searched_before: list[int],
        searched_after: list[int],
        deleted: bytearray,
        inserted: bytearray,
    ) -> None:
        self._a = [before[position] for position in searched_before]
        self._b = [after[position] for position in searched_after]
        self._at_a, self._at_b = searched_before, searched_after
        self._deleted, self._inserted = deleted, inserted
        diagonals = len(self._a) + len(self._b) + 3
        self._budget = _BUDGET
        self._limit = max(_rough_root(diagonals), _COSTLY)
        # Diagonals are negative where more of b than of a was taken: indices are shifted.
        self._shift = len(self._b) + 1
        self._forward = [0] * diagonals
        self._backward = [0] * diagonals

    def run(self) -> None:
        boxes = [(0, len(self._a), 0, len(self._b), False)]
        while boxes:
            a0, a1, b0, b1, exact = boxes.pop()
            a, b = self._a, self._b
            while a0 < a1 and b0 < b1 and a[a0] == b[b0]:
                a0, b0 = a0 + 1, b0 + 1
            while a0 < a1 and b0 < b1 and a[a1 - 1] == b[b1 - 1]:
                a1, b1 = a1 - 1, b1 - 1
            if a0 == a1:
                for position in range(b0, b1):
                    self._inserted[self._at_b[position]] = 1
            elif b0 == b1:
                for position in range(a0, a1):
                    self._deleted[self._at_a[position]] = 1
            else:
                x, y, exact_low, exact_high = self._split(a0, a1, b0, b1, exact)
                boxes.append((a0, x, b0, y, exact_low))
                boxes.append((x, a1, y, b1, exact_high))

    def _split(  # noqa: C901, PLR0912, PLR0915 - one loop, whose parts share all its variables
        self,
        a0: int,
        a1: int,
        b0: int,
        b1: int,
        exact: bool,  # noqa: FBT001 - private
    ) -> tuple[int, int, bool, bool]:
        """Return a point on a shortest path through the box, and which parts to search exactly."""
        a, b, shift = self._a, self._b, self._shift
        forward, backward = self._forward, self._backward
        lowest, highest = a0 - b1, a1 - b0
        middle_f, middle_b = a0 - b0, a1 - b1
        odd = (middle_f - middle_b) & 1
        low_f = high_f = middle_f
        low_b = high_b = middle_b
        forward[middle_f + shift] = a0
        backward[middle_b + shift] = a1
        cost = 0
        while True:
            cost += 1
            self._budget -= high_f - low_f + high_b - low_b
            if self._budget < 0:
                raise TooCostly
            long_run = False
            if low_f > lowest:
                low_f -= 1
                forward[low_f - 1 + shift] = -1
            else:
                low_f += 1
            if high_f < highest:
                high_f += 1
                forward[high_f + 1 + shift] = -1
            else:
                high_f -= 1
            for diagonal in range(high_f, low_f - 1, -2):
                at = diagonal + shift
                x = forward[at - 1] + 1 if forward[at - 1] >= forward[at + 1] else forward[at + 1]
                start, y = x, x - diagonal
                while x < a1 and y < b1 and a[x] == b[y]:
                    x, y = x + 1, y + 1
                long_run = long_run or x - start > _LONG_RUN
                forward[at] = x
                if odd and low_b <= diagonal <= high_b and backward[at] <= x:
                    return x, y, True, True
            if low_b > lowest:
                low_b -= 1
                backward[low_b - 1 + shift] = _FAR
            else:
                low_b += 1
            if high_b < highest:
                high_b += 1
                backward[high_b + 1 + shift] = _FAR
            else:
                high_b -= 1
            for diagonal in range(high_b, low_b - 1, -2):
                at = diagonal + shift
                x = (
                    backward[at - 1]
                    if backward[at - 1] < backward[at + 1]
                    else backward[at + 1] - 1
                )
                start, y = x, x - diagonal
                while x > a0 and y > b0 and a[x - 1] == b[y - 1]:
                    x, y = x - 1, y - 1
                long_run = long_run or start - x > _LONG_RUN
                backward[at] = x
                if not odd and low_f <= diagonal <= high_f and x <= forward[at]:
                    return x, y, True, True
            if exact:
                continue
            box = (a0, a1, b0, b1)
            if long_run and cost > _COSTLY:
                good = self._long_run_ahead(box, cost, range(high_f, low_f - 1, -2), middle_f)
                if good is not None:
                    return *good, True, False
                good = self._long_run_behind(box, cost, range(high_b, low_b - 1, -2), middle_b)
                if good is not None:
                    return *good, False, True
            if cost >= self._limit:
                return self._farthest(
                    box, range(high_f, low_f - 1, -2), range(high_b, low_b - 1, -2)
                )

    def _long_run_ahead(
        self, box: tuple[int, int, int, int], cost: int, diagonals: range, middle: int
    ) -> tuple[int, int] | None:
        """Return the end of the most promising long run of equal lines found from the start."""
        a0, a1, b0, b1 = box
        a, b = self._a, self._b
        best, found = 0, None
        for diagonal in diagonals:
            x = self._forward[diagonal + self._shift]
            y = x - diagonal
            gain = (x - a0) + (y - b0) - abs(diagonal - middle)
            if gain <= _HEURISTIC_FACTOR * cost or gain <= best:
                continue
            if not (a0 + _LONG_RUN <= x < a1 and b0 + _LONG_RUN <= y < b1):
                continue
            if a[x - _LONG_RUN : x] == b[y - _LONG_RUN : y]:
                best, found = gain, (x, y)
        return found

    def _long_run_behind(
        self, box: tuple[int, int, int, int], cost: int, diagonals: range, middle: int
    ) -> tuple[int, int] | None:
        """Return the start of the most promising long run of equal lines found from the end."""
        a0, a1, b0, b1 = box
        a, b = self._a, self._b
        best, found = 0, None
        for diagonal in diagonals:
            x = self._backward[diagonal + self._shift]
            y = x - diagonal
            gain = (a1 - x) + (b1 - y) - abs(diagonal - middle)
            if gain <= _HEURISTIC_FACTOR * cost or gain <= best:
                continue
            if not (a0 < x <= a1 - _LONG_RUN and b0 < y <= b1 - _LONG_RUN):
                continue
            if a[x : x + _LONG_RUN] == b[y : y + _LONG_RUN]:
                best, found = gain, (x, y)
        return found

    def _farthest(
        self, box: tuple[int, int, int, int], ahead: range, behind: range
    ) -> tuple[int, int, bool, bool]:
        """Give up: return the point that is farthest from the end it was reached from."""
        a0, a1, b0, b1 = box
        best_f, point_f = -1, (a0, b0)
        for diagonal in ahead:
            x = min(self._forward[diagonal + self._shift], a1)
            y = x - diagonal
            if y > b1:
                x, y = b1 + diagonal, b1
            if best_f < x + y:
                best_f, point_f = x + y, (x, y)
        best_b, point_b = _FAR, (a1, b1)
        for diagonal in behind:
            x = max(self._backward[diagonal + self._shift], a0)
            y = x - diagonal
            if y < b0:
                x, y = b0 + diagonal, b0
            if x + y < best_b:
                best_b, point_b = x + y, (x, y)
        if a1 + b1 - best_b < best_f - (a0 + b0):
            return *point_f, True, False
        return *point_b, False, True


# --- where a hunk lies ------------------------------------------------------------------------


class _Groups:
    """A cursor over the runs of changed lines of one side; a run may be empty."""

    def __init__(self, lines: Lines, changed: bytearray) -> None:
        self.lines, self.changed = lines, changed
        self.start = self.end = 0
        self._grow_down()

    def _grow_down(self) -> None:
        # The last entry is the end and is never set.
        self.end = self.changed.index(0, self.end)

    def to_next_run(self) -> int:
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
        self.start = self.end = self.start - 1
        while self.start > 0 and self.changed[self.start - 1]:
            self.start -= 1

    def slide_down(self) -> bool:
        """Move the run a line down, if the line that enters equals the one that leaves."""
        if self.end >= len(self.lines) or self.lines[self.start] != self.lines[self.end]:
            return False
        self.changed[self.start], self.changed[self.end] = 0, 1
        self.start, self.end = self.start + 1, self.end + 1
        self._grow_down()
        return True

    def slide_up(self) -> bool:
        """Move the run a line up, likewise."""
        if self.start == 0 or self.lines[self.start - 1] != self.lines[self.end - 1]:
            return False
        self.start, self.end = self.start - 1, self.end - 1
        self.changed[self.start], self.changed[self.end] = 1, 0
        while self.start > 0 and self.changed[self.start - 1]:
            self.start -= 1
        return True


def _place_hunks(lines: Lines, changed: bytearray, changed_other: bytearray) -> None:
    """Move each run of changed lines to where git shows it."""
    runs = _Groups(lines, changed)
    # The other side's lines are never compared, only counted.
    others = _Groups([0] * (len(changed_other) - 1), changed_other)
    if runs.end > runs.start:
        _place(runs, others)
    while distance := runs.to_next_run():
        others.advance(distance)
        _place(runs, others)


def _place(runs: _Groups, others: _Groups) -> None:
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


def _hunks(deleted: bytearray, inserted: bytearray) -> Iterator[Hunk]:
    x = y = 0
    rows, columns = len(deleted) - 1, len(inserted) - 1
    while x < rows or y < columns:
        start, after_start = x, y
        while x < rows and deleted[x]:
            x += 1
        while y < columns and inserted[y]:
            y += 1
        if x > start or y > after_start:
            yield Hunk(start, x, after_start, y)
        # Skip the equal lines in one step, to the next changed one of either side.
        step = min(_equal_run(deleted, x, rows), _equal_run(inserted, y, columns))
        x, y = x + step, y + step


def _equal_run(changed: bytearray, position: int, end: int) -> int:
    found = changed.find(1, position, end)
    return (end if found < 0 else found) - position


# --- two sides ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Region:
    """Hunks that touch, and the lines that they cover on each side."""

    base: range
    ours: range
    theirs: range
    from_ours: bool
    from_theirs: bool

    def clashes(self, ours: Lines, theirs: Lines) -> bool:
        """Whether both sides changed it, and differently."""
        if not (self.from_ours and self.from_theirs):
            return False
        mine = ours[self.ours.start : self.ours.stop]
        return mine != theirs[self.theirs.start : self.theirs.stop]


def regions(our_hunks: list[Hunk], their_hunks: list[Hunk]) -> Iterator[Region]:
    """Group the hunks of two sides against one base into regions, in order.

    Two hunks are independent where at least one unchanged line of base lies between them.
    """
    ours, theirs = _Cursor(our_hunks), _Cursor(their_hunks)
    while (start := min(ours.start, theirs.start)) < _NO_MORE:
        first = ours.shift, theirs.shift
        end, taken_ours, taken_theirs = start, False, False
        while min(ours.start, theirs.start) <= end:
            if ours.start <= end:
                end, taken_ours = max(end, ours.take()), True
            else:
                end, taken_theirs = max(end, theirs.take()), True
        yield Region(
            base=range(start, end),
            ours=range(start + first[0], end + ours.shift),
            theirs=range(start + first[1], end + theirs.shift),
            from_ours=taken_ours,
            from_theirs=taken_theirs,
        )


_NO_MORE = 1 << 60


class _Cursor:
    """The hunks of one side, taken one by one."""

    def __init__(self, hunks: list[Hunk]) -> None:
        self._hunks = hunks
        self._next = 0
        self.shift = 0
        """How many lines this side is ahead of base behind the hunks that were taken."""

    @property
    def start(self) -> int:
        return self._hunks[self._next].start if self._next < len(self._hunks) else _NO_MORE

    def take(self) -> int:
        """Take the next hunk; returns where it ends in base."""
        hunk = self._hunks[self._next]
        self._next += 1
        self.shift = hunk.after_end - hunk.end
        return hunk.end
