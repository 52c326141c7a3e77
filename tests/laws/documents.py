"""JSON documents, what two editors make of one, and how it is written: each from one seed.

One draw makes a whole example, so twenty thousand take seconds. A smaller size is a simpler one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

from hypothesis import strategies as st

from towline.model import ThreeWay

Json = Any

SCALARS = (None, True, False, 0, 1, 1.0, -3, 1.5, "", "a", "b", "é\n", "1")
KEYS = "abcde"
SEEDS = st.builds(lambda seed, size: (seed, size), st.integers(0, 2**32 - 1), st.integers(1, 4))


def value(random: Random, size: int) -> Json:
    """A value of at most so many levels."""
    if not size or random.random() < 0.25:
        return random.choice(SCALARS)
    count = random.randint(0, 4)
    match random.randint(0, 4):
        case 0 | 1:
            return {key: value(random, size - 1) for key in random.sample(KEYS, count)}
        case 2:
            return [
                {"id": name, "v": value(random, size - 1)}
                for name in random.sample(range(7), count)
            ]
        case 3:
            return random.sample("pqrst", count)
        case _:
            return [value(random, size - 1) for _ in range(count)]


def document(random: Random, size: int) -> dict[str, Json]:
    return {key: value(random, size) for key in random.sample(KEYS, random.randint(0, 4))}


def edited(random: Random, found: Json) -> Json:
    """What an editor could make of a value."""
    action = random.randint(0, 9)
    if action == 0:
        return value(random, 2)
    if isinstance(found, dict):
        return edited_object(random, found, action)
    if isinstance(found, list):
        items = [edited(random, item) for item in found if random.randint(0, 9)]
        if action == 1:
            items.insert(random.randint(0, len(items)), value(random, 1))
        if action == 2:
            random.shuffle(items)
        return items
    return random.choice(SCALARS) if action == 3 else found


def edited_object(random: Random, found: dict[str, Json], action: int) -> dict[str, Json]:
    made = {
        key: item if key == "id" else edited(random, item)
        for key, item in found.items()
        if key == "id" or random.randint(0, 9)
    }
    if action == 1:
        made[random.choice(KEYS)] = value(random, 2)
    return shuffled(random, made) if action == 2 else made


def shuffled(random: Random, found: dict[str, Json]) -> dict[str, Json]:
    return dict(random.sample(list(found.items()), len(found)))


def respelled(random: Random, found: Json) -> bytes:
    """One of the ways to write a value."""
    indent = random.choice([None, 1, 2, 4, "\t"])
    separators = (",", ":") if indent is None and random.randint(0, 1) else None
    escapes = bool(random.randint(0, 1))
    text = json.dumps(found, indent=indent, separators=separators, ensure_ascii=escapes)
    text = text.replace("\n", random.choice(["\n", "\r\n"]))
    return random.choice([b"", b"\xef\xbb\xbf"]) + text.encode() + random.choice([b"", b"\n"])


def three_sides(random: Random, size: int) -> ThreeWay[bytes]:
    base = document(random, size)
    sides = [edited_object(random, base, random.randint(0, 9)) for _ in range(2)]
    return ThreeWay(*(respelled(random, side) for side in (base, *sides)))


@st.composite
def sides_and_more(draw: st.DrawFn) -> tuple[ThreeWay[bytes], Random]:
    """Three sides, and what else is to be drawn for them."""
    seed, size = draw(SEEDS)
    random = Random(seed)
    return three_sides(random, size), random


def leaves(found: Json) -> Iterator[Json]:
    """Yield every scalar of a value, and every key."""
    if isinstance(found, dict):
        for key, item in found.items():
            yield key
            yield from leaves(item)
    elif isinstance(found, list):
        for item in found:
            yield from leaves(item)
    else:
        yield found


def fields(found: Json) -> Iterator[tuple[dict[str, Json], str]]:
    """Yield each object with each of its keys that has a scalar and names no element."""
    if isinstance(found, dict):
        for key, item in found.items():
            if key != "id" and not isinstance(item, dict | list):
                yield found, key
            yield from fields(item)
    elif isinstance(found, list):
        for item in found:
            yield from fields(item)
