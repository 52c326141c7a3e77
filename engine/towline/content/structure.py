"""Three-way merge of parsed values: objects by key, lists by identity, all else as one value.

The outcome is a plan over ours' value (`Keep`, `Take`, `Inside`), from which the bytes are made by
the module of the format. It is decided here alone, so JSON, YAML and TOML merge alike.

b, o, t: a value in base, ours, theirs; ``-`` is absent.

| case | outcome |
|---|---|
| o=t, or t=b | ours |
| o=b, or any of them after it | theirs, inside where both are objects or both are lists |
| both changed, both are objects | key by key |
| both changed, both are lists, as all three | see below |
| b, o=-, t≠b; or b, o≠b, t=- | conflict: deleted on one side, edited on the other |
| b=-, o≠t | conflict: added differently on both sides |
| all else | conflict |

Lists are paired by the first of these that fits all three sides:

1. objects by an identity: the key that the rules name, else the first of `IDENTITIES` that every
   element has and that is unique on each side;
2. strings that are unique on each side, by value;
3. lists of one length, by position;
4. a longest common subsequence; edits that touch conflict.

Where elements are paired by identity, two different orders of the same elements conflict, unless
the list is unordered. What both sides add at one place is all taken, theirs first.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import TypeAlias

from towline.content.diff import Base
from towline.content.regions import regions
from towline.content.search import TooCostly
from towline.content.values import ABSENT, Unmergeable, Value
from towline.content_rules import ContentRules, FieldRule
from towline.model import ThreeWay
from towline.options import Side

IDENTITIES = ("id", "key", "uuid", "uid", "name", "alias")
"""The keys by which objects in a list are known, in order of preference."""

Pointer: TypeAlias = tuple[str, ...]


class Reason(StrEnum):
    """Why a field is in conflict."""

    BOTH_CHANGED = "both_changed"
    BOTH_ADDED = "both_added"
    DELETED_HERE = "deleted_here"
    DELETED_THERE = "deleted_there"
    REORDERED = "reordered"
    GUARDED = "guarded"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldConflict:
    """A place where the two sides cannot both be had."""

    pointer: Pointer
    reason: Reason
    values: ThreeWay[Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldMerge:
    """A place where something of theirs was taken."""

    pointer: Pointer
    rule: FieldRule | None = None


@dataclass(frozen=True, slots=True)
class Keep:
    """Ours' value as it is."""


@dataclass(frozen=True, slots=True)
class Take:
    """Theirs' value."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One member or element of the outcome, and which it is on each side.

    In an object ``ours`` and ``theirs`` are keys, in a list they are positions.
    """

    ours: str | int | None
    theirs: str | int | None
    merge: Merge


@dataclass(frozen=True, slots=True)
class Inside:
    """Ours' object or list with these members or elements, in this order."""

    slots: tuple[Slot, ...]


Merge: TypeAlias = Keep | Take | Inside
_KEEP, _TAKE = Keep(), Take()


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureMerge:
    """What a merge came to. With conflicts, ``merge`` has ours' value at each of them."""

    merge: Merge
    conflicts: tuple[FieldConflict, ...]
    taken: tuple[FieldMerge, ...]


def merge_values(
    sides: ThreeWay[Value],
    rules: ContentRules = ContentRules(),
    choices: Mapping[Pointer, Side] | None = None,
) -> StructureMerge:
    """Merge two edits of a value. ``choices`` settles conflicts by their pointer."""
    merger = _Merger(rules, choices or {})
    merged = merger.merge((), sides.base, sides.ours, sides.theirs)
    return StructureMerge(
        merge=merged, conflicts=tuple(merger.conflicts), taken=tuple(merger.taken)
    )


def value_of(merge: Merge, ours: Value, theirs: Value) -> Value:
    """Return the value that a decided merge makes of ours."""
    match merge:
        case Keep():
            return ours
        case Take():
            return theirs
        case Inside(slots):
            if isinstance(ours, dict):
                return {
                    slot.theirs if slot.ours is None else slot.ours: _of(slot, ours, theirs)
                    for slot in slots
                }
            return [_of(slot, ours, theirs) for slot in slots]


def _of(slot: Slot, ours: Value, theirs: Value) -> Value:
    if slot.ours is None:
        return theirs[slot.theirs]
    return (
        ours[slot.ours]
        if slot.theirs is None
        else value_of(slot.merge, ours[slot.ours], theirs[slot.theirs])
    )


def format_pointer(pointer: Pointer) -> str:
    """Return a pointer as RFC 6901 writes it; an element known by identity is ``[key=value]``."""
    return "".join("/" + token.replace("~", "~0").replace("/", "~1") for token in pointer)


def parse_pointer(text: str) -> Pointer:
    """Return the pointer that `format_pointer` wrote, or a pattern in which ``*`` is any name."""
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in text.split("/")[1:])


class Patterns:
    """Values by pointer pattern; a pattern's ``*`` is any one name."""

    def __init__(self, values: Iterable[tuple[str, str]]) -> None:
        self._values = [(parse_pointer(pattern), value) for pattern, value in values]

    def find(self, pointer: Pointer) -> str | None:
        """Return the value of the first pattern that fits."""
        for pattern, value in self._values:
            if len(pattern) == len(pointer) and all(
                wanted in ("*", token) for wanted, token in zip(pattern, pointer, strict=True)
            ):
                return value
        return None


class _Merger:
    def __init__(self, rules: ContentRules, choices: Mapping[Pointer, Side]) -> None:
        self._fields = Patterns(rules.fields)
        self._identity = Patterns(rules.identity)
        self._unordered = Patterns([(place, "yes") for place in rules.unordered])
        self._choices = choices
        self.conflicts: list[FieldConflict] = []
        self.taken: list[FieldMerge] = []

    def merge(self, pointer: Pointer, b: Value, o: Value, t: Value) -> Merge:
        """Merge a value that both sides have."""
        if t in (o, b):
            return _KEEP
        rule = self._fields.find(pointer)
        if rule == FieldRule.GUARDED:
            return self._clash(pointer, Reason.GUARDED, b, o, t)
        if o != b and rule is not None:
            return self._by_rule(pointer, FieldRule(rule), o, t)
        if isinstance(o, dict) and isinstance(t, dict):
            if o != b and not isinstance(b, dict):
                return self._clash(pointer, _both(b), b, o, t)
            return self._merge_objects(pointer, b, o, t)
        if isinstance(o, list) and isinstance(t, list):
            if o != b and not isinstance(b, list):
                return self._clash(pointer, _both(b), b, o, t)
            return self._merge_lists(pointer, b, o, t)
        return self._whole(pointer, b, o, t)

    def _whole(self, pointer: Pointer, b: Value, o: Value, t: Value) -> Merge:
        """Merge a value inside which nothing is looked at."""
        return self._take(pointer) if o == b else self._clash(pointer, _both(b), b, o, t)

    def _take(self, pointer: Pointer, rule: FieldRule | None = None) -> Merge:
        self.taken.append(FieldMerge(pointer=pointer, rule=rule))
        return _TAKE

    def _by_rule(self, pointer: Pointer, rule: FieldRule, o: Value, t: Value) -> Merge:
        larger = rule is FieldRule.LARGER and _is_larger(t, o)
        return self._take(pointer, rule) if rule is FieldRule.THEIRS or larger else _KEEP

    def _clash(self, pointer: Pointer, reason: Reason, b: Value, o: Value, t: Value) -> Merge:
        side = self._choices.get(pointer)
        if side is Side.THEIRS:
            return self._take(pointer)
        if side is None:
            self.conflicts.append(
                FieldConflict(pointer=pointer, reason=reason, values=ThreeWay(b, o, t))
            )
        return _KEEP

    # --- objects ------------------------------------------------------------------------------

    def _merge_objects(self, pointer: Pointer, b: Value, o: Value, t: Value) -> Merge:
        slots = _interleave(
            list(o), list(t), [self._member(pointer, key, b, o, t) for key in o | t]
        )
        return _inside(slots, list(o))

    def _member(
        self, pointer: Pointer, key: str, b: Value, o: Value, t: Value
    ) -> tuple[str, Merge | None]:
        """Return a member's key and what becomes of it; None: it is not in the outcome."""
        mine, other, was = o.get(key, ABSENT), t.get(key, ABSENT), b.get(key, ABSENT)
        return key, self._maybe((*pointer, key), was, mine, other)

    def _maybe(self, pointer: Pointer, b: Value, o: Value, t: Value) -> Merge | None:
        """Merge a value that either side may lack."""
        if o is not ABSENT and t is not ABSENT:
            return self.merge(pointer, b, o, t)
        if t is ABSENT:
            if b is ABSENT:
                return _KEEP
            return None if self._is_deleted(pointer, b, o) else _KEEP
        if b is ABSENT:
            if self._fields.find(pointer) == FieldRule.GUARDED:
                taken = self._clash(pointer, Reason.GUARDED, b, o, t)
                return taken if taken is _TAKE else None
            return self._take(pointer)
        if t == b:
            return None
        rule = self._fields.find(pointer)
        if rule in (FieldRule.THEIRS, FieldRule.LARGER):
            return self._take(pointer, FieldRule(rule))
        if rule == FieldRule.OURS:
            return None
        taken = self._clash(pointer, Reason.DELETED_HERE, b, ABSENT, t)
        return taken if taken is _TAKE else None

    def _is_deleted(self, pointer: Pointer, b: Value, o: Value) -> bool:
        """Whether what theirs deleted goes here, too."""
        rule = self._fields.find(pointer)
        if rule == FieldRule.GUARDED:
            return self._clash(pointer, Reason.GUARDED, b, o, ABSENT) is _TAKE
        if o == b or rule == FieldRule.THEIRS:
            return self._take(pointer, FieldRule(rule) if rule and o != b else None) is _TAKE
        if rule is not None:
            return False
        return self._clash(pointer, Reason.DELETED_THERE, b, o, ABSENT) is _TAKE

    # --- lists --------------------------------------------------------------------------------

    def _merge_lists(self, pointer: Pointer, b: Value, o: Value, t: Value) -> Merge:
        sides = (b, o, t)
        named = self._identity.find(pointer)
        names = element_names(sides, named)
        if names is not None:
            return self._merge_keyed(pointer, ThreeWay(*names), (b, o, t))
        if named is not None or _is_doubled(sides):
            # A doubled identity: which element is which is unknown.
            return self._whole(pointer, b, o, t)
        if len(b) == len(o) == len(t):
            slots = [
                Slot(at, at, self.merge((*pointer, str(at)), b[at], o[at], t[at]))
                for at in range(len(o))
            ]
            return _inside(slots, list(range(len(o))))
        return self._merge_sequences(pointer, b, o, t)

    def _merge_keyed(
        self,
        pointer: Pointer,
        places: ThreeWay[dict[str, int]],
        sides: tuple[Value, Value, Value],
    ) -> Merge:
        """Merge lists whose elements are known by a text each, at these positions."""
        b, o, t = sides
        outcomes: list[tuple[str, Merge | None]] = []
        for token in places.ours | places.theirs:
            was, mine, other = (
                side[at[token]] if token in at else ABSENT
                for side, at in zip(sides, (places.base, places.ours, places.theirs), strict=True)
            )
            outcomes.append((token, self._maybe((*pointer, token), was, mine, other)))
        mine_order, other_order = list(places.ours), list(places.theirs)
        merged = [token for token, outcome in outcomes if outcome is not None]
        if places.ours.keys() & places.theirs.keys():
            reorders = self._is_reordered(pointer, places, set(merged), (b, o, t))
            if reorders is None:
                return _KEEP
            if reorders:
                order = _interleaved(other_order, mine_order, set(merged), second_follows=True)
                return self._slots_of(order, dict(outcomes), places)
        order = _interleaved(mine_order, other_order, set(merged), second_follows=False)
        return self._slots_of(order, dict(outcomes), places)

    def _is_reordered(
        self,
        pointer: Pointer,
        places: ThreeWay[dict[str, int]],
        merged: set[str],
        sides: tuple[Value, Value, Value],
    ) -> bool | None:
        """Whether theirs' order of the common elements holds; None: the orders conflict."""
        common = places.ours.keys() & places.theirs.keys() & merged
        mine = [token for token in places.ours if token in common]
        other = [token for token in places.theirs if token in common]
        if mine == other:
            return False
        was = [token for token in places.base if token in common]
        known = set(was)
        if [token for token in mine if token in known] == was:
            if self._unordered.find(pointer) is None:
                self.taken.append(FieldMerge(pointer=pointer))
            return True
        if [token for token in other if token in known] == was or self._unordered.find(pointer):
            return False
        taken = self._clash(pointer, Reason.REORDERED, *sides)
        return True if taken is _TAKE else None

    def _slots_of(
        self,
        order: Iterable[str],
        outcomes: Mapping[str, Merge | None],
        places: ThreeWay[dict[str, int]],
    ) -> Merge:
        slots = []
        for token in order:
            outcome = outcomes[token]
            assert outcome is not None, "it was merged"
            slots.append(Slot(places.ours.get(token), places.theirs.get(token), outcome))
        return _inside(slots, list(range(len(places.ours))))

    def _merge_sequences(self, pointer: Pointer, b: Value, o: Value, t: Value) -> Merge:
        """Merge lists whose elements have no identity, as lines are merged."""
        base, ours, theirs = ([_frozen(item) for item in side] for side in (b, o, t))
        slots: list[Slot] = []
        position = 0
        took = False
        before = Base(base)
        try:
            found = list(regions(before.diff(ours), before.diff(theirs)))
        except TooCostly:
            return self._whole(pointer, b, o, t)
        for region in found:
            if region.clashes(ours, theirs):
                return self._clash(pointer, _both(b), b, o, t)
            if region.from_ours:
                continue
            took = True
            slots += [Slot(at, None, _KEEP) for at in range(position, region.ours.start)]
            slots += [Slot(None, at, _TAKE) for at in region.theirs]
            position = region.ours.stop
        slots += [Slot(at, None, _KEEP) for at in range(position, len(o))]
        if took:
            self.taken.append(FieldMerge(pointer=pointer))
        return _inside(slots, list(range(len(o))))


def _both(b: Value) -> Reason:
    return Reason.BOTH_ADDED if b is ABSENT else Reason.BOTH_CHANGED


def _inside(slots: Sequence[Slot], ours: Sequence[str | int]) -> Merge:
    """Return the slots, or `Keep` where they are ours as it is."""
    if [slot.ours for slot in slots] == list(ours) and all(
        isinstance(slot.merge, Keep) for slot in slots
    ):
        return _KEEP
    return Inside(tuple(slots))


def _interleave(
    mine: list[str], other: list[str], outcomes: list[tuple[str, Merge | None]]
) -> list[Slot]:
    merged = {key: outcome for key, outcome in outcomes if outcome is not None}
    ours, theirs = set(mine), set(other)
    return [
        Slot(key if key in ours else None, key if key in theirs else None, merged[key])
        for key in _interleaved(mine, other, merged.keys(), second_follows=False)
    ]


def _interleaved(
    first: list[str], second: list[str], taken: Iterable[str], *, second_follows: bool
) -> list[str]:
    """Return ``first`` with what ``second`` alone has, each behind what it follows there.

    At one place ``second`` goes before what ``first`` alone has, or behind it.
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


# --- lists --------------------------------------------------------------------------------------


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


def _is_doubled(sides: Sequence[list[Value]]) -> bool:
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
    return isinstance(value, str) or (isinstance(value, tuple) and value[0] == "whole")


def _is_unique(side: list[Value], key: str) -> bool:
    return len({item[key] for item in side}) == len(side)


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


def _frozen(value: Value) -> Hashable:
    """Return something hashable that is equal where values are."""
    if isinstance(value, dict):
        return ("object", frozenset((key, _frozen(item)) for key, item in value.items()))
    if isinstance(value, list):
        return ("list", *(_frozen(item) for item in value))
    if isinstance(value, Unmergeable):
        return ("unmergeable", repr(value.content))
    return (type(value), value)


def _is_larger(t: Value, o: Value) -> bool:
    """Whether theirs is the larger number, or the text that comes later."""
    if isinstance(t, str) and isinstance(o, str):
        return t > o
    if isinstance(t, tuple) and isinstance(o, tuple):
        return _decimal(t) > _decimal(o)
    return False


def _decimal(number: tuple[object, ...]) -> Decimal:
    if number[0] == "whole":
        return Decimal(str(number[1]))
    _, sign, digits, power = number
    try:
        return Decimal(f"{sign}{digits}E{power}")
    except InvalidOperation:  # An exponent of more digits than any use has.
        return Decimal(0)
