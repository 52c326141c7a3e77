"""Reads objects through pygit2: the fastest, in this process."""

from __future__ import annotations

import pygit2
from pygit2.enums import ObjectType

from towline.remotes.cache import Cache
from towline.remotes.objects import Ancestry, ObjectMissing

_KINDS = {
    ObjectType.BLOB: "blob",
    ObjectType.TREE: "tree",
    ObjectType.COMMIT: "commit",
    ObjectType.TAG: "tag",
}
_BROKEN = (KeyError, ValueError, OSError, pygit2.GitError)


class Pygit2Reader:
    """An `ObjectReader` over libgit2's object database; its parsers are not used.

    Not over a repository: that would read configuration, and ask who owns the folder.
    """

    def __init__(self, cache: Cache, ancestry: Ancestry) -> None:
        self._ancestry = ancestry
        try:
            self._odb: pygit2.Odb | None = pygit2.Odb(str(cache.path / "objects"))
        except _BROKEN:
            self._odb = None  # every object is missing from a cache that is broken

    def header(self, oid: str) -> tuple[str, int]:
        try:
            kind, size = self._there(oid).read_header(pygit2.Oid(hex=oid))
            return _KINDS[ObjectType(kind)], size
        except _BROKEN:
            raise ObjectMissing(oid) from None

    def read(self, oid: str) -> tuple[str, bytes]:
        try:
            kind, content = self._there(oid).read(pygit2.Oid(hex=oid))
            return _KINDS[ObjectType(kind)], content
        except _BROKEN:
            raise ObjectMissing(oid) from None

    def leads_to(self, revision: str, base: str) -> bool:
        return self._ancestry.leads_to(revision, base)

    def close(self) -> None:
        self._odb = None
        self._ancestry.close()

    def _there(self, oid: str) -> pygit2.Odb:
        if self._odb is None:
            raise ObjectMissing(oid)
        return self._odb
