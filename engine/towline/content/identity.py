"""By which name an element of a list is known: its identity key, or itself if it is a string."""

from __future__ import annotations

import json
from collections.abc import Sequence

from towline.content.values import Value

IDENTITIES = ("id", "key", "uuid", "uid", "name", "alias")
"""The keys by which objects in a list are known, in order of preference."""


def element_names(
    sides: Sequence[list[Value]], named: str | None = None
) -> list[dict[str, int]] | None:
    """Return the positions of each list's elements by the name that they have in pointers.

    ``named`` is the identity key of a rule. None where the elements have no names.
    """
    if (key := _identity_key(sides, named)) is not None:
        return [_by_identity(side, key) for side in sides]
    if named is None and _are_unique_strings(sides):
        return [{f"[{item}]": at for at, item in enumerate(side)} for side in sides]
    return None


def _identity_key(sides: Sequence[list[Value]], named: str | None) -> str | None:
    """Return the key by which the elements of all three sides are known, if there is one."""
    if not any(sides) or not all(isinstance(item, dict) for side in sides for item in side):
        return None
    for key in (named,) if named is not None else IDENTITIES:
        if not _has_key(sides, key):
            continue
        return key if all(_is_unique(side, key) for side in sides) else None
    return None


def is_doubled(sides: Sequence[list[Value]]) -> bool:
    """Whether elements have an identity, which one side has twice though base has it once."""
    base = sides[0]
    if not any(sides) or not all(isinstance(item, dict) for side in sides for item in side):
        return False
    for key in IDENTITIES:
        if _has_key(sides, key):
            return bool(base) and _is_unique(base, key)
    return False


def _has_key(sides: Sequence[list[Value]], key: str) -> bool:
    return all(_is_name(item.get(key)) for side in sides for item in side)


def _is_name(value: Value) -> bool:
    return isinstance(value, str) or (isinstance(value, tuple) and value[0] in ("whole", "plain"))


def _is_unique(side: list[Value], key: str) -> bool:
    return len(_by_identity(side, key)) == len(side)


def _by_identity(side: list[Value], key: str) -> dict[str, int]:
    return {f"[{key}={_name(item[key])}]": at for at, item in enumerate(side)}


def _name(value: Value) -> str:
    return (
        json.dumps(value)
        if isinstance(value, str) and _looks_whole(value)
        else (value if isinstance(value, str) else str(value[1]))
    )


def _looks_whole(text: str) -> bool:
    """Whether a text must be quoted to differ from a number."""
    return text.lstrip("-").isdigit() or text.startswith('"')


def _are_unique_strings(sides: Sequence[list[Value]]) -> bool:
    return all(
        all(isinstance(item, str) for item in side) and len(set(side)) == len(side)
        for side in sides
    )
