"""Three-way merge of lines, with git's verdict: it conflicts where ``git merge-file`` conflicts.

A region that both sides changed settles where they made the same of it, and else clashes.
"""

from __future__ import annotations

from towline.content.diff import DiffBase
from towline.content.regions import Region, regions
from towline.content.search import TooCostly
from towline.model import ThreeWay

MAX_LINES = 1_000_000
"""Of a side; more are not compared."""
_BINARY_PREFIX = 8_000
"""Where git looks for a NUL byte to call a file binary."""


def is_binary(content: bytes) -> bool:
    """Whether git would call it binary: a NUL byte in the first 8,000."""
    return b"\0" in content[:_BINARY_PREFIX]


def merge_lines(sides: ThreeWay[bytes]) -> bytes | None:
    """Merge two edits of a text; None where they do not merge."""
    merged = merge_line_regions(sides)
    return None if merged is None or merged[1] else merged[0]


def merge_line_regions(sides: ThreeWay[bytes]) -> tuple[bytes, tuple[Region, ...]] | None:
    """Merge two edits of a text, and return the regions that clash; those stay as in ours.

    None where a side is binary, or where too much changed to be compared.
    """
    if any(is_binary(text) or text.count(b"\n") > MAX_LINES for text in sides):
        return None
    before, ours, theirs = map(_split, sides)
    base = DiffBase(before)
    try:
        our_hunks, their_hunks = base.diff(ours), base.diff(theirs)
    except TooCostly:
        return None
    if not our_hunks:
        return sides.theirs, ()
    merged: list[bytes] = []
    clashes: list[Region] = []
    position = 0
    for region in regions(our_hunks, their_hunks):
        if region.clashes(ours, theirs):
            clashes.append(region)
        elif not region.from_ours:
            merged += ours[position : region.ours.start]
            merged += theirs[region.theirs.start : region.theirs.stop]
            position = region.ours.stop
    merged += ours[position:]
    return _joined(merged), tuple(clashes)


def _split(text: bytes) -> list[bytes]:
    """Return the lines without their line feed; the last has one if the text ends without.

    So a last line that has not ended differs from one that has, as it does to git.
    """
    lines = text.split(b"\n")
    last = lines.pop()
    return [*lines, last + b"\n"] if last else lines


def _joined(lines: list[bytes]) -> bytes:
    if lines and lines[-1].endswith(b"\n"):
        return b"\n".join(lines)[:-1]
    return b"\n".join([*lines, b""])
