"""A shortest way from one sequence to another, as git searches it (its xdiffi.c).

The search runs from both ends and splits where they meet: Myers, "An O(ND) Difference Algorithm
and Its Variations" (1986), section 4b. A costly one is cut short, where git cuts it short.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

_COSTLY = 256
"""Edits after which a search may end early."""
_LONG_RUN = 20
"""Equal lines in a row that make a place good enough to split at in a costly search."""
_HEURISTIC_FACTOR = 4
_FAR = 1 << 60
_BUDGET = 3_000_000
"""Steps that a search may take: some seconds. Git has no such bound, and the speed of C."""
_LINES_A_STEP = 16
"""Equal lines that are compared in the time of one step."""

_Box = tuple[int, int, int, int]


class TooCostly(Exception):
    """The two sides are so long, and have so little in common, that they are not compared."""


class Search:
    """Finds what of ``a`` was deleted and what of ``b`` was inserted."""

    def __init__(self, a: Sequence[Hashable], b: Sequence[Hashable]) -> None:
        self._a, self._b = a, b
        self.deleted: list[range] = []
        self.inserted: list[range] = []
        diagonals = len(a) + len(b) + 3
        self._budget = _BUDGET
        self._limit = max(rough_root(diagonals), _COSTLY)
        # Diagonals are negative where more of b than of a was taken: indices are shifted.
        self._shift = len(b) + 1
        self._forward = [0] * diagonals
        self._backward = [0] * diagonals

    def run(self) -> None:
        """Fill ``deleted`` and ``inserted``. Raises `TooCostly`."""
        a, b = self._a, self._b
        boxes = [(0, len(a), 0, len(b), False)]
        while boxes:
            a0, a1, b0, b1, exact = boxes.pop()
            head = equal_ahead(a, a0, b, b0, min(a1 - a0, b1 - b0))
            a0, b0 = a0 + head, b0 + head
            tail = equal_behind(a, a1, b, b1, min(a1 - a0, b1 - b0))
            a1, b1 = a1 - tail, b1 - tail
            if a0 == a1:
                self.inserted.append(range(b0, b1))
            elif b0 == b1:
                self.deleted.append(range(a0, a1))
            else:
                x, y, exact_low, exact_high = self._split((a0, a1, b0, b1), exact)
                boxes.append((a0, x, b0, y, exact_low))
                boxes.append((x, a1, y, b1, exact_high))

    def _split(  # noqa: C901, PLR0912, PLR0915 - one loop, whose parts share all its variables
        self,
        box: _Box,
        exact: bool,  # noqa: FBT001 - private
    ) -> tuple[int, int, bool, bool]:
        """Return a point on a shortest path through the box, and which parts to search exactly."""
        a, b, shift = self._a, self._b, self._shift
        forward, backward = self._forward, self._backward
        a0, a1, b0, b1 = box
        lowest, highest = a0 - b1, a1 - b0
        middle_f, middle_b = a0 - b0, a1 - b1
        odd = (middle_f - middle_b) & 1
        low_f = high_f = middle_f
        low_b = high_b = middle_b
        forward[middle_f + shift] = a0
        backward[middle_b + shift] = a1
        cost = compared = 0
        while True:
            cost += 1
            self._budget -= high_f - low_f + high_b - low_b + compared // _LINES_A_STEP
            if self._budget < 0:
                raise TooCostly
            long_run, compared = False, 0
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
                y = x - diagonal
                if x < a1 and y < b1 and a[x] == b[y]:
                    run = equal_ahead(a, x, b, y, min(a1 - x, b1 - y))
                    x, y, compared = x + run, y + run, compared + run
                    long_run = long_run or run > _LONG_RUN
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
                y = x - diagonal
                if x > a0 and y > b0 and a[x - 1] == b[y - 1]:
                    run = equal_behind(a, x, b, y, min(x - a0, y - b0))
                    x, y, compared = x - run, y - run, compared + run
                    long_run = long_run or run > _LONG_RUN
                backward[at] = x
                if not odd and low_f <= diagonal <= high_f and x <= forward[at]:
                    return x, y, True, True
            if exact:
                continue
            ahead, behind = range(high_f, low_f - 1, -2), range(high_b, low_b - 1, -2)
            if long_run and cost > _COSTLY:
                good = self._long_run_ahead(box, cost, ahead, middle_f)
                if good is not None:
                    return *good, True, False
                good = self._long_run_behind(box, cost, behind, middle_b)
                if good is not None:
                    return *good, False, True
            if cost >= self._limit:
                return self._farthest(box, ahead, behind)

    def _long_run_ahead(
        self, box: _Box, cost: int, diagonals: range, middle: int
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
        self, box: _Box, cost: int, diagonals: range, middle: int
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

    def _farthest(self, box: _Box, ahead: range, behind: range) -> tuple[int, int, bool, bool]:
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


def rough_root(number: int) -> int:
    """Return a power of two near the square root: half of the bits, rounded up."""
    return 1 << (number.bit_length() + 1) // 2


# --- runs of equal items ------------------------------------------------------------------------
# Slices are compared, twice as long each time, so that a long run costs little.


def equal_ahead(a: Sequence[Hashable], x: int, b: Sequence[Hashable], y: int, most: int) -> int:
    """Return how many items from ``a[x]`` and ``b[y]`` on are equal, at most ``most``."""
    length, step, factor = 0, 1, 2
    while step := min(step, most - length):
        at, to = x + length, y + length
        if a[at : at + step] == b[to : to + step]:
            length += step
            step *= factor
        else:
            step, factor = step // 2, 1
    return length


def equal_behind(a: Sequence[Hashable], x: int, b: Sequence[Hashable], y: int, most: int) -> int:
    """Return how many items before ``a[x]`` and ``b[y]`` are equal, at most ``most``."""
    length, step, factor = 0, 1, 2
    while step := min(step, most - length):
        at, to = x - length, y - length
        if a[at - step : at] == b[to - step : to]:
            length += step
            step *= factor
        else:
            step, factor = step // 2, 1
    return length
