"""The harness of the remotes' contract suite: a repository, remotes over it, and helpers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from towline.changes import Changes, RemoteAsset, RemoteEntry
from towline.kinds import Kinds
from towline.limits import Limits
from towline.model import AssetPath, NonAsset, Revision
from towline.ports import Phase, Remote, Watch
from towline.remotes.trees import Files

ALL = Kinds(hidden=True)
LIMITS = Limits()
WATCH = Watch()
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 12345\n" % (b"a" * 64)


class Repository(Protocol):
    """The repository behind a remote.

    `towline.remotes.MemoryRepository` and `towline.testing.git_repository.GitRepository` do.
    """

    def put(self, kind: str, content: bytes) -> str:
        """Store an object of a type; return its id."""
        ...

    def commit(
        self, files: Files, *, ref: str = "main", parents: Sequence[Revision] | None = None
    ) -> Revision:
        """Commit files and move a branch to it, by default on top of that branch."""
        ...

    def commit_tree(
        self, tree: str, *, ref: str = "main", parents: Sequence[Revision] | None = None
    ) -> Revision:
        """Commit a root tree that `put` stored."""
        ...

    def set_ref(self, ref: str, oid: Revision | None) -> None:
        """Move a branch, or remove it."""
        ...


@dataclass
class RemoteHarness:
    """An empty repository, and how to open remotes over it.

    ``opener`` opens a remote with a ref, a scope, and an empty cache. ``lose`` removes the objects
    that a remote has fetched; None where that is impossible.
    """

    repository: Repository
    opener: Callable[[str, str], Remote]
    lose: Callable[[Remote], None] | None = None
    requests: Callable[[], int] | None = None
    """Returns the number of HTTP requests that the server received; None without HTTP."""
    fetch_requests: int = 3
    """The most requests that fetching something new may take."""

    def open(self, ref: str = "main", scope: str = "") -> Remote:
        """Open a remote with an empty cache."""
        return self.opener(ref, scope)

    def fetched(self, *commits: Files, scope: str = "") -> tuple[Remote, list[Revision]]:
        """Commit each of these; return a remote that has fetched them, and the commits."""
        revisions = [self.repository.commit(files) for files in commits]
        remote = self.open(scope=scope)
        fetch(remote)
        return remote, revisions


@dataclass
class Recorder:
    """A progress callback that records its calls."""

    events: list[tuple[Phase, int, int | None]] = field(default_factory=list)

    def __call__(self, phase: Phase, done: int, total: int | None) -> None:
        self.events.append((phase, done, total))


def fetch(remote: Remote, revision: Revision | None = None) -> Revision:
    """Fetch with the default limits."""
    return remote.fetch(revision, LIMITS, WATCH)


def resolve(remote: Remote) -> Revision:
    """Resolve with the default limits."""
    return remote.resolve(LIMITS, WATCH)


def compare(remote: Remote, base: Revision, revision: Revision, kinds: Kinds = ALL) -> Changes:
    """Return the changes between two revisions."""
    return remote.changes(base, revision, kinds, LIMITS, WATCH)


def summary(changes: Changes) -> dict[str, tuple[str, str]]:
    """Return each change as two words: a size (x: executable), a reason, or a dash."""
    return {item.path: (side(item.before), side(item.after)) for item in changes.items}


def side(entry: RemoteEntry | None) -> str:
    """Return one side of a change as a word."""
    match entry:
        case None:
            return "-"
        case NonAsset(reason=reason):
            return reason.value
        case RemoteAsset(state=state, size=size):
            return f"{size}{'x' if state.executable else ''}"


def asset_at(remote: Remote, revision: Revision, path: str) -> RemoteAsset:
    """Return the asset at a path."""
    entry = remote.listing(revision, ALL, LIMITS, WATCH)[AssetPath(path)]
    assert isinstance(entry, RemoteAsset)
    return entry


def noise(count: int, size: int, seed: int = 0) -> dict[str, bytes]:
    """Return files that do not compress."""
    chance = Random(seed)  # noqa: S311 - no secret
    return {f"{number % 10}/{number}": chance.randbytes(size) for number in range(count)}


def raw_tree(*entries: tuple[bytes, bytes, str]) -> bytes:
    """Return a raw tree of entries in this order, even malformed ones."""
    return b"".join(b"%s %s\0%s" % (mode, name, bytes.fromhex(oid)) for mode, name, oid in entries)
