"""Windows: the parts of a branch's history that are pulled one by one, each in one pull."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from towline.errors import InvalidValue
from towline.frozen import frozen
from towline.model import Revision

if TYPE_CHECKING:
    from towline.remotes.objects import Commit

MOST_WINDOW = 2**31 - 1
"""The most commits, or seconds, of a window."""


@frozen(kw_only=True)
class Window:
    """How much of the history is one window: so many commits, or those of so many seconds.

    Raises:
        InvalidValue: neither or both are given, or one is out of bounds.
    """

    commits: int | None = None
    seconds: int | None = None

    def __post_init__(self) -> None:
        if (self.commits is None) == (self.seconds is None):
            raise InvalidValue(field="window", problem="needs either commits or seconds")
        for name in ("commits", "seconds"):
            value = getattr(self, name)
            if value is not None and not 1 <= value <= MOST_WINDOW:
                problem = f"must be from 1 to {MOST_WINDOW}"
                raise InvalidValue(field=f"window.{name}", problem=problem)

    def ends(self, commits: Sequence[Commit]) -> list[Revision]:
        """Return the last commit of each window of a history, the oldest first."""
        ends: list[Revision] = []
        first, size = 0, 0
        for index, commit in enumerate(commits):
            if size and self._has(commits[first], commit, size):
                ends[-1] = commit.id
                size += 1
            else:
                ends.append(commit.id)
                first, size = index, 1
        return ends

    def _has(self, first: Commit, commit: Commit, size: int) -> bool:
        """Whether a commit is in the window that begins with the first one, of so many so far.

        By the committer's times, in either direction: clocks may be wrong.
        """
        if self.commits is not None:
            return size < self.commits
        if self.seconds is None or first.time is None or commit.time is None:
            return False
        return abs((commit.time - first.time).total_seconds()) <= self.seconds
