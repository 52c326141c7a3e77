"""Owns how entries of a pack declare themselves, for those who must know a size before unpacking.

The libraries unpack first: a delta of a few hundred bytes can ask them for gigabytes.
"""

from __future__ import annotations

import mmap
import zlib
from dataclasses import dataclass

from towline.remotes.fetcher import FetchRequest
from towline.remotes.git_failures import Unexplained, too_large_object

KINDS = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}
OFS_DELTA, REF_DELTA = 6, 7
_HEAD_BYTES = 32
"""More than the two sizes that a delta begins with."""
_FEED = 4096
_PIECE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class PackEntry:
    """An entry as its first bytes declare it."""

    kind: int
    size: int
    """Of the content, or of the delta."""
    base_offset: int | None = None
    base_id: str | None = None
    data_at: int

    @property
    def is_delta(self) -> bool:
        """Whether it stands on another object."""
        return self.kind in (OFS_DELTA, REF_DELTA)


def mapped(pack: str) -> mmap.mmap:
    """A pack's bytes, to be looked at in place."""
    with open(pack, "rb") as file:
        return _mapped(file.fileno())


def _mapped(file: int) -> mmap.mmap:
    return mmap.mmap(file, 0, access=mmap.ACCESS_READ)


def entry_at(data: mmap.mmap, offset: int) -> PackEntry:
    """The entry that starts at an offset."""
    at = offset
    byte = data[at]
    kind, size, shift = (byte >> 4) & 7, byte & 15, 4
    while byte & 128:
        at += 1
        byte = data[at]
        size |= (byte & 127) << shift
        shift += 7
    at += 1
    if kind == REF_DELTA:
        base = data[at : at + 20].hex()
        return PackEntry(kind=kind, size=size, base_id=base, data_at=at + 20)
    if kind == OFS_DELTA:
        distance, at = _distance(data, at)
        if not 0 < distance <= offset:
            raise ValueError("a delta starts from nothing before it")
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
    """The size of what a delta makes; unpacks no more than its beginning."""
    inflater = zlib.decompressobj()
    head = inflater.decompress(data[entry.data_at : entry.data_at + 256], _HEAD_BYTES)
    return _result_size(head)


def _result_size(head: bytes) -> int:
    sizes, value, shift = [], 0, 0
    for byte in head:
        value |= (byte & 127) << shift
        shift += 7
        if not byte & 128:
            sizes.append(value)
            value, shift = 0, 0
    if len(sizes) < 2:
        raise ValueError("a delta that tells no size")
    return sizes[1]


def check_pack(file: int, talk: FetchRequest) -> None:
    """Look at every entry of a pack that just arrived in an open file, in little memory.

    Raises:
        LimitExceeded: an object unpacks to more than the limits allow.
        Unexplained: it is no well-formed pack.
    """
    most = talk.limits.object_bytes
    try:
        with _mapped(file) as data:
            at = 12
            for number in range(int.from_bytes(data[8:12], "big")):
                if number % 256 == 0:
                    talk.check()
                entry = entry_at(data, at)
                size = entry.size
                if entry.is_delta and size <= most:
                    size = max(size, delta_result(data, entry))
                if size > most:
                    raise too_large_object(size, talk)
                at = _end(data, entry, talk)
    except (zlib.error, IndexError, ValueError) as error:
        raise Unexplained("it sent a malformed pack") from error


def _end(data: mmap.mmap, entry: PackEntry, talk: FetchRequest) -> int:
    """Where an entry ends: inflates piece by piece, and keeps nothing."""
    inflater, at, made = zlib.decompressobj(), entry.data_at, 0
    while not inflater.eof:
        piece = inflater.unconsumed_tail
        if not piece:
            piece = data[at : at + _FEED]
            at += len(piece)
        if not piece:
            raise ValueError("the pack ends within an entry")
        talk.check()
        made += len(inflater.decompress(piece, _PIECE))
        if made > entry.size:
            raise ValueError("an entry is larger than it says")
    return at - len(inflater.unused_data)
