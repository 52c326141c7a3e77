"""A remote in memory, made of Git objects, with the same comparison as every remote.

The repository and the fetched commits are separate, so that it fetches, counts and fails like a
real remote.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from towline.changes import Changes, RemoteEntry
from towline.errors import (
    ContentMissing,
    EmptyRepository,
    InvalidTree,
    RefNotFound,
    TowlineError,
)
from towline.kinds import Kinds
from towline.limits import Limits
from towline.model import AssetPath, Digest, Revision
from towline.ports import Phase, Traffic, Watch
from towline.remotes.compare import tree_changes, tree_listing
from towline.remotes.tree_filter import TreeFilter
from towline.remotes.trees import Files, commit_content, object_id, put_files


@dataclass
class MemoryRepository:
    """A Git repository in memory: objects, and branches. Deterministic."""

    objects: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    refs: dict[str, Revision] = field(default_factory=dict)
    commits: dict[Revision, tuple[str, tuple[Revision, ...]]] = field(default_factory=dict)
    """The root tree and the parents of each commit."""
    added: dict[Revision, int] = field(default_factory=dict)
    """The size of the objects that each commit added."""
    _pending: int = 0

    def put(self, kind: str, content: bytes) -> str:
        """Store any object, even a malformed tree; return its id."""
        oid = object_id(kind, content)
        if oid not in self.objects:
            self.objects[oid] = (kind, content)
            self._pending += len(content)
        return oid

    def commit(
        self, files: Files, *, ref: str = "main", parents: Sequence[Revision] | None = None
    ) -> Revision:
        """Commit files and move a branch to it; by default on top of that branch."""
        return self.commit_tree(put_files(files, self.put), ref=ref, parents=parents)

    def commit_tree(
        self, tree: str, *, ref: str = "main", parents: Sequence[Revision] | None = None
    ) -> Revision:
        """Commit a root tree that `put` stored."""
        if parents is None:
            parents = (self.refs[ref],) if ref in self.refs else ()
        revision = Revision(self.put("commit", commit_content(tree, parents)))
        self.commits[revision] = (tree, tuple(parents))
        self.added.setdefault(revision, self._pending)
        self._pending = 0
        self.refs[ref] = revision
        return revision

    def set_ref(self, ref: str, revision: Revision | None) -> None:
        """Move a branch, or remove it."""
        if revision is None:
            self.refs.pop(ref, None)
        else:
            self.refs[ref] = revision

    def ancestry(self, revision: Revision) -> set[Revision]:
        """Return the commit and all its ancestors."""
        found: set[Revision] = set()
        stack = [revision]
        while stack:
            commit = stack.pop()
            if commit not in found:
                found.add(commit)
                stack.extend(self.commits[commit][1])
        return found


@dataclass
class MemoryRemote:
    """A `Remote` over a `MemoryRepository`; several may share one, each with its own cache."""

    repository: MemoryRepository = field(default_factory=MemoryRepository)
    ref: str = "main"
    scope: str = ""
    url: str = "memory:"
    traffic: Traffic = field(default_factory=Traffic)
    failure: TowlineError | None = None
    """Raised by every request while it is set."""
    _fetched: set[Revision] = field(default_factory=set)
    _blobs: dict[str, bytes] = field(default_factory=dict)

    def commit(self, files: Files, *, parents: Sequence[Revision] | None = None) -> Revision:
        """Commit files on the remote's ref; see `MemoryRepository.commit`."""
        return self.repository.commit(files, ref=self.ref, parents=parents)

    def set_ref(self, ref: str, revision: Revision | None) -> None:
        """Move a branch of the repository, or remove it."""
        self.repository.set_ref(ref, revision)

    def forget(self) -> None:
        """Discard all fetched commits, as on another machine."""
        self._fetched.clear()
        self._blobs.clear()

    def resolve(self, limits: Limits, watch: Watch) -> Revision:  # noqa: ARG002 - of the port
        return self._resolve(watch)

    def fetch(self, revision: Revision | None, limits: Limits, watch: Watch) -> Revision:
        if revision is None:
            revision = self._resolve(watch)
        if revision not in self._fetched:
            self._download(revision, limits, watch)
        return revision

    def has(self, revision: Revision) -> bool:
        return revision in self._fetched

    def changes(
        self, base: Revision, revision: Revision, kinds: Kinds, limits: Limits, watch: Watch
    ) -> Changes:
        items = tree_changes(
            self._tree(base),
            self._tree(revision),
            self.scope,
            self._tree_filter(kinds, limits),
            watch,
        )
        rewritten = self.rewritten(base, revision)
        return Changes(base=base, revision=revision, items=items, history_rewritten=rewritten)

    def listing(
        self, revision: Revision, kinds: Kinds, limits: Limits, watch: Watch
    ) -> Mapping[AssetPath, RemoteEntry]:
        tree_filter = self._tree_filter(kinds, limits)
        return tree_listing(self._tree(revision), self.scope, tree_filter, watch)

    def rewritten(self, base: Revision, revision: Revision) -> bool | None:
        if base == revision:
            return False
        return base not in self.repository.ancestry(revision)

    def contents(self, digests: Sequence[Digest]) -> Iterator[tuple[Digest, bytes]]:
        wanted = sorted(set(digests))
        missing = tuple(digest for digest in wanted if digest not in self.repository.objects)
        if missing:
            raise ContentMissing(digests=missing)
        for digest in wanted:
            if digest not in self._blobs:
                self.traffic.blobs_read += 1
            yield digest, self.read(digest)[1]

    def header(self, oid: str) -> tuple[str, int]:
        """Return the type and size of an object of the repository."""
        kind, content = self.read(oid)
        return kind, len(content)

    def prefetch(self, oids: Sequence[str], most_bytes: int) -> None:
        """Do nothing: the objects are read in this process."""

    def read(self, oid: str) -> tuple[str, bytes]:
        """Return the type and content of an object of the repository."""
        if oid not in self.repository.objects:
            raise InvalidTree(problems=(f"the object {oid} is missing",))
        return self.repository.objects[oid]

    def _request(self, watch: Watch) -> None:
        watch.report(Phase.FETCHING, 0)
        self.traffic.requests += 1
        if self.failure is not None:
            raise self.failure

    def _resolve(self, watch: Watch) -> Revision:
        self._request(watch)
        if not self.repository.refs:
            raise EmptyRepository(url=self.url, ref=self.ref)
        if self.ref not in self.repository.refs:
            raise RefNotFound(url=self.url, ref=self.ref)
        return self.repository.refs[self.ref]

    def _download(self, revision: Revision, limits: Limits, watch: Watch) -> None:
        self._request(watch)
        if revision not in self.repository.commits:
            raise RefNotFound(url=self.url, ref=revision)
        new = self.repository.ancestry(revision) - self._fetched
        size = sum(self.repository.added[commit] for commit in new)
        if size > limits.pack_bytes:
            raise limits.exceeded("pack_bytes", size)
        self.traffic.bytes_down += size
        self._fetched |= new
        watch.report(Phase.FETCHING, size, size)

    def _tree(self, revision: Revision) -> str:
        if revision not in self._fetched:
            raise ContentMissing(digests=(revision,))
        return self.repository.commits[revision][0]

    def _tree_filter(self, kinds: Kinds, limits: Limits) -> TreeFilter:
        return TreeFilter(self, kinds, limits, self.traffic, self._blobs)
