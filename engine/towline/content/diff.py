"""Line differences as git finds them: Myers' O(ND) algorithm, and where git places each hunk.

A three-way merge is only as exact as its two differences: hunks that touch conflict, hunks that do
not touch merge. So the hunks must be git's. Four rules of git's default algorithm decide where
they lie:

- equal lines at both ends take no part (`_changed_span`);
- a line that the other side lacks is changed without a search, and so is one that is very common
  there and is among such lines (`_taking_part`);
- the rest is searched (`towline.content.search`);
- a hunk that could lie at several places has one (`towline.content.hunks`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from functools import cached_property
from itertools import compress

from towline.content.hunks import Hunk, Marks, hunks, place_runs
from towline.content.search import Search, equal_ahead, equal_behind, rough_root

_COMMON_LINE_LIMIT = 1024
_WINDOW = 100
"""How many lines around a common line are looked at, each way."""
_RARE_RATIO = 4
_LACKING, _RARE, _COMMON = range(3)


class DiffBase:
    """What other sides are compared with; a line is anything that can be compared and hashed."""

    def __init__(self, lines: Sequence[Hashable]) -> None:
        self._numbers = dict(zip(lines, range(len(lines)), strict=True))
        self._side = _SideLines(list(map(self._numbers.get, lines)))

    def diff(self, lines: Sequence[Hashable]) -> list[Hunk]:
        """Return what changed, in order; hunks never touch. Raises `TooCostly`."""
        before, after = self._side, _SideLines(list(map(self._numbers.get, lines)))
        a, b = before.numbers, after.numbers
        if a == b:
            return []
        head = equal_ahead(a, 0, b, 0, min(len(a), len(b)))
        tail = equal_behind(a, len(a), b, len(b), min(len(a), len(b)) - head)
        deleted, inserted = bytearray(len(a) + 1), bytearray(len(b) + 1)
        spans = slice(head, len(a) - tail), slice(head, len(b) - tail)
        parts = _taking_part(before, after, spans[0]), _taking_part(after, before, spans[1])
        found = Search(list(compress(a[spans[0]], parts[0])), list(compress(b[spans[1]], parts[1])))
        found.run()
        _mark(deleted, spans[0], parts[0], found.deleted)
        _mark(inserted, spans[1], parts[1], found.inserted)
        place_runs(a, deleted, inserted)
        place_runs(lines, inserted, deleted)
        return list(hunks(deleted, inserted))


class _SideLines:
    """The lines of one side by number: equal lines have one number, what base lacks has None."""

    def __init__(self, numbers: list[int | None]) -> None:
        self.numbers = numbers
        self.known: set[int | None] = {*numbers} - {None}
        """The lines that base has, too."""

    @cached_property
    def _most(self) -> int:
        """How often one of them may occur, at most."""
        return len(self.numbers) - self.numbers.count(None) - len(self.known) + 1

    @cached_property
    def _counts(self) -> Counter[int | None]:
        return Counter(self.numbers)

    def common(self, limit: int) -> set[int | None]:
        """Return those that occur this often, or more often."""
        if self._most < limit:
            return set()
        return {number for number, count in self._counts.items() if count >= limit} - {None}


def _taking_part(side: _SideLines, other: _SideLines, span: slice) -> bytes:
    """Return for each line of the span whether it takes part in the search: 1 or 0."""
    window = side.numbers[span]
    known = bytes(map(other.known.__contains__, window))
    limit = min(rough_root(len(side.numbers)), _COMMON_LINE_LIMIT)
    if 0 not in known or not (common := other.common(limit)):
        return known
    ranks = bytes(
        _COMMON if line in common else is_known
        for line, is_known in zip(window, known, strict=True)
    )
    part = bytearray(known)
    position = ranks.find(_COMMON)
    while position >= 0:
        part[position] = not _is_among_lacking(ranks, position)
        position = ranks.find(_COMMON, position + 1)
    return bytes(part)


def _is_among_lacking(ranks: bytes, position: int) -> bool:
    """Whether a common line is among lines that the other side lacks, on both sides of it."""
    first = max(0, position - _WINDOW)
    last = min(len(ranks), position + 1 + _WINDOW)
    above = max(first, ranks.rfind(_RARE, first, position) + 1)
    below = ranks.find(_RARE, position, last)
    below = last if below < 0 else below
    lacking = ranks.count(_LACKING, above, position), ranks.count(_LACKING, position, below)
    if not all(lacking):
        return False
    # The line itself counts twice, as in git.
    common = below - above - sum(lacking) + 1
    return common * _RARE_RATIO < common + sum(lacking)


def _mark(changed: Marks, span: slice, part: bytes, found: Sequence[range]) -> None:
    """Mark what takes no part in the search, and what was found by it."""
    changed[span] = part.translate(_OTHER_WAY)
    positions = list(compress(range(span.start, span.stop), part)) if found else []
    for places in found:
        for position in positions[places.start : places.stop]:
            changed[position] = 1


_OTHER_WAY = bytes((1, 0, *range(2, 256)))
