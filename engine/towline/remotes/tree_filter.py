"""Decides which entries of a tree are assets: an entry is one, or is none for a reason.

docs/semantics.md, rule 14: symbolic links, submodules, LFS pointers, what is outside the kinds, and
names that no store may hold are ignored.
"""

from __future__ import annotations

from towline.changes import RemoteAsset, RemoteEntry
from towline.errors import InvalidTree
from towline.frozen import frozen
from towline.kinds import Kinds
from towline.limits import Limits
from towline.model import AssetPath, AssetState, Digest, NonAsset, NonAssetReason
from towline.ports import Traffic
from towline.remotes.objects import ObjectReader
from towline.remotes.trees import EntryMode, TreeEntry

LFS_PREFIX = b"version https://git-lfs.github.com/spec/v1"
LFS_MAX_BYTES = 1024
"""Git LFS's limit for a pointer file."""


@frozen
class EntryPath:
    """The path of an entry in the scope, and whether it is exact."""

    path: str
    utf8: bool = True
    short: bool = True
    """Whether every name is within the limit."""
    depth: int = 0

    def child(self, text: str, name: bytes, limits: Limits) -> EntryPath:
        """Return the path of an entry of this folder; ``text`` is its name as shown."""
        return EntryPath(
            path=f"{self.path}/{text}" if self.path else text,
            utf8=self.utf8 and text.encode("utf-8", "replace") == name,
            short=self.short and len(name) <= limits.name_bytes,
            depth=self.depth + 1,
        )


@frozen
class TreeFilter:
    """Turns entries into assets and non-assets.

    ``blobs`` caches the small blobs that are read to recognise pointers.
    """

    reader: ObjectReader
    kinds: Kinds
    limits: Limits
    traffic: Traffic
    blobs: dict[str, bytes]

    def by_name(self, entry: TreeEntry, at: EntryPath) -> NonAssetReason | None:
        """Return why it is no asset, judged by name and mode alone."""
        if not at.utf8:
            return NonAssetReason.NAME_NOT_UTF8
        if not at.short or len(at.path.encode()) > self.limits.path_bytes:
            return NonAssetReason.NAME_TOO_LONG
        if entry.mode is EntryMode.SYMLINK:
            return NonAssetReason.SYMLINK
        if entry.mode is EntryMode.SUBMODULE:
            return NonAssetReason.SUBMODULE
        if self.kinds.of(at.path) is None:
            return NonAssetReason.OUTSIDE_KINDS
        return None

    def before(self, entry: TreeEntry, at: EntryPath) -> RemoteEntry:
        """Return an entry before the change; its content is not read."""
        path = AssetPath(at.path)
        if reason := self.by_name(entry, at):
            return NonAsset(path=path, reason=reason)
        kind, size = self.reader.header(entry.oid)
        if kind != "blob":
            raise InvalidTree(problems=(f"{path!r} is a file, but its object is a {kind}",))
        executable = entry.mode is EntryMode.EXECUTABLE
        state = AssetState(path=path, digest=Digest(entry.oid), executable=executable)
        return RemoteAsset(state=state, size=size)

    def after(self, entry: TreeEntry, at: EntryPath) -> RemoteEntry:
        """Return an entry after the change.

        Raises:
            LimitExceeded: the asset is too large, by its header, before it is unpacked.
        """
        found = self.before(entry, at)
        if isinstance(found, NonAsset):
            return found
        if found.size > self.limits.asset_bytes:
            raise self.limits.exceeded("asset_bytes", found.size, at.path)
        if self._is_lfs_pointer(entry.oid, found.size):
            return NonAsset(path=found.path, reason=NonAssetReason.LFS_POINTER)
        return found

    def _is_lfs_pointer(self, oid: str, size: int) -> bool:
        if not len(LFS_PREFIX) <= size <= LFS_MAX_BYTES:
            return False
        if oid not in self.blobs:
            self.traffic.blobs_read += 1
            self.blobs[oid] = self.reader.read(oid)[1]
        return self.blobs[oid].startswith(LFS_PREFIX)
