"""Pulls that find renames by similar content, over a store and a remote in memory."""

from __future__ import annotations

import pytest

from towline import AssetPath, MemoryRemote, MemoryStore, PullOptions, Renames, pull
from towline.merge import pairs

BASE = b"".join(b"line %d\n" % number for number in range(20))
OURS = BASE.replace(b"line 1\n", b"ours\n")
THEIRS = BASE.replace(b"line 18\n", b"theirs\n")
BOTH = OURS.replace(b"line 18\n", b"theirs\n")


def renamed(theirs: dict[str, bytes], base: dict[str, bytes] | None = None):
    store, remote = MemoryStore("project"), MemoryRemote()
    remote.commit({"other": b"1", **(base or {"a": BASE})})
    pull(store, remote)
    store.put(AssetPath("a"), OURS)
    remote.commit({"other": b"1", **theirs})
    return store, remote


def test_a_rename_that_edits_keeps_the_id_and_the_local_edits():
    store, remote = renamed({"b": THEIRS})
    with store.snapshot() as snapshot:
        known = {record.ours.path: record.id for record in snapshot.records() if record.ours}
    report = pull(store, remote)
    (item,) = report.updated
    assert (item.path, item.renamed_from, item.asset_id) == ("b", "a", known[AssetPath("a")])
    assert item.merged
    assert store.contents()[AssetPath("b")][0] == BOTH
    assert len(report.created + report.deleted) == 0


@pytest.mark.parametrize(
    ("theirs", "base"),
    [
        ({"b": THEIRS, "c": THEIRS + b"c\n"}, None),
        ({"b": THEIRS}, {"a": BASE, "c": BASE + b"c\n"}),
        ({"b": b"nothing of it\n"}, None),
    ],
)
def test_an_ambiguous_or_unlike_content_is_no_rename(theirs, base):
    store, remote = renamed(theirs, base)
    report = pull(store, remote)
    assert [conflict.kind for conflict in report.conflicts] == ["modify/delete"]


def test_exact_turns_similarity_off():
    store, remote = renamed({"b": THEIRS})
    assert pull(store, remote, PullOptions(renames=Renames.EXACT)).status == "conflicts"


@pytest.mark.parametrize(
    ("limit", "value"),
    [("MAX_CANDIDATES", 1), ("MAX_WORK", len(THEIRS)), ("MAX_WORK", 2 * len(THEIRS) + 8)],
)
def test_above_a_limit_nothing_is_compared_and_a_note_says_so(monkeypatch, limit, value):
    store, remote = renamed({"b": THEIRS, "c": b"c"})
    monkeypatch.setattr(pairs, limit, value)
    report = pull(store, remote)
    assert report.status == "conflicts"
    assert [(note.path, "2 new assets" in note.text) for note in report.notes] == [("b", True)]
