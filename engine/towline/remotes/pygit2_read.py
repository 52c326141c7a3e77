"""Reads objects through pygit2: the fastest, in this process."""

from __future__ import annotations

import pygit2
from pygit2.enums import ObjectType

from .cache import Cache
from .objects import ObjectMissing

_KINDS = {
    ObjectType.BLOB: "blob",
    ObjectType.TREE: "tree",
    ObjectType.COMMIT: "commit",
    ObjectType.TAG: "tag",
}


class Pygit2Reader:
    """An `ObjectReader` over libgit2's object database; its parsers are not used."""

    def __init__(self, cache: Cache) -> None:
        try:
            self._repository: pygit2.Repository | None = pygit2.Repository(str(cache.path))
        except (pygit2.GitError, KeyError):
            self._repository = None  # every object is missing from a cache that is broken

    def header(self, oid: str) -> tuple[str, int]:
        try:
            kind, size = self._there(oid).odb.read_header(pygit2.Oid(hex=oid))
            return _KINDS[ObjectType(kind)], size
        except (KeyError, ValueError, OSError, pygit2.GitError):
            raise ObjectMissing(oid) from None

    def read(self, oid: str) -> tuple[str, bytes]:
        try:
            kind, content = self._there(oid).odb.read(pygit2.Oid(hex=oid))
            return _KINDS[ObjectType(kind)], content
        except (KeyError, ValueError, OSError, pygit2.GitError):
            raise ObjectMissing(oid) from None

    def is_ancestor(self, base: str, revision: str) -> bool:
        try:
            self.header(base)
        except ObjectMissing:
            return False
        try:
            return self._there(base).descendant_of(revision, base)
        except (KeyError, ValueError, OSError, pygit2.GitError):
            raise ObjectMissing(revision) from None

    def close(self) -> None:
        if self._repository is not None:
            self._repository.free()
            self._repository = None

    def _there(self, oid: str) -> pygit2.Repository:
        if self._repository is None:
            raise ObjectMissing(oid)
        return self._repository
