"""TOML as a merge compares it, and a decided merge applied to a document.

tomlkit keeps all that it does not change. The caller parses the result again.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from towline.content.decision import Inside, Merge, Slot, Take
from towline.content.values import (
    STACK_DEPTH,
    NotParsed,
    TextDocument,
    TooDeep,
    Value,
    decode_text,
    parse_number,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TomlDocument(TextDocument):
    """A parsed document: its text, and its value with strict types."""

    value: Value


def parse_toml(content: bytes) -> TomlDocument:
    """Parse a document. Raises `NotParsed`."""
    try:
        text, has_bom = decode_text(content)
        value = _strict(tomllib.loads(text, parse_float=_fraction), 0)
    except (ValueError, RecursionError):
        raise NotParsed from None
    return TomlDocument(text=text, has_bom=has_bom, value=value)


def _fraction(literal: str) -> tuple[object, ...]:
    plain = literal.replace("_", "").lstrip("+")
    if plain.lstrip("-") in ("inf", "nan"):
        return ("fraction", plain)
    found: tuple[object, ...] = parse_number(plain)
    return found


def _strict(value: object, depth: int) -> Value:
    if depth > STACK_DEPTH:
        raise TooDeep
    match value:
        case dict():
            return {key: _strict(item, depth + 1) for key, item in value.items()}
        case list():
            return [_strict(item, depth + 1) for item in value]
        case bool() | str() | tuple():
            return value
        case int():
            return ("whole", str(value))
        case _:  # a date, a time, or both
            return (type(value).__name__, str(value))


def edit_toml(ours: TomlDocument, theirs: TomlDocument, merge: Merge) -> bytes | None:
    """Return the bytes of ours with a decided merge applied; None where it cannot be."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        mine, other = tomlkit.parse(ours.text), tomlkit.parse(theirs.text)
        if tomlkit.dumps(mine) != ours.text:
            return None
        _apply(merge, mine, other)
        return ours.encode(tomlkit.dumps(mine))
    except (TOMLKitError, ValueError, KeyError, IndexError, TypeError, AttributeError):
        # It has no one error for what it cannot edit; the answer is checked in any case.
        return None


def _apply(merge: Merge, mine: Any, other: Any) -> None:
    if not isinstance(merge, Inside):
        raise TypeError("the whole document changed its type")
    if isinstance(mine, Mapping):
        _apply_to_table(merge.slots, mine, other)
    else:
        _apply_to_array(merge.slots, mine, other)


def _apply_to_table(slots: Sequence[Slot], mine: Any, other: Any) -> None:
    left = {slot.ours for slot in slots}
    for key in [key for key in mine if key not in left]:
        mine.remove(key)
    for slot in slots:
        if slot.theirs is None:
            continue
        if slot.ours is None:
            mine.append(slot.theirs, other[slot.theirs])
        elif isinstance(slot.merge, Take):
            mine[slot.ours] = other[slot.theirs]
        elif isinstance(slot.merge, Inside):
            _apply(slot.merge, mine[slot.ours], other[slot.theirs])


def _apply_to_array(slots: Sequence[Slot], mine: Any, other: Any) -> None:
    order = [slot.ours for slot in slots if slot.ours is not None]
    if order != sorted(order, key=int):
        raise ValueError("elements changed places")
    for slot in slots:
        if slot.ours is not None and slot.theirs is not None:
            if isinstance(slot.merge, Take):
                mine[slot.ours] = other[slot.theirs]
            elif isinstance(slot.merge, Inside):
                _apply(slot.merge, mine[slot.ours], other[slot.theirs])
    for at in sorted(set(range(len(mine))) - set(order), reverse=True):
        del mine[at]
    for at, slot in enumerate(slots):
        if slot.ours is None:
            mine.insert(at, other[slot.theirs])
