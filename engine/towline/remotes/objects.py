"""Git objects as the comparison needs them: a reader over any backend, and commits as values."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from towline.errors import InvalidTree
from towline.model import Revision

MAX_COMMIT_BYTES = 4 * 1024 * 1024
"""Git bounds no commit; an honest one is far below this, a delta bomb far above."""


class ObjectMissing(Exception):
    """An object is not in the cache, or is there but damaged; the cache can be rebuilt."""

    def __init__(self, oid: str) -> None:
        super().__init__(oid)
        self.oid = oid


class ObjectReader(Protocol):
    """Reads objects of a repository by id. Either method may raise `ObjectMissing`."""

    def header(self, oid: str) -> tuple[str, int]:
        """The type (``blob``, ``tree``, ``commit``, ``tag``) and size; unpacks no content."""
        ...

    def read(self, oid: str) -> tuple[str, bytes]:
        """The type and the content."""
        ...


class Ancestry(Protocol):
    """Knows the history that is here; must be closed."""

    def leads_to(self, revision: str, base: str) -> bool:
        """Whether a commit's history holds another, both being here.

        Raises:
            ObjectMissing: they are not, or the history is damaged.
        """
        ...

    def close(self) -> None:
        """Let go of files and children."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """What towline wants of a commit."""

    tree: str
    parents: tuple[Revision, ...]
    time: datetime | None
    """When it was committed; None where the object does not say so legibly."""


def read_commit(reader: ObjectReader, oid: str) -> Commit:
    """Read a commit, peeling annotated tags on the way.

    Raises:
        ObjectMissing: it is not here.
        InvalidTree: it is no commit, or a malformed one.
    """
    for _ in range(10):  # tags of tags: git allows any depth, nobody needs more
        kind, size = reader.header(oid)
        if kind not in ("commit", "tag") or size > MAX_COMMIT_BYTES:
            break
        content = reader.read(oid)[1]
        if kind == "commit":
            return _parse_commit(oid, content)
        oid = _header_fields(content).get("object", [""])[0]
    raise InvalidTree(problems=(f"{oid} is not a commit",))


def peel(reader: ObjectReader, oid: str) -> Revision:
    """The commit that an id names, directly or through annotated tags. Raises as `read_commit`."""
    for _ in range(10):
        kind, size = reader.header(oid)
        if kind == "commit":
            return Revision(oid)
        if kind != "tag" or size > MAX_COMMIT_BYTES:
            break
        oid = _header_fields(reader.read(oid)[1]).get("object", [""])[0]
    raise InvalidTree(problems=(f"{oid} is not a commit",))


def walk_to(reader: ObjectReader, revision: str, base: str, *, cut: bool) -> bool:
    """Whether a commit's history holds another.

    ``cut`` says that history may end where it is cut off.

    Raises:
        ObjectMissing: history is not whole, and not cut either.
    """
    seen = {revision}
    todo = deque(seen)
    while todo:
        commit = todo.popleft()
        if commit == base:
            return True
        try:
            parents = read_commit(reader, commit).parents
        except ObjectMissing:
            if not cut:
                raise
            continue
        todo.extend(parent for parent in parents if parent not in seen)
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
