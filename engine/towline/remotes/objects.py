"""Git's object database: the reader protocol that every backend implements, and commits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from towline.errors import InvalidTree
from towline.model import Revision
from towline.remotes.fetcher import Unexplained

MAX_COMMIT_BYTES = 4 * 1024 * 1024
"""Git bounds no commit; an honest one is far below this, a delta bomb far above."""
MAX_TAG_DEPTH = 10
"""Git allows any number of tags of tags; this many are followed."""


class ObjectMissing(Exception):
    """An object is missing from the cache or damaged there; the cache can be rebuilt."""

    def __init__(self, oid: str) -> None:
        super().__init__(oid)
        self.oid = oid


class ObjectReader(Protocol):
    """Reads objects of a repository by id. Either method may raise `ObjectMissing`."""

    def header(self, oid: str) -> tuple[str, int]:
        """Return type (``blob``, ``tree``, ``commit``, ``tag``) and size, without unpacking."""
        ...

    def read(self, oid: str) -> tuple[str, bytes]:
        """Return the type and the content."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """The fields of a commit that towline uses."""

    tree: str
    parents: tuple[Revision, ...]
    time: datetime | None
    """The committer's time; None where it is not well-formed."""


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


def has_object(open_reader: Callable[[], CacheReader], oid: str) -> bool:
    """Return whether an object is in the cache that ``open_reader`` opens."""
    with closing(open_reader()) as reader:
        try:
            reader.header(oid)
        except ObjectMissing:
            return False
        return True


def fetched_commit(open_reader: Callable[[], CacheReader], oid: str) -> Revision:
    """Return the commit that a fetched object is or points to.

    Raises:
        Unexplained: the remote advertised the object, but did not send it.
        InvalidTree: it is no commit.
    """
    with closing(open_reader()) as reader:
        try:
            return peel(reader, oid)
        except ObjectMissing:
            raise Unexplained("the remote did not send an object that it advertised") from None


def walk_to(reader: ObjectReader, revision: str, base: str, *, shallow: bool) -> bool:
    """Return whether ``base`` is in the history of ``revision``, which ``shallow`` may cut off.

    Raises:
        ObjectMissing: a commit is missing, and the history is not shallow.
    """
    seen = {revision}
    queue = deque(seen)
    while queue:
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


def _parse_commit(oid: str, content: bytes) -> Commit:
    values = _header_fields(content)
    trees = values.get("tree", [])
    if len(trees) != 1 or len(trees[0]) != 40:
        raise InvalidTree(problems=(f"the commit {oid} is malformed",))
    return Commit(
        tree=trees[0],
        parents=tuple(Revision(parent) for parent in values.get("parent", [])),
        time=_time(values.get("committer", [""])[0]),
    )


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
