"""Owns which part of the history a run pulls that is one of several, by windows.

A parent's children pull one window each, in order: each finds the first one after what the project
has, so that it goes on behind whatever was pulled meanwhile. All end with one revision, which the
first child fetched. A base that is not among the first parents of that revision (there is none, or
the history was rewritten) leaves one window.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import TypeAlias

from towline.frozen import frozen
from towline.model import Revision
from towline.ports import Watch
from towline.remotes.windows import Window
from towline_server.recent import Recent

from .fetching import BoundRepository
from .inputs import Inputs

MOST_WINDOWS = 1_000
"""The most windows that one run pulls."""
_REMEMBERED = 16
_Key: TypeAlias = tuple[Path, Revision, Window]


@frozen(kw_only=True)
class NextWindow:
    """The last revision of the window that is next, and how many follow."""

    end: Revision
    left: int


class WindowHistory:
    """The windows of the cached repositories, each history read once for all its windows."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known = Recent[_Key, Mapping[Revision, NextWindow]](_REMEMBERED)

    def after(self, inputs: Inputs, tip: Revision, watch: Watch) -> NextWindow:
        """Return the window that follows what a run's project has, up to a fetched revision.

        Raises:
            InvalidTree: a commit is malformed.
            Cancelled: the watch says so.
        """
        base, window = inputs.base, inputs.run.window
        if base is None or base == tip or window is None:
            return NextWindow(end=tip, left=0)
        repository = inputs.repository
        key = (repository.cache, tip, window)
        with self._lock:
            known = self._known.get(key, {})
        if base not in known:
            known = _following(repository, base, tip, window, watch)
            with self._lock:
                self._known[key] = known
        return known[base]


def _following(
    repository: BoundRepository, base: Revision, tip: Revision, window: Window, watch: Watch
) -> Mapping[Revision, NextWindow]:
    """Return the window that follows each end of one, from ``base`` on, as far as a run may go."""
    with repository.cached() as remote:
        commits = remote.first_parents(base, tip, watch)
    ends = [tip] if commits is None else window.ends(commits)
    first = ends[:MOST_WINDOWS]
    return {
        before: NextWindow(end=end, left=len(ends) - index)
        for index, (before, end) in enumerate(zip([base, *first], first, strict=False), start=1)
    }
