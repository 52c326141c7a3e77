"""Reads objects with dulwich; sizes come from the headers of packs, before unpacking."""

from __future__ import annotations

import mmap
import os
import zlib

from dulwich.errors import ApplyDeltaError, ChecksumMismatch, NotGitRepository
from dulwich.object_store import DiskObjectStore
from dulwich.objects import ObjectID, RawObjectID
from dulwich.pack import PackFileDisappeared

from towline.remotes.cache import Cache
from towline.remotes.objects import ObjectMissing, walk_to
from towline.remotes.packs import KINDS, delta_result, entry_at, map_pack

_BROKEN = (
    ApplyDeltaError,
    AssertionError,
    ChecksumMismatch,
    IndexError,
    KeyError,
    NotGitRepository,
    OSError,
    PackFileDisappeared,
    RecursionError,
    ValueError,
    zlib.error,
)


class DulwichReader:
    """A `CacheReader` over dulwich's object store; its parsers are not used."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._store = DiskObjectStore(str(cache.path / "objects"))
        self._maps: dict[str, mmap.mmap] = {}

    def header(self, oid: str) -> tuple[str, int]:
        size, seen, at = None, set(), oid
        while at not in seen:
            seen.add(at)
            try:
                kind, declared, base = self._packed_header(at) or self._loose_header(at)
            except _BROKEN:
                break
            size = declared if size is None else size
            if base is None:
                return kind, size
            at = base
        raise ObjectMissing(oid)

    def read(self, oid: str) -> tuple[str, bytes]:
        try:
            number, content = self._store.get_raw(ObjectID(oid.encode()))
            return KINDS[number], content
        except _BROKEN:
            raise ObjectMissing(oid) from None

    def is_ancestor(self, base: str, revision: str) -> bool:
        return walk_to(self, revision, base, shallow=self._cache.shallow)

    def close(self) -> None:
        for data in self._maps.values():
            data.close()
        self._maps.clear()
        self._store.close()

    def _packed_header(self, oid: str) -> tuple[str, int, str | None] | None:
        """Return type and size, and the base whose type it is, for a delta that names one."""
        raw = RawObjectID(bytes.fromhex(oid))
        for attempt in range(2):
            for pack in self._store.packs:
                try:
                    offset = pack.index.object_offset(raw)
                except KeyError:
                    continue
                return self._entry_header(self._mapped(os.fspath(pack.data.path)), offset)
            if attempt == 0 and ObjectID(oid.encode()) not in self._store:  # searches new packs
                raise KeyError(oid)
        return None

    def _mapped(self, pack: str) -> mmap.mmap:
        if pack not in self._maps:
            with open(pack, "rb") as file:
                self._maps[pack] = map_pack(file.fileno())
        return self._maps[pack]

    def _entry_header(self, data: mmap.mmap, offset: int) -> tuple[str, int, str | None]:
        entry = entry_at(data, offset)
        size = delta_result(data, entry) if entry.is_delta else entry.size
        while entry.base_offset is not None:
            entry = entry_at(data, entry.base_offset)
        return KINDS.get(entry.kind, ""), size, entry.base_id

    def _loose_header(self, oid: str) -> tuple[str, int, str | None]:
        number, content = self._store.get_raw(ObjectID(oid.encode()))
        return KINDS[number], len(content), None
