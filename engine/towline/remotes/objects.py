"""Git's object database: commits, and the readers over git and pygit2 (dulwich's: `packs`)."""

from __future__ import annotations

import math
import re
import subprocess
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

from towline.errors import InvalidTree
from towline.limits import MIB, Limits
from towline.model import Revision
from towline.remotes.cache import Cache, ObjectMissing
from towline.remotes.fetcher import Unexplained
from towline.remotes.git_process import closed_environment, restrict

if TYPE_CHECKING:
    import pygit2

KINDS = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}
"""The types of objects, as packs number them."""

MAX_COMMIT_BYTES = 4 * 1024 * 1024
"""Git bounds no commit; an honest one is far below this, a delta bomb far above."""
MAX_TAG_DEPTH = 10
"""Git allows any number of tags of tags; this many are followed."""
_READ_LIMITS = Limits(memory_bytes=1024 * MIB)
"""For children that read the cache; a fetch admits nothing that needs more."""


class ObjectReader(Protocol):
    """Reads objects of a repository by id. Either method may raise `ObjectMissing`."""

    def header(self, oid: str) -> tuple[str, int]:
        """Return type (``blob``, ``tree``, ``commit``, ``tag``) and size, without unpacking."""
        ...

    def read(self, oid: str) -> tuple[str, bytes]:
        """Return the type and the content."""
        ...

    def prefetch(self, oids: Sequence[str], most_bytes: int) -> None:
        """Read headers at once, and contents of at most so many bytes; never raises.

        A reader for which a single read costs as little does nothing.
        """
        ...


class CacheReader(ObjectReader, Protocol):
    """Reads the objects and the history of a cache; must be closed."""

    def is_ancestor(self, base: str, revision: str) -> bool:
        """Return whether ``base`` is in the history of ``revision``; both are in the cache.

        Raises:
            ObjectMissing: a commit is missing, or the history is damaged.
        """
        ...

    def close(self) -> None:
        """Close files and end child processes."""
        ...


class Commit(NamedTuple):
    """The fields of a commit that towline uses."""

    id: Revision
    tree: str
    parents: tuple[Revision, ...]
    time: datetime | None
    """The committer's time; None where it is not well-formed."""
    author: str
    """The author's name."""
    subject: str
    """The first paragraph of its message, on one line."""


def read_commit(reader: ObjectReader, oid: str) -> Commit:
    """Return a commit, or the commit that an annotated tag points to.

    Raises:
        ObjectMissing: it is not in the repository.
        InvalidTree: it is no commit, or a malformed one.
    """
    commit = peel(reader, oid)
    return _parse_commit(commit, reader.read(commit)[1])


def peel(reader: ObjectReader, oid: str) -> Revision:
    """Return the id of a commit, given itself or annotated tags. Raises as `read_commit`."""
    at = oid
    for _ in range(MAX_TAG_DEPTH):
        kind, size = reader.header(at)
        if kind not in ("commit", "tag") or size > MAX_COMMIT_BYTES:
            break
        if kind == "commit":
            return Revision(at)
        at = _header_fields(reader.read(at)[1]).get("object", [""])[0]
    raise InvalidTree(problems=(f"{oid} is not a commit",))


def fetched_commit(reader: CacheReader, oid: str) -> Revision:
    """Return the commit that a fetched object is or points to, and close the reader.

    Raises:
        Unexplained: the remote advertised the object, but did not send it.
        InvalidTree: it is no commit.
    """
    with closing(reader):
        try:
            return peel(reader, oid)
        except ObjectMissing:
            raise Unexplained("the remote did not send an object that it advertised") from None


def walk_to(
    reader: ObjectReader, revision: str, base: str, *, shallow: bool, most: float = math.inf
) -> bool:
    """Return whether ``base`` is in the history of ``revision``, which ``shallow`` may cut off.

    False also once more than ``most`` commits are found.

    Raises:
        ObjectMissing: a commit is missing, and the history is not shallow.
    """
    seen = {revision}
    queue = deque(seen)
    while queue and len(seen) <= most:
        commit = queue.popleft()
        if commit == base:
            return True
        try:
            parents = read_commit(reader, commit).parents
        except ObjectMissing:
            if not shallow:
                raise
            continue
        queue.extend(parent for parent in parents if parent not in seen)
        seen.update(parents)
    return False


def rewritten(
    reader: CacheReader, base: str, revision: str, *, known: bool, shallow: bool
) -> bool | None:
    """Return whether ``base`` is no ancestor of ``revision``; see `Remote.rewritten`.

    Raises:
        ObjectMissing: the cache lacks the revision, or a base that is ``known`` to have been in it.
    """
    if base == revision:
        return False
    reader.header(revision)
    try:
        reader.header(base)
    except ObjectMissing:
        if known:
            raise
    else:
        if reader.is_ancestor(base, revision):
            return False
    return None if shallow else True


def _parse_commit(oid: str, content: bytes) -> Commit:
    head, _, message = content.partition(b"\n\n")
    values = _header_fields(content)
    trees = values.get("tree", [])
    if len(trees) != 1 or len(trees[0]) != 40:
        raise InvalidTree(problems=(f"the commit {oid} is malformed",))
    encoding = values.get("encoding", ["utf-8"])[0]
    author = re.search(rb"^author ([^<\n]*)", head, re.MULTILINE)
    return Commit(
        id=Revision(oid),
        tree=trees[0],
        parents=tuple(Revision(parent) for parent in values.get("parent", [])),
        time=_time(values.get("committer", [""])[0]),
        author=_decoded(author[1] if author else b"", encoding).strip(),
        subject=" ".join(_decoded(message, encoding).strip().partition("\n\n")[0].split("\n")),
    )


def _decoded(text: bytes, encoding: str) -> str:
    try:
        return text.decode(encoding, "replace")
    except (LookupError, ValueError):
        return text.decode("utf-8", "replace")


def _header_fields(content: bytes) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    head = content.partition(b"\n\n")[0].decode("utf-8", "replace")
    for line in head.split("\n"):
        name, _, value = line.partition(" ")
        values.setdefault(name, []).append(value)
    return values


def _time(signature: str) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(signature.split(" ")[-2]), UTC)
    except (IndexError, ValueError, OverflowError, OSError):
        return None


PREFETCHED_BYTES = 64 * 1024
"""Larger objects are read one by one, so that few are in memory at once."""
_NEAR = 16
"""Commits; a longer history is walked by a process of git."""
_BATCH = 512
"""Objects that are requested at once: their ids fit into a pipe, and writing them never waits."""


class GitReader:
    """A `CacheReader` over ``git cat-file``: child processes that start at first use."""

    def __init__(self, executable: str, cache: Cache, environment: Mapping[str, str]) -> None:
        self._executable = executable
        self._cache = cache
        self._environment = environment
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._headers: dict[str, tuple[str, int]] = {}
        self._contents: dict[str, tuple[str, bytes]] = {}

    def header(self, oid: str) -> tuple[str, int]:
        known = self._headers.pop(oid, None)
        return next(self._answers("--batch-check", [oid]))[1] if known is None else known

    def read(self, oid: str) -> tuple[str, bytes]:
        known = self._contents.pop(oid, None)
        return next(self._contents_of([oid]))[1] if known is None else known

    def prefetch(self, oids: Sequence[str], most_bytes: int) -> None:
        for first in range(0, len(oids), _BATCH):
            batch = oids[first : first + _BATCH]
            with suppress(ObjectMissing):
                self._headers.update(self._answers("--batch-check", batch))
            sizes = {oid: self._headers[oid][1] for oid in batch if oid in self._headers}
            small = [oid for oid, size in sizes.items() if size <= most_bytes]
            with suppress(ObjectMissing):
                self._contents.update(self._contents_of(small))

    def is_ancestor(self, base: str, revision: str) -> bool:
        # Most often it is: few commits are read by a child that runs already.
        with suppress(ObjectMissing, InvalidTree):
            if walk_to(self, revision, base, shallow=False, most=_NEAR):
                return True
        with self._spawn(revision, "merge-base", "--is-ancestor", base, revision) as child:
            child.communicate()
            code = child.returncode
        if code in (0, 1):
            return code == 0
        raise ObjectMissing(revision)

    def close(self) -> None:
        """End the child processes."""
        for option in list(self._children):
            self._drop(option)

    def _contents_of(self, oids: Sequence[str]) -> Iterator[tuple[str, tuple[str, bytes]]]:
        for oid, (kind, size) in self._answers("--batch", oids):
            stdout = self._child("--batch", oid).stdout
            assert stdout is not None
            content = stdout.read(size + 1)
            if len(content) != size + 1:
                raise self._broken("--batch", oid)
            yield oid, (kind, content[:-1])

    def _answers(self, option: str, oids: Sequence[str]) -> Iterator[tuple[str, tuple[str, int]]]:
        """Request objects at once; yield the type and size of each. All must be taken."""
        if not oids:
            return
        child = self._child(option, oids[0])
        assert child.stdin is not None
        assert child.stdout is not None
        missing: list[str] = []
        try:
            child.stdin.write("".join(f"{oid}\n" for oid in oids).encode())
            child.stdin.flush()
        except OSError:
            raise self._broken(option, oids[0]) from None
        for oid in oids:
            line = child.stdout.readline().split()
            if len(line) == 3:
                yield oid, (line[1].decode(), int(line[2]))
            elif line:
                missing.append(oid)
            else:
                raise self._broken(option, oid)
        if missing:
            raise ObjectMissing(missing[0])

    def _child(self, option: str, oid: str) -> subprocess.Popen[bytes]:
        if option not in self._children:
            self._children[option] = self._spawn(oid, "cat-file", option)
        return self._children[option]

    def _spawn(self, oid: str, *arguments: str) -> subprocess.Popen[bytes]:
        with ExitStack() as stack:
            try:
                folder = stack.enter_context(self._cache.working_directory())
            except OSError:
                raise ObjectMissing(oid) from None  # there is no cache
            child = subprocess.Popen(
                [self._executable, *arguments],
                env={**closed_environment(self._environment), "GIT_DIR": "."},
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        restrict(child.pid, _READ_LIMITS)
        return child

    def _broken(self, option: str, oid: str) -> ObjectMissing:
        # git exits at a damaged object; the next read starts it again.
        self._drop(option)
        return ObjectMissing(oid)

    def _drop(self, option: str) -> None:
        child = self._children.pop(option)
        with child:
            if child.stdin is not None:
                with suppress(OSError):
                    child.stdin.close()
            child.terminate()


class Pygit2Reader(GitReader):
    """A reader over libgit2's object database, which is faster; git walks the history.

    A libgit2 repository would read configuration, and check who owns the folder.
    """

    def __init__(self, executable: str, cache: Cache, environment: Mapping[str, str]) -> None:
        super().__init__(executable, cache, environment)
        import pygit2

        self._damage = (KeyError, ValueError, OSError, pygit2.GitError)
        self._oid = pygit2.Oid
        try:
            self._odb: pygit2.Odb | None = pygit2.Odb(str(cache.path / "objects"))
        except self._damage:
            self._odb = None  # a damaged cache: every object is missing

    def header(self, oid: str) -> tuple[str, int]:
        try:
            kind, size = self._opened(oid).read_header(self._oid(hex=oid))
            return KINDS[kind], size
        except self._damage:
            raise ObjectMissing(oid) from None

    def read(self, oid: str) -> tuple[str, bytes]:
        try:
            kind, content = self._opened(oid).read(self._oid(hex=oid))
            return KINDS[kind], content
        except self._damage:
            raise ObjectMissing(oid) from None

    def prefetch(self, oids: Sequence[str], most_bytes: int) -> None:
        """Do nothing: the objects are read in this process."""

    def close(self) -> None:
        self._odb = None
        super().close()

    def _opened(self, oid: str) -> pygit2.Odb:
        if self._odb is None:
            raise ObjectMissing(oid)
        return self._odb
