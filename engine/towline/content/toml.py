"""TOML as a merge compares it, and a decided merge applied to a document.

tomlkit keeps all that it does not change. The caller parses the result again.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from towline.content.decision import Inside, Merge, Slot, Take
from towline.content.values import (
    STACK_DEPTH,
    Document,
    NotParsed,
    TooDeep,
    Value,
    decode_text,
    parse_number,
)

MAX_ARRAY_STEPS = 10_000_000
"""How many elements the edits of one document may renumber, about a second's work.

tomlkit numbers the elements of an array for each that is inserted or deleted.
"""


def parse_toml(content: bytes) -> Document:
    """Parse a document. Raises `NotParsed`."""
    try:
        text, has_bom = decode_text(content)
        value = _strict(tomllib.loads(text, parse_float=_fraction), 0)
    except (ValueError, RecursionError):
        raise NotParsed from None
    return Document(text=text, has_bom=has_bom, value=value)


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


def edit_toml(ours: Document, theirs: Document, merge: Merge) -> bytes | None:
    """Return the bytes of ours with a decided merge applied; None where it cannot be."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        mine, other = tomlkit.parse(ours.text), tomlkit.parse(theirs.text)
        if tomlkit.dumps(mine) != ours.text:
            return None
        _Writer().apply(merge, mine, other)
        return ours.encode(tomlkit.dumps(mine))
    except (TOMLKitError, ValueError, KeyError, IndexError, TypeError, AttributeError):
        # It has no one error for what it cannot edit; the answer is checked in any case.
        return None


class _Writer:
    """Applies one merge to one document."""

    def __init__(self) -> None:
        self._steps_left = MAX_ARRAY_STEPS

    def apply(self, merge: Merge, mine: Any, other: Any) -> None:
        """Apply a decision to a table or an array; raises what tomlkit does, and ValueError."""
        if not isinstance(merge, Inside):
            raise TypeError("the whole document changed its type")
        if isinstance(mine, Mapping):
            self._apply_to_table(merge.slots, mine, other)
        else:
            self._apply_to_array(merge.slots, mine, other)

    def _apply_to_table(self, slots: Sequence[Slot], mine: Any, other: Any) -> None:
        left = {slot.ours for slot in slots}
        for key in [key for key in mine if key not in left]:
            mine.remove(key)
        for slot in slots:
            if slot.theirs is None or slot.ours is None:
                continue
            if isinstance(slot.merge, Take):
                mine[slot.ours] = _with_comment(other, slot.theirs)
            elif isinstance(slot.merge, Inside):
                self.apply(slot.merge, mine[slot.ours], other[slot.theirs])
        added = [slot.theirs for slot in slots if slot.ours is None]
        _append({key: _with_comment(other, key) for key in added}, mine)

    def _apply_to_array(self, slots: Sequence[Slot], mine: Any, other: Any) -> None:
        order = [slot.ours for slot in slots if slot.ours is not None]
        if order != sorted(order, key=int):
            raise ValueError("elements changed places")
        for slot in slots:
            if slot.ours is not None and slot.theirs is not None:
                if isinstance(slot.merge, Take):
                    mine[slot.ours] = other[slot.theirs]
                elif isinstance(slot.merge, Inside):
                    self.apply(slot.merge, mine[slot.ours], other[slot.theirs])
        deleted = set(range(len(mine))) - set(order)
        self._count_steps(mine, len(deleted), len(slots) - len(order))
        for at in sorted(deleted, reverse=True):
            del mine[at]
        for at, slot in enumerate(slots):
            if slot.ours is None:
                mine.insert(at, other[slot.theirs])

    def _count_steps(self, mine: Any, deleted: int, inserted: int) -> None:
        from tomlkit.items import Array

        if isinstance(mine, Array):
            self._steps_left -= (deleted + inserted) * (len(mine) + inserted)
        if self._steps_left < 0:
            raise ValueError("too many elements come and go in arrays that are too long")


def _with_comment(table: Any, key: Any) -> Any:
    """Return a value of a table with its comment, which tomlkit leaves out of booleans."""
    from tomlkit.container import Container
    from tomlkit.items import AbstractTable

    container = table.value if isinstance(table, AbstractTable) else table
    return container.item(key) if isinstance(container, Container) else table[key]


def _append(added: Mapping[Any, Any], mine: Any) -> None:
    """Append members to a table.

    tomlkit looks through the table for the place of each value that it appends. So it appends the
    first value alone, and the lines of the others are what trails it.
    """
    import tomlkit
    from tomlkit.items import AoT, InlineTable, Table

    items = {key: tomlkit.item(value) for key, value in added.items()}
    values = [key for key, item in items.items() if not isinstance(item, Table | AoT)]
    trailing = [] if isinstance(mine, InlineTable) else values[1:]
    lines = _lines({key: items.pop(key) for key in trailing}, mine)
    for key, item in items.items():
        mine.append(key, item)
    if trailing:
        trivia = items[values[0]].trivia
        trivia.trail = _ended(trivia.trail) + lines


def _lines(values: Mapping[Any, Any], mine: Any) -> str:
    """Return the lines of values as they are in a table."""
    import tomlkit

    table = tomlkit.table()
    table.value.parsing(True)  # noqa: FBT003 - no names; then it appends at the end
    if isinstance(mine, tomlkit.items.Table):
        table.trivia.indent = mine.trivia.indent
    for value in list(values.values())[:-1]:
        value.trivia.trail = _ended(value.trivia.trail)
    for key, value in values.items():
        table.append(key, value)
    return table.as_string()


def _ended(trail: str) -> str:
    return trail if "\n" in trail else f"{trail}\n"
