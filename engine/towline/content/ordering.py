"""The order of what two sides have in one object or list."""

from __future__ import annotations

from collections.abc import Iterable

from towline.content.values import Value
from towline.model import ThreeWay


def interleaved(
    first: list[str], second: list[str], taken: Iterable[str], *, second_follows: bool
) -> list[str]:
    """Return ``first`` with what ``second`` alone has, each behind what it follows there.

    Names that are not ``taken`` are left out. At one place ``second`` goes before what ``first``
    alone has, or behind it.
    """
    wanted = set(taken)
    common = set(second) & wanted
    own = [key for key in first if key in wanted]
    known = set(own)
    # What second adds, by the element that it follows there; None: at the start.
    additions: dict[str | None, list[str]] = {}
    anchor: str | None = None
    for key in second:
        if key in known:
            anchor = key
        elif key in wanted:
            additions.setdefault(anchor, []).append(key)
    if not additions:
        return own
    merged: list[str] = []
    waiting = additions.pop(None, [])
    for key in own:
        if waiting and (not second_follows or key in common):
            merged += waiting
            waiting = []
        merged.append(key)
        waiting += additions.pop(key, [])
    return merged + waiting


def is_rewritten(places: ThreeWay[dict[str, int]], base: list[Value]) -> bool:
    """Whether both sides put different strings in the place of one that both took away.

    That is one string that both edited, as a line of a notebook's source, and not two additions.
    """
    gone = places.base.keys() - places.ours.keys() - places.theirs.keys()
    if not gone or not isinstance(base[0], str):
        return False
    common = places.base.keys() & places.ours.keys() & places.theirs.keys()
    added = [
        _by_anchor((token, token in common, token not in places.base) for token in side)
        for side in (places.ours, places.theirs)
    ]
    lost = _by_anchor((token, token in common, token in gone) for token in places.base)
    mine, other = added
    return any(
        mine.get(anchor, set()) - other.get(anchor, set())
        and other.get(anchor, set()) - mine.get(anchor, set())
        for anchor in lost
    )


def _by_anchor(tokens: Iterable[tuple[str, bool, bool]]) -> dict[str | None, set[str]]:
    """Return those tokens that are wanted, by the anchor before them.

    A token comes with whether it is an anchor, and whether it is wanted.
    """
    found: dict[str | None, set[str]] = {}
    anchor: str | None = None
    for token, is_anchor, is_wanted in tokens:
        if is_anchor:
            anchor = token
        elif is_wanted:
            found.setdefault(anchor, set()).add(token)
    return found
