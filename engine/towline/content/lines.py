"""Three-way merge of lines, with git's verdict: it conflicts where ``git merge-file`` conflicts.

A region that both sides changed settles where they made the same of it, and else clashes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from towline.content.diff import Region, TooCostly, diff, regions
from towline.model import ThreeWay

_LINE = re.compile(rb"[^\n]*\n|[^\n]+")
_BINARY_PREFIX = 8_000
"""Where git looks for a NUL byte to call a file binary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clash:
    """A region that both sides changed differently, as line numbers from 0: start and end."""

    base: tuple[int, int]
    ours: tuple[int, int]
    theirs: tuple[int, int]


def is_binary(content: bytes) -> bool:
    """Whether git would call it binary: a NUL byte in the first 8,000."""
    return b"\0" in content[:_BINARY_PREFIX]


def split_lines(content: bytes) -> list[bytes]:
    """Split at line feeds alone, and keep them."""
    return _LINE.findall(content)


def merge_lines(sides: ThreeWay[bytes]) -> bytes | None:
    """Merge two edits of a text; None where they do not merge."""
    merged = merge_line_regions(sides)
    return None if merged is None or merged[1] else merged[0]


def merge_line_regions(sides: ThreeWay[bytes]) -> tuple[bytes, tuple[Clash, ...]] | None:
    """Merge two edits of a text, and return the regions that clash; those stay as in ours.

    None where a side is binary, or where too much changed to be compared.
    """
    if any(is_binary(side) for side in (sides.base, sides.ours, sides.theirs)):
        return None
    ours, theirs = split_lines(sides.ours), split_lines(sides.theirs)
    base = split_lines(sides.base)
    try:
        our_hunks, their_hunks = diff(base, ours), diff(base, theirs)
    except TooCostly:
        return None
    if not our_hunks:
        return sides.theirs, ()
    merged: list[bytes] = []
    clashes: list[Clash] = []
    position = 0
    for region in regions(our_hunks, their_hunks):
        if region.clashes(ours, theirs):
            clashes.append(_clash(region))
        elif not region.from_ours:
            merged += ours[position : region.ours.start]
            merged += theirs[region.theirs.start : region.theirs.stop]
            position = region.ours.stop
    merged += ours[position:]
    return b"".join(merged), tuple(clashes)


def _clash(region: Region) -> Clash:
    spans = [(side.start, side.stop) for side in (region.base, region.ours, region.theirs)]
    return Clash(base=spans[0], ours=spans[1], theirs=spans[2])
