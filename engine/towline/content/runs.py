"""How far two sequences are equal, from one place in each on, or back.

Slices are compared, twice as long each time, so that a long run of equal lines costs little.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence


def equal_ahead(a: Sequence[Hashable], x: int, b: Sequence[Hashable], y: int, most: int) -> int:
    """Return how many items from ``a[x]`` and ``b[y]`` on are equal, at most ``most``."""
    length, step, factor = 0, 1, 2
    while step := min(step, most - length):
        at, to = x + length, y + length
        if a[at : at + step] == b[to : to + step]:
            length += step
            step *= factor
        else:
            step, factor = step // 2, 1
    return length


def equal_behind(a: Sequence[Hashable], x: int, b: Sequence[Hashable], y: int, most: int) -> int:
    """Return how many items before ``a[x]`` and ``b[y]`` are equal, at most ``most``."""
    length, step, factor = 0, 1, 2
    while step := min(step, most - length):
        at, to = x - length, y - length
        if a[at - step : at] == b[to - step : to]:
            length += step
            step *= factor
        else:
            step, factor = step // 2, 1
    return length
