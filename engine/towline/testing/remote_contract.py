"""The contract suite of the `Remote` port: what holds for every remote, counters included.

Subclass `RemoteContract` in a test module, and give it a fixture named ``harness``:

    class TestMyRemote(RemoteContract):
        @pytest.fixture
        def harness(self, tmp_path):
            return RemoteHarness(repository=..., opener=...)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from threading import Event
from typing import Protocol

import pytest

from towline.changes import Changes, RemoteAsset, RemoteEntry
from towline.errors import (
    Cancelled,
    ContentMissing,
    EmptyRepository,
    InvalidTree,
    LimitExceeded,
    RefNotFound,
)
from towline.kinds import Kind, Kinds
from towline.limits import Limits
from towline.model import AssetPath, Digest, NonAsset, NonAssetReason, Revision
from towline.ports import Phase, Remote, Watch
from towline.remotes.tree_files import FileContent, Files, Submodule, Symlink
from towline.remotes.trees import EntryMode, TreeEntry, encode_tree

ALL = Kinds(hidden=True)
LIMITS = Limits()
WATCH = Watch()
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 12345\n" % (b"a" * 64)


class Repository(Protocol):
    """What a test does to the repository behind a remote.

    `towline.remotes.MemoryRepository` and `towline.testing.git_repository.GitRepository` do.
    """

    def put(self, kind: str, content: bytes) -> str:
        """Have an object of a type; its id."""
        ...

    def commit(
        self, files: Files, *, ref: str = "main", parents: Sequence[Revision] | None = None
    ) -> Revision:
        """Commit files and move a branch to it, by default on top of that branch."""
        ...

    def commit_tree(
        self, tree: str, *, ref: str = "main", parents: Sequence[Revision] | None = None
    ) -> Revision:
        """Commit a root tree that was put."""
        ...

    def set_ref(self, ref: str, oid: Revision | None) -> None:
        """Move a branch, or remove it."""
        ...


@dataclass
class RemoteHarness:
    """An empty repository, and how to open remotes over it.

    ``opener`` takes ref and scope and gives a remote whose cache is empty. ``lose`` makes what a
    remote has fetched vanish behind its back; None where nothing can.
    """

    repository: Repository
    opener: Callable[[str, str], Remote]
    lose: Callable[[Remote], None] | None = None
    requests: Callable[[], int] | None = None
    """How many HTTP requests the server has seen; None where it is not spoken to over HTTP."""

    def open(self, ref: str = "main", scope: str = "") -> Remote:
        """A remote with an empty cache."""
        return self.opener(ref, scope)


@dataclass
class _Recorder:
    seen: list[tuple[Phase, int, int | None]] = field(default_factory=list)

    def __call__(self, phase: Phase, done: int, total: int | None) -> None:
        self.seen.append((phase, done, total))


def _fetched(remote: Remote, revision: Revision | None = None) -> Revision:
    return remote.fetch(revision, LIMITS, WATCH)


def _resolved(remote: Remote) -> Revision:
    return remote.resolve(LIMITS, WATCH)


def _changes(remote: Remote, base: Revision, revision: Revision, kinds: Kinds = ALL) -> Changes:
    return remote.changes(base, revision, kinds, LIMITS, WATCH)


def _told(changes: Changes) -> dict[str, tuple[str, str]]:
    return {item.path: (_side(item.before), _side(item.after)) for item in changes.items}


def _side(entry: RemoteEntry | None) -> str:
    match entry:
        case None:
            return "-"
        case NonAsset(reason=reason):
            return reason.value
        case RemoteAsset(state=state, size=size):
            return f"{size}{'x' if state.executable else ''}"


def _asset(remote: Remote, revision: Revision, path: str) -> RemoteAsset:
    entry = remote.listing(revision, ALL, LIMITS, WATCH)[AssetPath(path)]
    assert isinstance(entry, RemoteAsset)
    return entry


def _noise(count: int, size: int, seed: int = 0) -> dict[str, bytes]:
    chance = Random(seed)  # noqa: S311 - bytes that do not compress, no secret
    return {f"{number % 10}/{number}": chance.randbytes(size) for number in range(count)}


class RemoteContract:
    """What every remote promises."""

    # --- refs and fetching --------------------------------------------------------------------

    def test_resolve_tells_the_tip_and_fetches_nothing(self, harness: RemoteHarness) -> None:
        harness.repository.commit({"a": b"1"})
        tip = harness.repository.commit({"a": b"2"})
        remote = harness.open()
        assert remote.resolve(LIMITS, WATCH) == tip
        assert not remote.has(tip)

    def test_fetch_brings_the_tip(self, harness: RemoteHarness) -> None:
        base = harness.repository.commit({"a": b"1"})
        tip = harness.repository.commit({"a": b"2"})
        remote = harness.open()
        assert not remote.has(tip)
        assert _fetched(remote) == tip
        assert remote.has(tip)
        assert remote.has(base), "with its history"

    def test_fetch_brings_the_revision_that_is_named(self, harness: RemoteHarness) -> None:
        base = harness.repository.commit({"a": b"1"})
        harness.repository.commit({"a": b"2"})
        remote = harness.open()
        assert _fetched(remote, base) == base
        assert list(remote.listing(base, ALL, LIMITS, WATCH)) == ["a"]

    def test_fetch_follows_the_branch(self, harness: RemoteHarness) -> None:
        first = harness.repository.commit({"a": b"1"})
        remote = harness.open()
        assert _fetched(remote) == first
        second = harness.repository.commit({"a": b"2"})
        assert _fetched(remote) == second
        assert remote.has(first)

    def test_branches_are_told_apart(self, harness: RemoteHarness) -> None:
        one = harness.repository.commit({"a": b"1"}, ref="main")
        two = harness.repository.commit({"a": b"2"}, ref="main2")
        assert _fetched(harness.open("main")) == one
        assert _fetched(harness.open("main2")) == two

    def test_a_missing_branch(self, harness: RemoteHarness) -> None:
        harness.repository.commit({"a": b"1"}, ref="other")
        remote = harness.open("main")
        for ask in (_resolved, _fetched):
            with pytest.raises(RefNotFound) as caught:
                ask(remote)
            assert not isinstance(caught.value, EmptyRepository)
            assert caught.value.ref == "main"

    def test_an_empty_repository(self, harness: RemoteHarness) -> None:
        remote = harness.open()
        with pytest.raises(EmptyRepository):
            remote.resolve(LIMITS, WATCH)
        with pytest.raises(EmptyRepository):
            _fetched(remote)

    def test_a_removed_branch(self, harness: RemoteHarness) -> None:
        tip = harness.repository.commit({"a": b"1"})
        harness.repository.commit({"a": b"1"}, ref="other")
        remote = harness.open()
        _fetched(remote)
        harness.repository.set_ref("main", None)
        with pytest.raises(RefNotFound):
            _fetched(remote)
        assert remote.has(tip), "an error takes nothing away"

    def test_an_unknown_revision(self, harness: RemoteHarness) -> None:
        harness.repository.commit({"a": b"1"})
        remote = harness.open()
        unknown = Revision("1" * 40)
        assert not remote.has(unknown)
        with pytest.raises(RefNotFound) as caught:
            _fetched(remote, unknown)
        assert caught.value.ref == unknown

    def test_what_was_never_fetched_cannot_be_compared(self, harness: RemoteHarness) -> None:
        base = harness.repository.commit({"a": b"1"})
        remote = harness.open()
        _fetched(remote)
        with pytest.raises(ContentMissing):
            _changes(remote, Revision("1" * 40), base)

    # --- costs --------------------------------------------------------------------------------

    def test_fetching_what_is_here_costs_nothing(self, harness: RemoteHarness) -> None:
        tip = harness.repository.commit({"a": b"1"})
        remote = harness.open()
        _fetched(remote)
        requests, down = remote.traffic.requests, remote.traffic.bytes_down
        seen = harness.requests() if harness.requests is not None else 0
        assert _fetched(remote, tip) == tip
        assert (remote.traffic.requests, remote.traffic.bytes_down) == (requests, down)
        assert harness.requests is None or harness.requests() == seen

    def test_requests(self, harness: RemoteHarness) -> None:
        if harness.requests is None:
            return
        harness.repository.commit(_noise(20, 100))
        remote = harness.open()
        counts = []
        for act in (_fetched, _fetched, _resolved):
            before = harness.requests()
            act(remote)
            counts.append(harness.requests() - before)
        fetch, noop, resolve = counts
        assert fetch <= 3
        assert noop <= 2
        assert resolve <= 2
        harness.repository.commit(_noise(20, 100, seed=1))
        before = harness.requests()
        _fetched(remote)
        assert harness.requests() - before <= 3

    def test_a_second_fetch_brings_what_is_new(self, harness: RemoteHarness) -> None:
        files = _noise(50, 1000)
        harness.repository.commit(files)
        remote = harness.open()
        _fetched(remote)
        first = remote.traffic.bytes_down
        assert first > 40_000
        harness.repository.commit({**files, "0/0": b"new"})
        _fetched(remote)
        assert 0 < remote.traffic.bytes_down - first < first / 10

    def test_a_rewritten_branch_brings_what_is_new(self, harness: RemoteHarness) -> None:
        files = _noise(50, 1000)
        root = harness.repository.commit(files)
        harness.repository.commit({**files, "0/0": b"1"})
        remote = harness.open()
        _fetched(remote)
        first = remote.traffic.bytes_down
        harness.repository.commit({**files, "0/0": b"2"}, parents=[root])
        _fetched(remote)
        assert remote.traffic.bytes_down - first < first / 10

    @pytest.mark.parametrize("size", [1_000, 10_000])
    def test_trees_read_follow_the_change(self, harness: RemoteHarness, size: int) -> None:
        files = {f"{n % 100}/{n // 100 % 10}/{n}": b"%d" % n for n in range(size)}
        base = harness.repository.commit(files)
        files |= {"7/0/7": b"new", "7/0/107": b"new", "9/1/109": b"x" * 2000}
        revision = harness.repository.commit(files)
        remote = harness.open()
        _fetched(remote)
        found = _changes(remote, base, revision)
        assert len(found.items) == 3
        touched = {"", "7", "7/0", "9", "9/1"}
        assert remote.traffic.trees_read <= 2 * len(touched)
        wanted = [Digest.of(files[item.path]) for item in found.items]
        assert len(dict(remote.contents(wanted))) == 2, "two of them are of one content"
        assert remote.traffic.blobs_read == 2

    def test_nothing_is_read_for_equal_trees(self, harness: RemoteHarness) -> None:
        base = harness.repository.commit({"a/b": b"1"})
        revision = harness.repository.commit({"a/b": b"1"})
        remote = harness.open()
        _fetched(remote)
        assert _changes(remote, base, revision).items == ()
        assert (remote.traffic.trees_read, remote.traffic.blobs_read) == (0, 0)

    def test_pointer_checks_are_read_once(self, harness: RemoteHarness) -> None:
        contents = {f"{n}.json": b"%d" % n * 100 for n in range(5)}
        base = harness.repository.commit({"keep": b"1"})
        revision = harness.repository.commit({"keep": b"1", **contents})
        remote = harness.open()
        _fetched(remote)
        _changes(remote, base, revision)
        digests = [Digest.of(content) for content in contents.values()]
        assert dict(remote.contents(digests)) == {Digest.of(c): c for c in contents.values()}
        assert remote.traffic.blobs_read == 5

    def test_the_old_content_is_never_read(self, harness: RemoteHarness) -> None:
        base = harness.repository.commit({"a": b"1" * 100, "b": POINTER})
        revision = harness.repository.commit({"c": b"2"})
        remote = harness.open()
        _fetched(remote)
        assert len(_changes(remote, base, revision).items) == 3
        assert remote.traffic.blobs_read == 0

    # --- what entries are ---------------------------------------------------------------------

    def test_listing_tells_assets_from_others(self, harness: RemoteHarness) -> None:
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
        _fetched(remote)
        kinds = Kinds((Kind(name="file", globs=("*.json", "bin/*")),))
        found = remote.listing(revision, kinds, LIMITS, WATCH)
        told = {
            str(path): entry.reason if isinstance(entry, NonAsset) else entry.size
            for path, entry in found.items()
        }
        assert told == {
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
        assert _asset(remote, revision, "bin/run").state.executable
        assert _asset(remote, revision, "a.json").state.digest == Digest.of(b"{}")
        assert list(found) == sorted(found)

    def test_paths_over_the_limit(self, harness: RemoteHarness) -> None:
        folder = "/".join(["f" * 200] * 5)
        revision = harness.repository.commit({f"{folder}/{'n' * 19}": b"", f"{folder}/nn": b""})
        remote = harness.open()
        _fetched(remote)
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
        _fetched(remote)
        assert len(remote.listing(base, ALL, LIMITS, WATCH)) == 2
        assert _asset(remote, base, "a\ufffd").size == 1
        assert [item.path for item in _changes(remote, base, revision).items] != ["a\ufffd"]

    # --- changes ------------------------------------------------------------------------------

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
            "kept/x": b"1",
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
            "kept/x": b"1",
            "pointed": POINTER,
        }
        base = harness.repository.commit(old)
        revision = harness.repository.commit(new)
        remote = harness.open()
        _fetched(remote)
        found = _changes(remote, base, revision)
        assert (found.base, found.revision, found.history_rewritten) == (base, revision, False)
        assert _told(found) == {
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
        _fetched(remote)
        there, back = _changes(remote, base, revision), _changes(remote, revision, base)
        assert [(c.path, c.before, c.after) for c in there.items] == [
            (c.path, c.after, c.before) for c in back.items
        ]

    def test_the_kinds_of_the_caller_count(self, harness: RemoteHarness) -> None:
        base = harness.repository.commit({"a.txt": b"1"})
        revision = harness.repository.commit({"a.txt": b"2"})
        remote = harness.open()
        _fetched(remote)
        kinds = Kinds((Kind(name="rule", globs=("*.json",)),))
        found = _changes(remote, base, revision, kinds)
        assert _told(found) == {"a.txt": ("outside_kinds", "outside_kinds")}

    # --- scope --------------------------------------------------------------------------------

    def test_a_scope_is_a_project_of_its_own(self, harness: RemoteHarness) -> None:
        base = harness.repository.commit({"top": b"1", "in/side/a": b"1", "in/side/d/b": b"1"})
        revision = harness.repository.commit({"top": b"2", "in/side/a": b"2", "in/side/d/b": b"1"})
        remote = harness.open(scope="in/side")
        _fetched(remote)
        assert remote.scope == "in/side"
        assert list(remote.listing(base, ALL, LIMITS, WATCH)) == ["a", "d/b"]
        assert _told(_changes(remote, base, revision)) == {"a": ("1", "1")}

    def test_a_scope_that_is_not_there_is_empty(self, harness: RemoteHarness) -> None:
        base = harness.repository.commit({"in": b"a file", "a": b"1"})
        revision = harness.repository.commit({"in/a": b"1", "a": b"1"})
        remote = harness.open(scope="in")
        _fetched(remote)
        assert remote.listing(base, ALL, LIMITS, WATCH) == {}
        assert _told(_changes(remote, base, revision)) == {"a": ("-", "1")}
        assert _told(_changes(remote, revision, base)) == {"a": ("1", "-")}

    def test_nothing_outside_the_scope_is_read(self, harness: RemoteHarness) -> None:
        base = harness.repository.commit({"in/a": b"1", "out/a": b"1"})
        revision = harness.repository.commit({"in/a": b"1", "out/a": b"2"})
        remote = harness.open(scope="in")
        _fetched(remote)
        assert _changes(remote, base, revision).items == ()
        assert remote.traffic.trees_read == 2, "the two root trees"

    def test_a_deep_scope_is_left_where_it_is_equal(self, harness: RemoteHarness) -> None:
        base = harness.repository.commit({"in/the/deep/a": b"1", "out/a": b"1"})
        revision = harness.repository.commit({"in/the/deep/a": b"1", "out/a": b"2"})
        remote = harness.open(scope="in/the/deep")
        _fetched(remote)
        assert _changes(remote, base, revision).items == ()
        assert remote.traffic.trees_read == 2, "the two root trees"

    # --- contents -----------------------------------------------------------------------------

    def test_contents_come_each_once(self, harness: RemoteHarness) -> None:
        contents = [b"", b"1", bytes(range(256)), b"\r\n" * 3]
        harness.repository.commit({str(n): content for n, content in enumerate(contents)})
        remote = harness.open()
        _fetched(remote)
        digests = [Digest.of(content) for content in contents]
        found = list(remote.contents([*digests, *digests]))
        assert len(found) == len(contents)
        assert dict(found) == dict(zip(digests, contents, strict=True))

    def test_contents_that_are_nowhere(self, harness: RemoteHarness) -> None:
        harness.repository.commit({"a": b"1"})
        remote = harness.open()
        _fetched(remote)
        with pytest.raises(ContentMissing) as caught:
            list(remote.contents([Digest.of(b"1"), Digest.of(b"never")]))
        assert caught.value.digests == (Digest.of(b"never"),)

    # --- history ------------------------------------------------------------------------------

    def test_history_that_grows_is_not_rewritten(self, harness: RemoteHarness) -> None:
        commits = [harness.repository.commit({"a": b"%d" % n}) for n in range(4)]
        remote = harness.open()
        _fetched(remote)
        assert remote.rewritten(commits[0], commits[3]) is False
        assert remote.rewritten(commits[3], commits[3]) is False

    def test_a_merge_keeps_both_histories(self, harness: RemoteHarness) -> None:
        root = harness.repository.commit({"a": b"1"})
        left = harness.repository.commit({"a": b"2"})
        right = harness.repository.commit({"b": b"3"}, parents=[root], ref="side")
        merge = harness.repository.commit({"a": b"2", "b": b"3"}, parents=[left, right])
        remote = harness.open()
        _fetched(remote)
        assert remote.rewritten(right, merge) is False
        assert remote.rewritten(left, right) is True

    def test_a_rewritten_branch_is_compared_with_the_old_base(self, harness: RemoteHarness) -> None:
        root = harness.repository.commit({"a": b"1"})
        base = harness.repository.commit({"a": b"2"})
        remote = harness.open()
        _fetched(remote)
        revision = harness.repository.commit({"a": b"3333"}, parents=[root])
        assert _fetched(remote) == revision
        assert remote.has(base)
        assert remote.rewritten(base, revision) is True
        found = _changes(remote, base, revision)
        assert _told(found) == {"a": ("1", "4")}
        assert found.history_rewritten is True

    def test_a_base_that_is_gone_was_rewritten(self, harness: RemoteHarness) -> None:
        root = harness.repository.commit({"a": b"1"})
        base = harness.repository.commit({"a": b"2"})
        revision = harness.repository.commit({"a": b"3"}, parents=[root])
        remote = harness.open()
        _fetched(remote)
        assert not remote.has(base), "another cache: it is on no branch any more"
        assert remote.rewritten(base, revision) is True

    # --- hostile trees ------------------------------------------------------------------------

    def test_hostile_names_are_all_told(self, harness: RemoteHarness) -> None:
        put = harness.repository.put
        blob = put("blob", b"1")
        inner = put("tree", _raw((b"100644", b"..", blob), (b"100644", b"x\\y", blob)))
        outer = put(
            "tree",
            _raw(
                (b"100644", b".GIT", blob),
                (b"100644", b".towline", blob),
                (b"100644", b"a\x07", blob),
                (b"100644", b"fine", blob),
                (b"40000", b"inner", inner),
            ),
        )
        revision = harness.repository.commit_tree(outer)
        remote = harness.open()
        _fetched(remote)
        with pytest.raises(InvalidTree) as caught:
            remote.listing(revision, ALL, LIMITS, WATCH)
        assert len(caught.value.problems) == 5
        told = "\n".join(caught.value.problems)
        for name in (".GIT", ".towline", "a\x07", "..", "x\\y"):
            assert repr(name) in told
        assert "'inner'" in told, "the folder of the inner ones"
        assert "fine" not in told

    def test_duplicates_are_refused(self, harness: RemoteHarness) -> None:
        put = harness.repository.put
        blob, other = put("blob", b"1"), put("blob", b"2")
        base = harness.repository.commit({"a": b"1"})
        folder = put("tree", _raw((b"100644", b"x", blob)))
        for entries in (
            ((b"100644", b"a", blob), (b"100644", b"a", other)),
            ((b"100644", b"a", blob), (b"100644", b"a.b", other), (b"40000", b"a", folder)),
        ):
            revision = harness.repository.commit_tree(put("tree", _raw(*entries)))
            remote = harness.open()
            _fetched(remote)
            with pytest.raises(InvalidTree, match="twice"):
                _changes(remote, base, revision)

    # --- limits -------------------------------------------------------------------------------

    def test_too_many_entries(self, harness: RemoteHarness) -> None:
        revision = harness.repository.commit({f"d{n % 3}/{n}": b"" for n in range(30)})
        remote = harness.open()
        _fetched(remote)
        with pytest.raises(LimitExceeded) as caught:
            remote.listing(revision, ALL, Limits(tree_entries=32), WATCH)
        assert (caught.value.limit, caught.value.allowed) == ("tree_entries", 32)
        assert len(remote.listing(revision, ALL, Limits(tree_entries=33), WATCH)) == 30

    def test_too_deep(self, harness: RemoteHarness) -> None:
        revision = harness.repository.commit({"a/b/c/d": b""})
        remote = harness.open()
        _fetched(remote)
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
        _fetched(remote)
        with pytest.raises(LimitExceeded, match="tree_entries"):
            remote.listing(revision, ALL, Limits(tree_entries=1000), WATCH)

    def test_a_large_asset_is_told_before_it_is_read(self, harness: RemoteHarness) -> None:
        base = harness.repository.commit({"d/small": b"1"})
        revision = harness.repository.commit({"d/small": b"1", "d/large": b"2" * 1001})
        remote = harness.open()
        _fetched(remote)
        limits = Limits(asset_bytes=1000)
        for compare in (
            lambda: remote.changes(base, revision, ALL, limits, WATCH),
            lambda: remote.listing(revision, ALL, limits, WATCH),
        ):
            with pytest.raises(LimitExceeded) as caught:
                compare()
            assert (caught.value.limit, caught.value.found) == ("asset_bytes", 1001)
            assert caught.value.subject == "d/large"
        assert remote.traffic.blobs_read == 0

    def test_what_is_no_asset_may_be_large(self, harness: RemoteHarness) -> None:
        revision = harness.repository.commit({"a.json": b"1", "film.mp4": b"2" * 5000})
        remote = harness.open()
        _fetched(remote)
        kinds = Kinds((Kind(name="file", globs=("*.json",)),))
        assert len(remote.listing(revision, kinds, Limits(asset_bytes=1000), WATCH)) == 2

    def test_a_pack_above_the_limit(self, harness: RemoteHarness) -> None:
        harness.repository.commit(_noise(50, 1000))
        remote = harness.open()
        with pytest.raises(LimitExceeded) as caught:
            remote.fetch(None, Limits(pack_bytes=20_000), WATCH)
        assert caught.value.limit == "pack_bytes"
        assert _fetched(remote), "and nothing of it stays in the way"

    # --- progress and cancelling --------------------------------------------------------------

    def test_progress_is_reported(self, harness: RemoteHarness) -> None:
        revision = harness.repository.commit({"a/b": b"1"})
        remote, recorder = harness.open(), _Recorder()
        remote.fetch(None, LIMITS, Watch(progress=recorder))
        remote.listing(revision, ALL, LIMITS, Watch(progress=recorder))
        phases = [phase for phase, _, _ in recorder.seen]
        assert set(phases) == {Phase.FETCHING, Phase.COMPARING}
        assert phases == sorted(phases, key=list(Phase).index)

    def test_cancelling(self, harness: RemoteHarness) -> None:
        revision = harness.repository.commit({"a/b": b"1"})
        remote, stop = harness.open(), Event()
        stop.set()
        watch = Watch(cancel=stop)
        with pytest.raises(Cancelled):
            remote.resolve(LIMITS, watch)
        with pytest.raises(Cancelled):
            remote.fetch(None, LIMITS, watch)
        assert not remote.has(revision)
        _fetched(remote)
        with pytest.raises(Cancelled):
            remote.listing(revision, ALL, LIMITS, watch)

    # --- the cache ----------------------------------------------------------------------------

    def test_what_vanished_is_fetched_again(self, harness: RemoteHarness) -> None:
        if harness.lose is None:
            return
        base = harness.repository.commit({"a": b"1"})
        revision = harness.repository.commit({"a": b"22"})
        remote = harness.open()
        _fetched(remote)
        harness.lose(remote)
        assert _told(_changes(remote, base, revision)) == {"a": ("1", "2")}
        harness.lose(remote)
        assert dict(remote.contents([Digest.of(b"22")])) == {Digest.of(b"22"): b"22"}
        harness.lose(remote)
        assert list(remote.listing(revision, ALL, LIMITS, WATCH)) == ["a"]
        harness.lose(remote)
        assert remote.rewritten(base, revision) is False
        harness.lose(remote)
        assert _fetched(remote) == revision
        assert _told(_changes(remote, base, revision)) == {"a": ("1", "2")}


def _raw(*entries: tuple[bytes, bytes, str]) -> bytes:
    """A raw tree of entries as they come, whatever they are."""
    return b"".join(b"%s %s\0%s" % (mode, name, bytes.fromhex(oid)) for mode, name, oid in entries)
