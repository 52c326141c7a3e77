"""What undoing returns: all of it for the last pull, contents alone for an older one."""

from __future__ import annotations

from towline import AssetPath, MemoryRemote, MemoryStore, pull, undo
from towline.testing.plans import now


def test_the_last_pull_that_stands_is_not_the_last_of_all():
    remote, store = MemoryRemote(), MemoryStore("project")
    revisions = []
    for contents in ({"a": b"1"}, {"a": b"1", "b": b"2"}, {"a": b"1", "b": b"2", "c": b"3"}):
        revisions.append(remote.commit(contents))
        pull(store, remote)
    undo(store, 2)
    assert now(store).state().base == revisions[2]
    undo(store)
    assert now(store).state().base == revisions[1]
    undo(store)
    # Pull 1 is the last that stands, but the base is that of pull 2, whose contents went before.
    assert now(store).state().base == revisions[1]
    assert now(store).at(AssetPath("a")) is None
