"""The comparison against git's own, and against the plain definition on full listings."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towline.changes import RemoteAsset
from towline.errors import InvalidTree
from towline.kinds import Kinds
from towline.limits import Limits
from towline.model import Revision
from towline.ports import Watch
from towline.remotes.memory import MemoryRemote
from towline.remotes.trees import FileContent, Submodule, Symlink
from towline.testing.git_repository import GitRepository

LIMITS, WATCH, ALL = Limits(), Watch(), Kinds(hidden=True)

names = st.sampled_from(["a", "b", "c.x", "a.b", "é", "a b", "-"])
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
contents: st.SearchStrategy[FileContent] = st.one_of(
    st.sampled_from([b"", b"1", b"2" * 60]),
    st.tuples(st.just(b"1"), st.booleans()),
    st.builds(Symlink, st.sampled_from(["a", "b"])),
    st.builds(Submodule, st.sampled_from(["1" * 40, "2" * 40])),
)


def _no_file_is_a_folder(files: dict[str, FileContent]) -> dict[str, FileContent]:
    return {
        path: c for path, c in files.items() if not any(p.startswith(path + "/") for p in files)
    }


projects = st.dictionaries(paths, contents, max_size=8).map(_no_file_is_a_folder)
scopes = st.sampled_from(["", "a", "a/b", "é"])


@given(projects, projects, scopes)
@settings(max_examples=200)
def test_changes_are_what_differs_between_listings(
    old: dict[str, FileContent], new: dict[str, FileContent], scope: str
) -> None:
    remote = MemoryRemote(scope=scope)
    base, revision = remote.commit(old), remote.commit(new)
    remote.fetch(None, LIMITS, WATCH)
    listings = [remote.listing(r, ALL, LIMITS, WATCH) for r in (base, revision)]
    within = [{p: c for p, c in f.items() if p.startswith(scope)} for f in (old, new)]
    found = {c.path: c for c in remote.changes(base, revision, ALL, LIMITS, WATCH).items}
    prefix = f"{scope}/" if scope else ""
    every = listings[0].keys() | listings[1].keys()
    differing = {
        path
        for path in every
        if _plain(within[0].get(prefix + path)) != _plain(within[1].get(prefix + path))
    }
    assert found.keys() == differing
    for path, change in found.items():
        assert change.before == listings[0].get(path)
        assert change.after == listings[1].get(path)


def _plain(content: FileContent | None) -> object:
    return (content, False) if isinstance(content, bytes) else content


@given(projects, projects)
@settings(max_examples=25)
def test_the_answer_is_gits(
    tmp_path_factory: pytest.TempPathFactory,
    old: dict[str, FileContent],
    new: dict[str, FileContent],
) -> None:
    repository = GitRepository(tmp_path_factory.mktemp("git") / "r.git")
    remote = MemoryRemote()
    commits = [(remote.commit(files), repository.commit(files)) for files in (old, new)]
    assert all(ours == theirs for ours, theirs in commits), "the ids are Git's"
    base, revision = (ours for ours, _ in commits)
    remote.fetch(None, LIMITS, WATCH)
    lines = _z(repository, "diff-tree", "-r", "--no-renames", "--raw", base, revision)
    gits = dict(zip(lines[1::2], lines[::2], strict=True))
    found = {c.path: c for c in remote.changes(base, revision, ALL, LIMITS, WATCH).items}
    assert found.keys() == gits.keys()
    for path, line in gits.items():
        before, after, *_ = line[1:].split()
        assert _mode(found[path].before) in (None, before)  # type: ignore[index] # by its text
        assert _mode(found[path].after) in (None, after)  # type: ignore[index] # by its text
    listed = _z(repository, "ls-tree", "-r", "-z", "--name-only", revision)
    assert set(remote.listing(revision, ALL, LIMITS, WATCH)) == set(listed)


def _z(repository: GitRepository, *command: str) -> list[str]:
    return repository.git(command[0], "-z", *command[1:]).decode().split("\0")[:-1]


def _mode(entry: object) -> str | None:
    match entry:
        case None:
            return "000000"
        case RemoteAsset(state=state):
            return "100755" if state.executable else "100644"
        case _:
            return None


class TestHostile:
    """What only raw trees can say."""

    def listing(self, remote: MemoryRemote, tree: str) -> None:
        revision = remote.repository.commit_tree(tree)
        remote.fetch(None, LIMITS, WATCH)
        remote.listing(revision, ALL, LIMITS, WATCH)

    @pytest.mark.parametrize(
        ("mode", "kind", "problem"),
        [
            (b"40000", "blob", "'a' is a folder, but its object is a blob"),
            (b"100644", "tree", "'a' is a file, but its object is a tree"),
            (b"100755", "commit", "'a' is a file, but its object is a commit"),
        ],
    )
    def test_objects_of_another_type(self, mode: bytes, kind: str, problem: str) -> None:
        remote = MemoryRemote()
        oid = remote.repository.put(kind, b"")
        tree = remote.repository.put("tree", b"%s a\0%s" % (mode, bytes.fromhex(oid)))
        with pytest.raises(InvalidTree) as caught:
            self.listing(remote, tree)
        assert problem in caught.value.problems[0]

    def test_a_root_that_is_no_tree(self) -> None:
        remote = MemoryRemote()
        with pytest.raises(InvalidTree):
            self.listing(remote, remote.repository.put("blob", b""))

    def test_a_tree_cut_short(self) -> None:
        remote = MemoryRemote()
        with pytest.raises(InvalidTree, match="malformed"):
            self.listing(remote, remote.repository.put("tree", b"100644 a\0123"))

    def test_untouched_trees_are_not_looked_at(self) -> None:
        remote = MemoryRemote()
        put = remote.repository.put
        bad = put("tree", b"100644 .git\0" + b"1" * 20)

        def commit(content: bytes) -> Revision:
            blob = put("blob", content)
            entries = (b"100644 a\0" + bytes.fromhex(blob), b"40000 b\0" + bytes.fromhex(bad))
            return remote.repository.commit_tree(put("tree", b"".join(entries)))

        base, revision = commit(b"1"), commit(b"2")
        remote.fetch(None, LIMITS, WATCH)
        assert len(remote.changes(base, revision, ALL, LIMITS, WATCH).items) == 1
