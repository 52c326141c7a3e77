"""Packs and objects for dulwich: sizes are checked before anything is unpacked.

Libraries unpack first, and a delta of a few hundred bytes can unpack to gigabytes. A child process
indexes a pack: as a program this module reads a pack from standard input, and adds it to the
objects folder that is its argument; it exits with zero, `OUT_OF_MEMORY` or `MALFORMED`.
"""

from __future__ import annotations

import mmap
import os
import shutil
import subprocess
import sys
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from dulwich.errors import ApplyDeltaError, ChecksumMismatch, NotGitRepository
from dulwich.object_store import DiskObjectStore
from dulwich.objects import ObjectID, RawObjectID
from dulwich.pack import PackFileDisappeared

from towline.frozen import frozen
from towline.remotes.cache import Cache, ObjectMissing
from towline.remotes.fetcher import FetchRequest, Unexplained
from towline.remotes.git_failures import out_of_memory, too_large_object
from towline.remotes.git_process import closed_environment, restrict
from towline.remotes.objects import KINDS, walk_to

OFS_DELTA, REF_DELTA = 6, 7
_HEAD_BYTES = 32
"""More than the two sizes at the start of a delta."""
_FEED = 4096
_PIECE = 1024 * 1024
OUT_OF_MEMORY, MALFORMED = 3, 4
_POLL_SECONDS = 0.02
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


@frozen(kw_only=True)
class PackEntry:
    """The header of an entry."""

    kind: int
    size: int
    """Of the content, or of the delta."""
    base_offset: int | None = None
    base_id: str | None = None
    data_at: int

    @property
    def is_delta(self) -> bool:
        """Whether it is a delta on a base object."""
        return self.kind in (OFS_DELTA, REF_DELTA)


def entry_at(data: mmap.mmap, offset: int) -> PackEntry:
    """Return the header of the entry at an offset."""
    first, at = data[offset], offset + 1
    kind, size = (first >> 4) & 7, first & 15
    if first & 128:
        more, at = _number(data, at)
        size |= more << 4
    if kind == REF_DELTA:
        base = data[at : at + 20].hex()
        return PackEntry(kind=kind, size=size, base_id=base, data_at=at + 20)
    if kind == OFS_DELTA:
        distance, at = _distance(data, at)
        if not 0 < distance <= offset:
            raise ValueError("a delta without a base before it")
        return PackEntry(kind=kind, size=size, base_offset=offset - distance, data_at=at)
    return PackEntry(kind=kind, size=size, data_at=at)


def _distance(data: mmap.mmap, at: int) -> tuple[int, int]:
    byte = data[at]
    value = byte & 127
    while byte & 128:
        at += 1
        byte = data[at]
        value = ((value + 1) << 7) | (byte & 127)
    return value, at + 1


def delta_result(data: mmap.mmap, entry: PackEntry) -> int:
    """Return the size of a delta's result; unpacks its first bytes alone."""
    inflater = zlib.decompressobj()
    head = inflater.decompress(data[entry.data_at : entry.data_at + 256], _HEAD_BYTES)
    return _number(head, _number(head, 0)[1])[0]


def _number(data: bytes | mmap.mmap, at: int) -> tuple[int, int]:
    """Return a number, least significant bits first, and its end."""
    value = shift = 0
    while True:
        byte = data[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if not byte & 128:
            return value, at
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


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

    def prefetch(self, oids: Sequence[str], most_bytes: int) -> None:
        """Do nothing: the objects are read in this process."""

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
                self._maps[pack] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
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


def check_pack(file: int, request: FetchRequest) -> None:
    """Check the size of every entry of a pack in an open file, in little memory.

    Raises:
        LimitExceeded: an object unpacks to more than the limits allow.
        Unexplained: it is no well-formed pack.
    """
    most = request.limits.object_bytes
    try:
        with mmap.mmap(file, 0, access=mmap.ACCESS_READ) as data:
            at = 12
            for number in range(int.from_bytes(data[8:12], "big")):
                if number % 256 == 0:
                    request.check()
                entry = entry_at(data, at)
                size = entry.size
                if entry.is_delta and size <= most:
                    size = max(size, delta_result(data, entry))
                if size > most:
                    raise too_large_object(size, request)
                at = _end(data, entry, request)
    except (zlib.error, IndexError, ValueError) as error:
        raise Unexplained("the remote sent a malformed pack") from error


def _end(data: mmap.mmap, entry: PackEntry, request: FetchRequest) -> int:
    """Return the end of an entry, inflating it piece by piece."""
    inflater, at, made = zlib.decompressobj(), entry.data_at, 0
    while not inflater.eof:
        piece = inflater.unconsumed_tail
        if not piece:
            piece = data[at : at + _FEED]
            at += len(piece)
        if not piece:
            raise ValueError("the pack ends within an entry")
        request.check()
        made += len(inflater.decompress(piece, _PIECE))
        if made > entry.size:
            raise ValueError("an entry is larger than it says")
    return at - len(inflater.unused_data)


def index_pack(pack: IO[bytes], objects: Path, request: FetchRequest) -> None:
    """Add a pack to an objects folder, in a child process within the limits.

    Raises:
        Unexplained: it is malformed, or a delta's base is missing.
        LimitExceeded: indexing takes more memory than the limits allow.
        RemoteTimeout: it took longer than the limits allow.
        Cancelled: the caller cancelled.
    """
    pack.seek(0)
    child = subprocess.Popen(
        [sys.executable, "-I", "-m", __name__, os.fspath(objects)],
        env=closed_environment({}),
        cwd="/",
        stdin=pack,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        restrict(child.pid, request.limits)
        while child.poll() is None:
            request.check()
            time.sleep(_POLL_SECONDS)
    finally:
        child.kill()
        child.wait()
    if child.returncode == OUT_OF_MEMORY:
        raise out_of_memory(request)
    if child.returncode != 0:
        raise Unexplained("the remote sent a malformed pack")


def main(objects: str) -> int:
    """Index the pack on standard input; return the exit code."""
    try:
        file, commit, abort = DiskObjectStore(objects).add_pack()
        try:
            shutil.copyfileobj(sys.stdin.buffer, file)
            commit()
        except BaseException:
            abort()
            raise
    except MemoryError:
        return OUT_OF_MEMORY
    except Exception:  # noqa: BLE001 - whatever a library raises for a hostile pack
        return MALFORMED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
