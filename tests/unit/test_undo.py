"""What undoing returns: all of it for the last pull, contents alone for an older one."""

from __future__ import annotations

from towline import AssetPath, MemoryRemote, MemoryStore, pull, undo
from towline.testing.plans import now


def test_the_last_pull_that_is_not_undone_is_not_the_last_of_all():
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
    # Pull 1 is the last one not undone, but the base is that of pull 2, whose contents went first.
    assert now(store).state().base == revisions[1]
    assert now(store).at(AssetPath("a")) is None


def test_what_was_here_before_the_pull_and_deleted_since_is_gone():
    remote, store = MemoryRemote(), MemoryStore("project")
    remote.commit({"a": b"1", "b": b"2"})
    path = AssetPath("a")
    store.put(path, b"1")
    pull(store, remote)
    with store.snapshot() as snapshot:
        record = snapshot.at(path)
    assert record is not None
    store.delete(record.id)
    undo(store)
    with store.snapshot() as snapshot:
        assert list(snapshot.records()) == []
