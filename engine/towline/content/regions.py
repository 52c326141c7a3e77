"""Where the hunks of two sides against one base meet, and where they are independent."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

from towline.content.hunks import Hunk
from towline.frozen import frozen


@frozen
class Region:
    """Hunks that touch, and the lines that they cover on each side."""

    base: range
    ours: range
    theirs: range
    from_ours: bool
    from_theirs: bool

    def clashes(self, ours: Sequence[Hashable], theirs: Sequence[Hashable]) -> bool:
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
        self._hunks = iter(hunks)
        self._next = next(self._hunks, None)
        self.start = self._next.start if self._next else _NO_MORE
        """Where the next hunk begins in base."""
        self.shift = 0
        """How many lines this side is ahead of base behind the hunks that were taken."""

    def take(self) -> int:
        """Take the next hunk; returns where it ends in base."""
        hunk = self._next
        assert hunk is not None, "start says so"
        self.shift = hunk.after_end - hunk.end
        self._next = next(self._hunks, None)
        self.start = self._next.start if self._next else _NO_MORE
        return hunk.end
