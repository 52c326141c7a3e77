"""The order of what two sides have in one object or list."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from towline.content.values import Value
from towline.model import ThreeWay


def interleaved(
    first: list[str],
    second: list[str],
    taken: Iterable[str],
    *,
    second_follows: bool,
    base: Iterable[str] = (),
) -> list[str]:
    """Return ``first`` with what ``second`` alone has, each behind what it follows there.

    Names that are not ``taken`` are left out. What both put between the same names is in the order
    of the places in ``base`` that it was put to. At one place ``second`` goes before what ``first``
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
    places = {key: at for at, key in enumerate(base)}
    mine, other = _spans(first, places), _spans(second, places)
    merged: list[str] = []
    waiting = deque(additions.pop(None, []))
    for key in own:
        while waiting and (
            key in common or _goes_before(other[waiting[0]], mine[key], follows=second_follows)
        ):
            merged.append(waiting.popleft())
        merged.append(key)
        waiting += additions.pop(key, [])
    return [*merged, *waiting]


_Span = tuple[int, int]


def _spans(side: list[str], places: Mapping[str, int]) -> dict[str, _Span]:
    """Return the places in base that each name of a side takes: none if it was put between two."""
    spans: dict[str, _Span] = {}
    start = 0
    run: list[str] = []
    for key in side:
        if (at := places.get(key)) is None:
            run.append(key)
            continue
        # Where a side has another order than base, its end may be before its start.
        spans.update(dict.fromkeys(run, (start, max(start, at))))
        spans[key] = (at, at + 1)
        start, run = at + 1, []
    spans.update(dict.fromkeys(run, (start, max(start, len(places)))))
    return spans


def _goes_before(one: _Span, other: _Span, *, follows: bool) -> bool:
    return one < other or (one == other and not follows)


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
