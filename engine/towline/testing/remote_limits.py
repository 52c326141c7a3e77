"""The contract of hostile trees and of limits."""

from __future__ import annotations

import pytest

from towline.errors import InvalidTree, LimitExceeded
from towline.kinds import Kind, Kinds
from towline.limits import Limits
from towline.remotes.trees import EntryMode, TreeEntry, encode_tree
from towline.testing.remote_harness import (
    ALL,
    LIMITS,
    WATCH,
    RemoteHarness,
    compare,
    fetch,
    noise,
    raw_tree,
)


class LimitContract:
    """The contract of hostile trees and of limits."""

    # --- hostile trees --------------------------------------------------------------------------

    def test_all_hostile_names_are_reported(self, harness: RemoteHarness) -> None:
        put = harness.repository.put
        blob = put("blob", b"1")
        inner = put("tree", raw_tree((b"100644", b"..", blob), (b"100644", b"x\\y", blob)))
        outer = put(
            "tree",
            raw_tree(
                (b"100644", b".GIT", blob),
                (b"100644", b".towline", blob),
                (b"100644", b"a\x07", blob),
                (b"100644", b"fine", blob),
                (b"40000", b"inner", inner),
            ),
        )
        revision = harness.repository.commit_tree(outer)
        remote = harness.open()
        fetch(remote)
        with pytest.raises(InvalidTree) as caught:
            remote.listing(revision, ALL, LIMITS, WATCH)
        assert len(caught.value.problems) == 5
        text = "\n".join(caught.value.problems)
        for name in (".GIT", ".towline", "a\x07", "..", "x\\y"):
            assert repr(name) in text
        assert "'inner'" in text, "the folder of the inner ones"
        assert "fine" not in text

    def test_duplicates_are_refused(self, harness: RemoteHarness) -> None:
        put = harness.repository.put
        blob, other = put("blob", b"1"), put("blob", b"2")
        base = harness.repository.commit({"a": b"1"})
        folder = put("tree", raw_tree((b"100644", b"x", blob)))
        for entries in (
            ((b"100644", b"a", blob), (b"100644", b"a", other)),
            ((b"100644", b"a", blob), (b"100644", b"a.b", other), (b"40000", b"a", folder)),
        ):
            revision = harness.repository.commit_tree(put("tree", raw_tree(*entries)))
            remote = harness.open()
            fetch(remote)
            with pytest.raises(InvalidTree, match="twice"):
                compare(remote, base, revision)

    # --- limits ---------------------------------------------------------------------------------

    def test_too_many_entries(self, harness: RemoteHarness) -> None:
        revision = harness.repository.commit({f"d{n % 3}/{n}": b"" for n in range(30)})
        remote = harness.open()
        fetch(remote)
        with pytest.raises(LimitExceeded) as caught:
            remote.listing(revision, ALL, Limits(tree_entries=29), WATCH)
        assert (caught.value.limit, caught.value.allowed) == ("tree_entries", 29)
        # Folders are counted apart, against the same limit.
        assert len(remote.listing(revision, ALL, Limits(tree_entries=30), WATCH)) == 30

    def test_too_many_folders(self, harness: RemoteHarness) -> None:
        revision = harness.repository.commit({"a/b/c/d": b""})
        remote = harness.open()
        fetch(remote)
        with pytest.raises(LimitExceeded, match="tree_entries"):
            remote.listing(revision, ALL, Limits(tree_entries=2), WATCH)

    def test_all_broken_limits_are_in_one_error(self, harness: RemoteHarness) -> None:
        base = harness.repository.commit({"a": b"1"})
        files = {"a": b"1", "b": b"22", "c": b"333", "d/e/f": b"1"}
        revision = harness.repository.commit(files)
        remote = harness.open()
        fetch(remote)
        limits = Limits(asset_bytes=1, depth=2, assets=2, project_bytes=5)
        with pytest.raises(LimitExceeded) as caught:
            remote.listing(revision, ALL, limits, WATCH)
        assert {each.limit: (each.found, each.count) for each in caught.value.broken} == {
            "assets": (3, 1),
            "asset_bytes": (3, 2),
            "depth": (3, 1),
            "project_bytes": (6, 1),
        }
        assert caught.value.code == "asset_limit_exceeded"
        with pytest.raises(LimitExceeded) as caught:
            remote.changes(base, revision, ALL, limits, WATCH)
        assert [each.limit for each in caught.value.broken] == ["asset_bytes", "depth"]

    def test_too_deep(self, harness: RemoteHarness) -> None:
        revision = harness.repository.commit({"a/b/c/d": b""})
        remote = harness.open()
        fetch(remote)
        assert len(remote.listing(revision, ALL, Limits(depth=4), WATCH)) == 1
        with pytest.raises(LimitExceeded) as caught:
            remote.listing(revision, ALL, Limits(depth=3), WATCH)
        assert (caught.value.limit, caught.value.subject) == ("depth", "a/b/c/d")

    def test_a_tree_that_refers_to_itself_in_width(self, harness: RemoteHarness) -> None:
        oid, mode = harness.repository.put("blob", b""), EntryMode.FILE
        for _ in range(30):  # 2**30 files, in 31 objects
            pair = [TreeEntry(name, mode, oid) for name in (b"a", b"b")]
            oid, mode = harness.repository.put("tree", encode_tree(pair)), EntryMode.TREE
        revision = harness.repository.commit_tree(oid)
        remote = harness.open()
        fetch(remote)
        with pytest.raises(LimitExceeded, match="tree_entries"):
            remote.listing(revision, ALL, Limits(tree_entries=1000), WATCH)

    def test_a_large_asset_is_refused_before_it_is_read(self, harness: RemoteHarness) -> None:
        base = harness.repository.commit({"d/small": b"1"})
        revision = harness.repository.commit({"d/small": b"1", "d/large": b"2" * 1001})
        remote = harness.open()
        fetch(remote)
        limits = Limits(asset_bytes=1000)
        for attempt in (
            lambda: remote.changes(base, revision, ALL, limits, WATCH),
            lambda: remote.listing(revision, ALL, limits, WATCH),
        ):
            with pytest.raises(LimitExceeded) as caught:
                attempt()
            assert (caught.value.limit, caught.value.found) == ("asset_bytes", 1001)
            assert caught.value.subject == "d/large"
        assert remote.traffic.blobs_read == 0

    def test_a_non_asset_may_be_large(self, harness: RemoteHarness) -> None:
        revision = harness.repository.commit({"a.json": b"1", "film.mp4": b"2" * 5000})
        remote = harness.open()
        fetch(remote)
        kinds = Kinds((Kind(name="file", globs=("*.json",)),))
        assert len(remote.listing(revision, kinds, Limits(asset_bytes=1000), WATCH)) == 2

    def test_a_pack_above_the_limit(self, harness: RemoteHarness) -> None:
        harness.repository.commit(noise(50, 1000))
        remote = harness.open()
        with pytest.raises(LimitExceeded) as caught:
            remote.fetch(None, Limits(pack_bytes=20_000), WATCH)
        assert caught.value.limit == "pack_bytes"
        assert fetch(remote), "and a later fetch succeeds"
