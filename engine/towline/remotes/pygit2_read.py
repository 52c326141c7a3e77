"""Reads objects with pygit2: the fastest backend, in this process."""

from __future__ import annotations

import pygit2
from pygit2.enums import ObjectType

from towline.remotes.cache import Cache
from towline.remotes.objects import CacheReader, ObjectMissing

_KINDS = {
    ObjectType.BLOB: "blob",
    ObjectType.TREE: "tree",
    ObjectType.COMMIT: "commit",
    ObjectType.TAG: "tag",
}
_BROKEN = (KeyError, ValueError, OSError, pygit2.GitError)


class Pygit2Reader:
    """A `CacheReader` over libgit2's object database; its parsers are not used.

    A libgit2 repository would read configuration, and check who owns the folder. ``history``
    walks the history: git does so faster than object by object.
    """

    def __init__(self, cache: Cache, history: CacheReader) -> None:
        self._history = history
        try:
            self._odb: pygit2.Odb | None = pygit2.Odb(str(cache.path / "objects"))
        except _BROKEN:
            self._odb = None  # a damaged cache: every object is missing

    def header(self, oid: str) -> tuple[str, int]:
        try:
            kind, size = self._opened(oid).read_header(pygit2.Oid(hex=oid))
            return _KINDS[ObjectType(kind)], size
        except _BROKEN:
            raise ObjectMissing(oid) from None

    def read(self, oid: str) -> tuple[str, bytes]:
        try:
            kind, content = self._opened(oid).read(pygit2.Oid(hex=oid))
            return _KINDS[ObjectType(kind)], content
        except _BROKEN:
            raise ObjectMissing(oid) from None

    def is_ancestor(self, base: str, revision: str) -> bool:
        return self._history.is_ancestor(base, revision)

    def close(self) -> None:
        self._odb = None
        self._history.close()

    def _opened(self, oid: str) -> pygit2.Odb:
        if self._odb is None:
            raise ObjectMissing(oid)
        return self._odb
