"""The contract of entries, changes, scope, contents, history, hostile trees and limits."""

from __future__ import annotations

import pytest

from towline.errors import ContentMissing, InvalidTree, LimitExceeded
from towline.kinds import Kind, Kinds
from towline.limits import Limits
from towline.model import AssetPath, Digest, NonAsset, NonAssetReason
from towline.remotes.trees import EntryMode, FileContent, Submodule, Symlink, TreeEntry, encode_tree
from towline.testing.remote_harness import (
    ALL,
    LIMITS,
    POINTER,
    WATCH,
    RemoteHarness,
    asset_at,
    compare,
    fetch,
    noise,
    raw_tree,
    summary,
)


class TreeContract:
    """The contract of what is read from fetched commits, and of limits."""

    # --- entries --------------------------------------------------------------------------------

    def test_listing_of_assets_and_non_assets(self, harness: RemoteHarness) -> None:
        long = "n" * 256
        files: dict[bytes, FileContent] = {
            b"a.json": b"{}",
            b"bin/run": (b"#!/bin/sh\n", True),
            b"link": Symlink("a.json"),
            b"module": Submodule(),
            b"pointer.json": POINTER,
            b"notes.txt": b"",
            b".hidden.json": b"1",
            b"caf\xe9.json": b"2",
            b"d\xff/x.json": b"3",
            long.encode(): b"4",
            "日本 語/ü:?\"'.json".encode(): b"5",
        }
        remote, (revision,) = harness.fetched(files)
        kinds = Kinds((Kind(name="file", globs=("*.json", "bin/*")),))
        found = remote.listing(revision, kinds, LIMITS, WATCH)
        listed = {
            str(path): entry.reason if isinstance(entry, NonAsset) else entry.size
            for path, entry in found.items()
        }
        assert listed == {
            "a.json": 2,
            "bin/run": 10,
            "link": NonAssetReason.SYMLINK,
            "module": NonAssetReason.SUBMODULE,
            "pointer.json": NonAssetReason.LFS_POINTER,
            "notes.txt": NonAssetReason.OUTSIDE_KINDS,
            ".hidden.json": NonAssetReason.OUTSIDE_KINDS,
            "caf\ufffd.json": NonAssetReason.NAME_NOT_UTF8,
            "d\ufffd/x.json": NonAssetReason.NAME_NOT_UTF8,
            long: NonAssetReason.NAME_TOO_LONG,
            "日本 語/ü:?\"'.json": 1,
        }
        assert asset_at(remote, revision, "bin/run").state.executable
        assert asset_at(remote, revision, "a.json").state.digest == Digest.of(b"{}")
        assert list(found) == sorted(found)

    def test_paths_over_the_limit(self, harness: RemoteHarness) -> None:
        folder = "/".join(["f" * 200] * 5)
        remote, (revision,) = harness.fetched({f"{folder}/{'n' * 19}": b"", f"{folder}/nn": b""})
        found = remote.listing(revision, ALL, LIMITS, WATCH)
        reasons = [entry.reason for entry in found.values() if isinstance(entry, NonAsset)]
        assert len(found) == 2
        assert reasons == []
        found = remote.listing(revision, ALL, Limits(path_bytes=1010), WATCH)
        long = found[AssetPath(f"{folder}/{'n' * 19}")]
        assert isinstance(long, NonAsset)
        assert long.reason is NonAssetReason.NAME_TOO_LONG

    def test_a_broken_name_never_hides_another(self, harness: RemoteHarness) -> None:
        remote, (base, revision) = harness.fetched(
            {b"a\xff": b"1", "a\ufffd".encode(): b"2"}, {"a\ufffd".encode(): b"2"}
        )
        assert len(remote.listing(base, ALL, LIMITS, WATCH)) == 2
        assert asset_at(remote, base, "a\ufffd").size == 1
        assert [item.path for item in compare(remote, base, revision).items] != ["a\ufffd"]

    # --- changes --------------------------------------------------------------------------------

    def test_changes_of_every_sort(self, harness: RemoteHarness) -> None:
        old: dict[str, FileContent] = {
            "edited": b"1",
            "gone": b"1",
            "mode": b"1",
            "linked": b"1",
            "unlinked": Symlink("edited"),
            "retargeted": Symlink("edited"),
            "same": b"1",
            "file": b"1",
            "folder/x": b"1",
            "other/x": b"1",
            "pointed": b"1" * 100,
        }
        new: dict[str, FileContent] = {
            "edited": b"22",
            "new": b"333",
            "mode": (b"1", True),
            "linked": Symlink("edited"),
            "unlinked": b"1",
            "retargeted": Symlink("new"),
            "same": b"1",
            "file/y": b"4444",
            "folder": b"1",
            "other/x": b"1",
            "pointed": POINTER,
        }
        remote, (base, revision) = harness.fetched(old, new)
        found = compare(remote, base, revision)
        assert (found.base, found.revision, found.history_rewritten) == (base, revision, False)
        assert summary(found) == {
            "edited": ("1", "2"),
            "file": ("1", "-"),
            "file/y": ("-", "4"),
            "folder": ("-", "1"),
            "folder/x": ("1", "-"),
            "gone": ("1", "-"),
            "linked": ("1", "symlink"),
            "mode": ("1", "1x"),
            "new": ("-", "3"),
            "pointed": ("100", "lfs_pointer"),
            "retargeted": ("symlink", "symlink"),
            "unlinked": ("symlink", "1"),
        }
        paths = [item.path for item in found.items]
        assert paths == sorted(paths)

    def test_changes_backwards(self, harness: RemoteHarness) -> None:
        remote, (base, revision) = harness.fetched({"a": b"1", "b/c": b"2"}, {"a": b"3"})
        there, back = compare(remote, base, revision), compare(remote, revision, base)
        assert [(c.path, c.before, c.after) for c in there.items] == [
            (c.path, c.after, c.before) for c in back.items
        ]

    def test_the_kinds_of_the_caller_apply(self, harness: RemoteHarness) -> None:
        remote, (base, revision) = harness.fetched({"a.txt": b"1"}, {"a.txt": b"2"})
        kinds = Kinds((Kind(name="rule", globs=("*.json",)),))
        found = compare(remote, base, revision, kinds)
        assert summary(found) == {"a.txt": ("outside_kinds", "outside_kinds")}

    # --- scope ----------------------------------------------------------------------------------

    def test_paths_are_relative_to_the_scope(self, harness: RemoteHarness) -> None:
        remote, (base, revision) = harness.fetched(
            {"top": b"1", "in/side/a": b"1", "in/side/d/b": b"1"},
            {"top": b"2", "in/side/a": b"2", "in/side/d/b": b"1"},
            scope="in/side",
        )
        assert remote.scope == "in/side"
        assert list(remote.listing(base, ALL, LIMITS, WATCH)) == ["a", "d/b"]
        assert summary(compare(remote, base, revision)) == {"a": ("1", "1")}

    def test_a_missing_scope_is_empty(self, harness: RemoteHarness) -> None:
        remote, (base, revision) = harness.fetched(
            {"in": b"a file", "a": b"1"}, {"in/a": b"1", "a": b"1"}, scope="in"
        )
        assert remote.listing(base, ALL, LIMITS, WATCH) == {}
        assert summary(compare(remote, base, revision)) == {"a": ("-", "1")}
        assert summary(compare(remote, revision, base)) == {"a": ("1", "-")}

    def test_nothing_outside_the_scope_is_read(self, harness: RemoteHarness) -> None:
        remote, (base, revision) = harness.fetched(
            {"in/a": b"1", "out/a": b"1"}, {"in/a": b"1", "out/a": b"2"}, scope="in"
        )
        assert compare(remote, base, revision).items == ()
        assert remote.traffic.trees_read == 2, "the two root trees"

    def test_a_deep_scope_is_read_until_it_is_equal(self, harness: RemoteHarness) -> None:
        remote, (base, revision) = harness.fetched(
            {"in/the/deep/a": b"1", "out/a": b"1"},
            {"in/the/deep/a": b"1", "out/a": b"2"},
            scope="in/the/deep",
        )
        assert compare(remote, base, revision).items == ()
        assert remote.traffic.trees_read == 2, "the two root trees"

    # --- contents -------------------------------------------------------------------------------

    def test_each_content_is_returned_once(self, harness: RemoteHarness) -> None:
        contents = [b"", b"1", bytes(range(256)), b"\r\n" * 3]
        remote, _ = harness.fetched({str(n): content for n, content in enumerate(contents)})
        digests = [Digest.of(content) for content in contents]
        found = list(remote.contents([*digests, *digests]))
        assert len(found) == len(contents)
        assert dict(found) == dict(zip(digests, contents, strict=True))

    def test_missing_contents(self, harness: RemoteHarness) -> None:
        remote, _ = harness.fetched({"a": b"1"})
        with pytest.raises(ContentMissing) as caught:
            list(remote.contents([Digest.of(b"1"), Digest.of(b"never")]))
        assert caught.value.digests == (Digest.of(b"never"),)

    # --- history --------------------------------------------------------------------------------

    def test_history_that_grows_is_not_rewritten(self, harness: RemoteHarness) -> None:
        commits = [harness.repository.commit({"a": b"%d" % n}) for n in range(4)]
        remote, _ = harness.fetched()
        assert remote.rewritten(commits[0], commits[3]) is False
        assert remote.rewritten(commits[3], commits[3]) is False

    def test_a_merge_has_both_histories(self, harness: RemoteHarness) -> None:
        root = harness.repository.commit({"a": b"1"})
        left = harness.repository.commit({"a": b"2"})
        right = harness.repository.commit({"b": b"3"}, parents=[root], ref="side")
        merge = harness.repository.commit({"a": b"2", "b": b"3"}, parents=[left, right])
        remote, _ = harness.fetched()
        assert remote.rewritten(right, merge) is False
        assert remote.rewritten(left, right) is True

    def test_a_rewritten_branch_is_compared_with_the_old_base(self, harness: RemoteHarness) -> None:
        remote, (root, base) = harness.fetched({"a": b"1"}, {"a": b"2"})
        revision = harness.repository.commit({"a": b"3333"}, parents=[root])
        assert fetch(remote) == revision
        assert remote.has(base)
        assert remote.rewritten(base, revision) is True
        found = compare(remote, base, revision)
        assert summary(found) == {"a": ("1", "4")}
        assert found.history_rewritten is True

    def test_a_base_that_is_gone_is_rewritten(self, harness: RemoteHarness) -> None:
        root = harness.repository.commit({"a": b"1"})
        base = harness.repository.commit({"a": b"2"})
        revision = harness.repository.commit({"a": b"3"}, parents=[root])
        remote, _ = harness.fetched()
        assert not remote.has(base), "it is on no branch any more"
        assert remote.rewritten(base, revision) is True

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
        remote, _ = harness.fetched()
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
            remote, _ = harness.fetched()
            with pytest.raises(InvalidTree, match="twice"):
                compare(remote, base, revision)

    # --- limits ---------------------------------------------------------------------------------

    def test_too_many_entries(self, harness: RemoteHarness) -> None:
        remote, (revision,) = harness.fetched({f"d{n % 3}/{n}": b"" for n in range(30)})
        with pytest.raises(LimitExceeded) as caught:
            remote.listing(revision, ALL, Limits(tree_entries=29), WATCH)
        assert (caught.value.limit, caught.value.allowed) == ("tree_entries", 29)
        # Folders are counted apart, against the same limit.
        assert len(remote.listing(revision, ALL, Limits(tree_entries=30), WATCH)) == 30

    def test_too_many_folders(self, harness: RemoteHarness) -> None:
        remote, (revision,) = harness.fetched({"a/b/c/d": b""})
        with pytest.raises(LimitExceeded, match="tree_entries"):
            remote.listing(revision, ALL, Limits(tree_entries=2), WATCH)

    def test_all_broken_limits_are_in_one_error(self, harness: RemoteHarness) -> None:
        base = harness.repository.commit({"a": b"1"})
        files = {"a": b"1", "b": b"22", "c": b"333", "d/e/f": b"1"}
        remote, (revision,) = harness.fetched(files)
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
        remote, (revision,) = harness.fetched({"a/b/c/d": b""})
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
        remote, _ = harness.fetched()
        with pytest.raises(LimitExceeded, match="tree_entries"):
            remote.listing(revision, ALL, Limits(tree_entries=1000), WATCH)

    def test_a_large_asset_is_refused_before_it_is_read(self, harness: RemoteHarness) -> None:
        remote, (base, revision) = harness.fetched(
            {"d/small": b"1"}, {"d/small": b"1", "d/large": b"2" * 1001}
        )
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
        remote, (revision,) = harness.fetched({"a.json": b"1", "film.mp4": b"2" * 5000})
        kinds = Kinds((Kind(name="file", globs=("*.json",)),))
        assert len(remote.listing(revision, kinds, Limits(asset_bytes=1000), WATCH)) == 2

    def test_a_pack_above_the_limit(self, harness: RemoteHarness) -> None:
        harness.repository.commit(noise(50, 1000))
        remote = harness.open()
        with pytest.raises(LimitExceeded) as caught:
            remote.fetch(None, Limits(pack_bytes=20_000), WATCH)
        assert caught.value.limit == "pack_bytes"
        assert fetch(remote), "and a later fetch succeeds"
