"""What a merge decided, as a plan over ours' value, and the value that it makes.

The bytes are made of it by the module of the format.
"""

from __future__ import annotations

from typing import TypeAlias

from towline.content.recursion import Steps, run
from towline.content.values import Value
from towline.frozen import frozen


@frozen
class Keep:
    """Ours' value as it is."""


@frozen
class Take:
    """Theirs' value."""


@frozen
class Slot:
    """One member or element of the outcome, and which it is on each side.

    In an object ``ours`` and ``theirs`` are keys, in a list they are positions.
    """

    ours: str | int | None
    theirs: str | int | None
    merge: Merge


@frozen
class Inside:
    """Ours' object or list with these members or elements, in this order."""

    slots: tuple[Slot, ...]


Merge: TypeAlias = Keep | Take | Inside


def value_of(merge: Merge, ours: Value, theirs: Value) -> Value:
    """Return the value that a decided merge makes of ours."""
    return run(_value_of(merge, ours, theirs))


def _value_of(merge: Merge, ours: Value, theirs: Value) -> Steps[Value]:
    match merge:
        case Keep():
            return ours
        case Take():
            return theirs
        case Inside(slots):
            values = []
            for slot in slots:
                if slot.ours is None:
                    values.append(theirs[slot.theirs])
                elif slot.theirs is None or isinstance(slot.merge, Keep):
                    values.append(ours[slot.ours])
                else:
                    values.append(
                        (yield _value_of(slot.merge, ours[slot.ours], theirs[slot.theirs]))
                    )
            if isinstance(ours, dict):
                keys = [slot.theirs if slot.ours is None else slot.ours for slot in slots]
                return dict(zip(keys, values, strict=True))
            return values
