"""The usual recipe with pygit2, which has no pull: fetch, analyse, then check out or merge."""

import sys

import pygit2
from pygit2.enums import MergeAnalysis, MergeFavor, ResetMode


def clone(url: str, folder: str) -> None:
    pygit2.clone_repository(url, folder)


def pull() -> None:
    repository = pygit2.Repository(".")
    theirs, analysis = _fetched(repository)
    if analysis & MergeAnalysis.UP_TO_DATE:
        return
    assert analysis & MergeAnalysis.FASTFORWARD
    repository.checkout_tree(repository[theirs])  # type: ignore[no-untyped-call]
    repository.references["refs/heads/main"].set_target(theirs)


def merge() -> None:
    repository = pygit2.Repository(".")
    theirs, analysis = _fetched(repository)
    assert analysis & MergeAnalysis.NORMAL
    repository.merge(theirs, favor=MergeFavor.THEIRS)
    assert not repository.index.conflicts
    tree = repository.index.write_tree()
    author = pygit2.Signature("towline", "towline@localhost.invalid")
    parents = [repository.head.target, theirs]
    repository.create_commit("HEAD", author, author, "merge", tree, parents)
    repository.state_cleanup()


def _fetched(repository: pygit2.Repository) -> tuple[pygit2.Oid, MergeAnalysis]:
    repository.remotes["origin"].fetch()
    theirs = repository.references["refs/remotes/origin/main"].target
    assert isinstance(theirs, pygit2.Oid)
    return theirs, repository.merge_analysis(theirs)[0]


def status() -> None:
    assert pygit2.Repository(".").status() == {}


def undo(before: str) -> None:
    pygit2.Repository(".").reset(pygit2.Oid(hex=before), ResetMode.HARD)


def log() -> None:
    repository = pygit2.Repository(".")
    assert isinstance(repository.head.target, pygit2.Oid)
    for commit in repository.walk(repository.head.target):
        print(commit.id, commit.author.name, commit.message)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
