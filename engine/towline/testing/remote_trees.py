"""The contract of entries, changes, scope, contents and history."""

from __future__ import annotations

import pytest

from towline.errors import ContentMissing
from towline.kinds import Kind, Kinds
from towline.limits import Limits
from towline.model import AssetPath, Digest, NonAsset, NonAssetReason
from towline.remotes.trees import FileContent, Submodule, Symlink
from towline.testing.remote_harness import (
    ALL,
    LIMITS,
    POINTER,
    WATCH,
    RemoteHarness,
    asset_at,
    compare,
    fetch,
    summary,
)


class TreeContract:
    """The contract of entries, changes, scope, contents and history."""

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
        revision = harness.repository.commit(files)
        remote = harness.open()
        fetch(remote)
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
        revision = harness.repository.commit({f"{folder}/{'n' * 19}": b"", f"{folder}/nn": b""})
        remote = harness.open()
        fetch(remote)
        found = remote.listing(revision, ALL, LIMITS, WATCH)
        reasons = [entry.reason for entry in found.values() if isinstance(entry, NonAsset)]
        assert len(found) == 2
        assert reasons == []
        found = remote.listing(revision, ALL, Limits(path_bytes=1010), WATCH)
        long = found[AssetPath(f"{folder}/{'n' * 19}")]
        assert isinstance(long, NonAsset)
        assert long.reason is NonAssetReason.NAME_TOO_LONG

    def test_a_broken_name_never_hides_another(self, harness: RemoteHarness) -> None:
        base = harness.repository.commit({b"a\xff": b"1", "a\ufffd".encode(): b"2"})
        revision = harness.repository.commit({"a\ufffd".encode(): b"2"})
        remote = harness.open()
        fetch(remote)
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
        base = harness.repository.commit(old)
        revision = harness.repository.commit(new)
        remote = harness.open()
        fetch(remote)
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
        base = harness.repository.commit({"a": b"1", "b/c": b"2"})
        revision = harness.repository.commit({"a": b"3"})
        remote = harness.open()
        fetch(remote)
        there, back = compare(remote, base, revision), compare(remote, revision, base)
        assert [(c.path, c.before, c.after) for c in there.items] == [
            (c.path, c.after, c.before) for c in back.items
        ]

    def test_the_kinds_of_the_caller_apply(self, harness: RemoteHarness) -> None:
        base = harness.repository.commit({"a.txt": b"1"})
        revision = harness.repository.commit({"a.txt": b"2"})
        remote = harness.open()
        fetch(remote)
        kinds = Kinds((Kind(name="rule", globs=("*.json",)),))
        found = compare(remote, base, revision, kinds)
        assert summary(found) == {"a.txt": ("outside_kinds", "outside_kinds")}

    # --- scope ----------------------------------------------------------------------------------

    def test_paths_are_relative_to_the_scope(self, harness: RemoteHarness) -> None:
        base = harness.repository.commit({"top": b"1", "in/side/a": b"1", "in/side/d/b": b"1"})
        revision = harness.repository.commit({"top": b"2", "in/side/a": b"2", "in/side/d/b": b"1"})
        remote = harness.open(scope="in/side")
        fetch(remote)
        assert remote.scope == "in/side"
        assert list(remote.listing(base, ALL, LIMITS, WATCH)) == ["a", "d/b"]
        assert summary(compare(remote, base, revision)) == {"a": ("1", "1")}

    def test_a_missing_scope_is_empty(self, harness: RemoteHarness) -> None:
        base = harness.repository.commit({"in": b"a file", "a": b"1"})
        revision = harness.repository.commit({"in/a": b"1", "a": b"1"})
        remote = harness.open(scope="in")
        fetch(remote)
        assert remote.listing(base, ALL, LIMITS, WATCH) == {}
        assert summary(compare(remote, base, revision)) == {"a": ("-", "1")}
        assert summary(compare(remote, revision, base)) == {"a": ("1", "-")}

    def test_nothing_outside_the_scope_is_read(self, harness: RemoteHarness) -> None:
        base = harness.repository.commit({"in/a": b"1", "out/a": b"1"})
        revision = harness.repository.commit({"in/a": b"1", "out/a": b"2"})
        remote = harness.open(scope="in")
        fetch(remote)
        assert compare(remote, base, revision).items == ()
        assert remote.traffic.trees_read == 2, "the two root trees"

    def test_a_deep_scope_is_read_until_it_is_equal(self, harness: RemoteHarness) -> None:
        base = harness.repository.commit({"in/the/deep/a": b"1", "out/a": b"1"})
        revision = harness.repository.commit({"in/the/deep/a": b"1", "out/a": b"2"})
        remote = harness.open(scope="in/the/deep")
        fetch(remote)
        assert compare(remote, base, revision).items == ()
        assert remote.traffic.trees_read == 2, "the two root trees"

    # --- contents -------------------------------------------------------------------------------

    def test_each_content_is_returned_once(self, harness: RemoteHarness) -> None:
        contents = [b"", b"1", bytes(range(256)), b"\r\n" * 3]
        harness.repository.commit({str(n): content for n, content in enumerate(contents)})
        remote = harness.open()
        fetch(remote)
        digests = [Digest.of(content) for content in contents]
        found = list(remote.contents([*digests, *digests]))
        assert len(found) == len(contents)
        assert dict(found) == dict(zip(digests, contents, strict=True))

    def test_missing_contents(self, harness: RemoteHarness) -> None:
        harness.repository.commit({"a": b"1"})
        remote = harness.open()
        fetch(remote)
        with pytest.raises(ContentMissing) as caught:
            list(remote.contents([Digest.of(b"1"), Digest.of(b"never")]))
        assert caught.value.digests == (Digest.of(b"never"),)

    # --- history --------------------------------------------------------------------------------

    def test_history_that_grows_is_not_rewritten(self, harness: RemoteHarness) -> None:
        commits = [harness.repository.commit({"a": b"%d" % n}) for n in range(4)]
        remote = harness.open()
        fetch(remote)
        assert remote.rewritten(commits[0], commits[3]) is False
        assert remote.rewritten(commits[3], commits[3]) is False

    def test_a_merge_has_both_histories(self, harness: RemoteHarness) -> None:
        root = harness.repository.commit({"a": b"1"})
        left = harness.repository.commit({"a": b"2"})
        right = harness.repository.commit({"b": b"3"}, parents=[root], ref="side")
        merge = harness.repository.commit({"a": b"2", "b": b"3"}, parents=[left, right])
        remote = harness.open()
        fetch(remote)
        assert remote.rewritten(right, merge) is False
        assert remote.rewritten(left, right) is True

    def test_a_rewritten_branch_is_compared_with_the_old_base(self, harness: RemoteHarness) -> None:
        root = harness.repository.commit({"a": b"1"})
        base = harness.repository.commit({"a": b"2"})
        remote = harness.open()
        fetch(remote)
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
        remote = harness.open()
        fetch(remote)
        assert not remote.has(base), "it is on no branch any more"
        assert remote.rewritten(base, revision) is True
