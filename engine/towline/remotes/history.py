"""The commits that one revision has and another has not, in git's order; which changed a path.

And those of a branch as its owner made it: the first parents from one revision to another.

As git's ``rev-list base..revision``: newest first by the committer's time, so that the cost is that
of the commits between, not of the history. Clocks may be wrong, so the walk goes on a little after
everything left is in the history of the base, as git's does.
"""

from __future__ import annotations

import heapq
from datetime import datetime

from towline.model import Revision
from towline.ports import Watch
from towline.remotes.objects import Commit, ObjectReader, read_commit
from towline.remotes.trees import TreeEntry, parse_tree

MOST_COMMITS = 10_000
"""A walk ends after as many commits that are not in the base's history."""
MOST_FIRST_PARENTS = 100_000
"""A walk along first parents ends after as many."""
_SLOP = 5
"""git's: how many more commits of the base's history are read."""


def commits_between(reader: ObjectReader, base: Revision, revision: Revision) -> list[Commit]:
    """Return the commits of ``revision`` that ``base`` does not have, newest first.

    At most `MOST_COMMITS`.

    Raises:
        ObjectMissing: one is not in the cache.
        InvalidTree: one is malformed.
    """
    walk = _Walk(reader)
    walk.exclude([walk.push(base)])
    walk.push(revision)
    return walk.run()


def first_parents(
    reader: ObjectReader, base: Revision, revision: Revision, watch: Watch = Watch()
) -> list[Commit] | None:
    """Return the commits after ``base`` up to ``revision`` along first parents, oldest first.

    None where ``base`` is not among the first parents of ``revision``, or not among the last
    `MOST_FIRST_PARENTS`.

    Raises:
        ObjectMissing: one is not in the cache.
        InvalidTree: one is malformed.
        Cancelled: the watch says so.
    """
    found: list[Commit] = []
    following: Revision | None = revision
    while following != base:
        if following is None or len(found) == MOST_FIRST_PARENTS:
            return None
        watch.check()
        found.append(read_commit(reader, following))
        following = next(iter(found[-1].parents), None)
    return found[::-1]


def last_change(reader: ObjectReader, revision: Revision, path: str) -> Commit | None:
    """Return the last commit up to ``revision`` that changed a path, as ``git log -1`` does.

    Of a merge it follows the first parent that has the same there. None where nothing was ever
    there, or after `MOST_COMMITS`.

    Raises:
        ObjectMissing: one is not in the cache.
        InvalidTree: one is malformed.
    """
    names = path.encode().split(b"/")
    commit = read_commit(reader, revision)
    here = _entry(reader, commit.tree, names)
    for _ in range(MOST_COMMITS):
        for oid in commit.parents:
            parent = read_commit(reader, oid)
            if parent.tree == commit.tree or _entry(reader, parent.tree, names) == here:
                commit = parent
                break
        else:
            return commit if here is not None or commit.parents else None
    return None


def _entry(reader: ObjectReader, tree: str, names: list[bytes]) -> TreeEntry | None:
    found: TreeEntry | None = None
    for name in names:
        if found is not None and not found.is_tree:
            return None
        entries = parse_tree(reader.read(tree if found is None else found.oid)[1]).entries
        found = next((entry for entry in entries if entry.name == name), None)
        if found is None:
            return None
    return found


class _Walk:
    def __init__(self, reader: ObjectReader) -> None:
        self._reader = reader
        self._known: dict[Revision, Commit] = {}
        self._excluded: set[Revision] = set()
        self._queue: list[tuple[float, int, Revision]] = []

    def push(self, oid: Revision) -> Revision:
        """Queue a commit, unless it was queued before; return its id."""
        if oid in self._known:
            return oid
        commit = read_commit(self._reader, oid)
        known = commit.id in self._known
        self._known[oid] = self._known[commit.id] = commit
        if not known:
            # Of commits of one second the one that was found first is first.
            entry = (-_seconds(commit.time), len(self._known), commit.id)
            heapq.heappush(self._queue, entry)
        return commit.id

    def exclude(self, oids: list[Revision]) -> None:
        """Exclude commits, with those of their ancestors that were read."""
        pending = [oid for oid in oids if oid not in self._excluded]
        while pending:
            oid = pending.pop()
            self._excluded.add(oid)
            if oid in self._known:
                parents = self._known[oid].parents
                pending.extend(each for each in parents if each not in self._excluded)

    def run(self) -> list[Commit]:
        """Walk until nothing can change the answer."""
        found: list[Commit] = []
        slop = _SLOP
        while self._queue and slop and len(found) < MOST_COMMITS:
            commit = self._known[heapq.heappop(self._queue)[2]]
            for parent in commit.parents:
                self.push(parent)
            if commit.id in self._excluded:
                self.exclude(list(commit.parents))
                slop = slop - 1 if self._is_settled(found) else _SLOP
            else:
                found.append(commit)
        return [commit for commit in found if commit.id not in self._excluded]

    def _is_settled(self, found: list[Commit]) -> bool:
        if any(oid not in self._excluded for _, _, oid in self._queue):
            return False
        return not (found and self._queue and _seconds(found[-1].time) <= -self._queue[0][0])


def _seconds(time: datetime | None) -> float:
    return time.timestamp() if time is not None else 0.0
