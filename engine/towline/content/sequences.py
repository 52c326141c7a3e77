"""Three-way merge of lists whose elements have no identity: as lines are merged, or unordered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

from towline.content.diff import DiffBase
from towline.content.regions import regions
from towline.content.search import TooCostly
from towline.model import ThreeWay


class Replacement(NamedTuple):
    """Elements of ours that give way to elements of theirs, by their places."""

    ours: range
    theirs: range


def merge_ordered(sides: ThreeWay[list[Hashable]]) -> list[Replacement] | None:
    """Merge lists by a longest common subsequence; None where they conflict."""
    before = DiffBase(sides.base)
    try:
        found = list(regions(before.diff(sides.ours), before.diff(sides.theirs)))
    except TooCostly:
        return None
    if any(region.clashes(sides.ours, sides.theirs) for region in found):
        return None
    return [Replacement(each.ours, each.theirs) for each in found if not each.from_ours]


def merge_unordered(sides: ThreeWay[list[Hashable]]) -> list[Replacement] | None:
    """Merge lists by how often each element is in them; what theirs added is put last.

    None where both sides took out one element and put in different ones: both may have edited it.
    """
    base, ours, theirs = map(Counter, sides)
    our_lost, our_put, lost, put = base - ours, ours - base, base - theirs, theirs - base
    if lost & our_lost and put != our_put:
        return None
    end = len(sides.ours)
    gone = [Replacement(at, range(0)) for at in _places(sides.ours, lost - our_lost)]
    return gone + [Replacement(range(end, end), at) for at in _places(sides.theirs, put - our_put)]


def _places(side: Sequence[Hashable], counts: Counter[Hashable]) -> Iterator[range]:
    """Yield where a list has so many of these elements."""
    for at, item in enumerate(side):
        if counts[item] > 0:
            counts[item] -= 1
            yield range(at, at + 1)
