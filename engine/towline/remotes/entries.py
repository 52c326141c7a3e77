"""Decide what an entry of a tree is: an asset, or no asset and why (docs/semantics.md, rule 14)."""

from __future__ import annotations

from dataclasses import dataclass

from towline.changes import RemoteAsset, RemoteEntry
from towline.errors import InvalidTree, LimitExceeded
from towline.kinds import Kinds
from towline.limits import Limits
from towline.model import AssetPath, AssetState, Digest, NonAsset, NonAssetReason
from towline.ports import Traffic
from towline.remotes.objects import ObjectReader
from towline.remotes.trees import EntryMode, TreeEntry

LFS_PREFIX = b"version https://git-lfs.github.com/spec/v1"
LFS_MAX_BYTES = 1024
"""Git LFS's own bound on a pointer file."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry stands: its shown path in the scope, and whether that is its true name."""

    path: str
    utf8: bool = True
    short: bool = True
    """Whether no name of its path is above the limit."""
    depth: int = 0

    def below(self, text: str, name: bytes, limits: Limits) -> Place:
        """The place of an entry in this folder; ``text`` is its shown name."""
        return Place(
            path=f"{self.path}/{text}" if self.path else text,
            utf8=self.utf8 and text.encode("utf-8", "replace") == name,
            short=self.short and len(name) <= limits.name_bytes,
            depth=self.depth + 1,
        )


@dataclass(frozen=True, slots=True)
class Classifier:
    """Turns entries into what the merge knows, reading as little as it can.

    ``kept`` takes the few bytes that were read to tell a pointer from an asset, so that nobody
    reads them again.
    """

    reader: ObjectReader
    kinds: Kinds
    limits: Limits
    traffic: Traffic
    kept: dict[str, bytes]

    def by_name(self, entry: TreeEntry, place: Place) -> NonAssetReason | None:
        """Why it cannot be an asset, as far as its name and mode tell."""
        if not place.utf8:
            return NonAssetReason.NAME_NOT_UTF8
        if not place.short or len(place.path.encode()) > self.limits.path_bytes:
            return NonAssetReason.NAME_TOO_LONG
        if entry.mode is EntryMode.SYMLINK:
            return NonAssetReason.SYMLINK
        if entry.mode is EntryMode.SUBMODULE:
            return NonAssetReason.SUBMODULE
        if self.kinds.of(place.path) is None:
            return NonAssetReason.OUTSIDE_KINDS
        return None

    def before(self, entry: TreeEntry, place: Place) -> RemoteEntry:
        """The entry as it was: by mode and kind alone, for its content is never read."""
        path = AssetPath(place.path)
        if reason := self.by_name(entry, place):
            return NonAsset(path=path, reason=reason)
        return _asset(entry, path, self._size(entry, path))

    def after(self, entry: TreeEntry, place: Place) -> RemoteEntry:
        """The entry as it is now.

        Raises:
            LimitExceeded: an asset is too large; told by its header, before anything is unpacked.
        """
        path = AssetPath(place.path)
        if reason := self.by_name(entry, place):
            return NonAsset(path=path, reason=reason)
        size = self._size(entry, path)
        if size > self.limits.asset_bytes:
            raise LimitExceeded(
                limit="asset_bytes", allowed=self.limits.asset_bytes, found=size, subject=path
            )
        if self._is_lfs_pointer(entry.oid, size):
            return NonAsset(path=path, reason=NonAssetReason.LFS_POINTER)
        return _asset(entry, path, size)

    def _size(self, entry: TreeEntry, path: str) -> int:
        kind, size = self.reader.header(entry.oid)
        if kind != "blob":
            raise InvalidTree(problems=(f"{path!r} is a file made of a {kind} object",))
        return size

    def _is_lfs_pointer(self, oid: str, size: int) -> bool:
        if not len(LFS_PREFIX) <= size <= LFS_MAX_BYTES:
            return False
        if oid not in self.kept:
            self.traffic.blobs_read += 1
            self.kept[oid] = self.reader.read(oid)[1]
        return self.kept[oid].startswith(LFS_PREFIX)


def _asset(entry: TreeEntry, path: AssetPath, size: int) -> RemoteAsset:
    executable = entry.mode is EntryMode.EXECUTABLE
    state = AssetState(path=path, digest=Digest(entry.oid), executable=executable)
    return RemoteAsset(state=state, size=size)
