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
3. where the list is unordered, and ours is not base: equal elements, as often as they are there;
   what one side edited gives way to another element, and conflicts where both did;
4. lists of one length, by position; but where both sides edited inside one element, and one side
   moved any element to another place, they conflict;
5. a longest common subsequence; edits that touch conflict.

Where elements are paired by identity, two different orders of the same elements conflict, unless
the list is unordered. What both sides add at one place is all taken, theirs first, and what they
put beside each other is in the order of its places in base; but where both put different strings in
the place of one string, that is in conflict.

Guarded fields that change their place are those of `towline.content.guarded`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Iterable, Mapping, Sequence, Set

from towline.content.decision import Inside, Keep, Merge, Slot, Take
from towline.content.equality import Equality
from towline.content.fields import FieldConflict, FieldMerge, Reason
from towline.content.guarded import GuardedFields, Place, field_patterns
from towline.content.identity import element_names, is_doubled
from towline.content.larger import is_larger
from towline.content.ordering import interleaved, is_rewritten
from towline.content.pointers import Patterns, Pointer
from towline.content.recursion import Steps, run
from towline.content.sequences import Replacement, merge_ordered, merge_unordered
from towline.content.values import ABSENT, Value
from towline.content_rules import ContentRules, FieldRule
from towline.frozen import frozen
from towline.model import ThreeWay
from towline.options import Side

_NUMBERED_LEVEL = 8
"""The level below which values are numbered: comparing them then costs the same at any depth."""


_KEEP, _TAKE = Keep(), Take()


@frozen(kw_only=True)
class StructureMerge:
    """What a merge came to.

    With conflicts, ``merge`` has ours' value at each of them, but for guarded fields that changed
    their place: there it has theirs.
    """

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
    merged = run(merger.start(sides))
    return StructureMerge(
        merge=merged, conflicts=tuple(merger.all_conflicts()), taken=tuple(merger.taken)
    )


class _Merger:
    def __init__(self, rules: ContentRules, choices: Mapping[Pointer, Side]) -> None:
        self._fields = field_patterns(rules)
        self._identity = Patterns(rules.identity)
        self._unordered = Patterns([(place, "yes") for place in rules.unordered])
        self._choices = choices
        self._equality = Equality()
        self._guarded = GuardedFields(rules, self._equality)
        self._conflicts: list[FieldConflict] = []
        self.taken: list[FieldMerge] = []

    def start(self, sides: ThreeWay[Value]) -> Steps[Merge]:
        """Merge two documents."""
        merged = self._merge((), *sides)
        return (yield merged) if isinstance(merged, Generator) else merged

    def all_conflicts(self) -> list[FieldConflict]:
        """Return the conflicts that no choice settles."""
        found = [*self._conflicts, *self._guarded.conflicts()]
        return [each for each in found if each.pointer not in self._choices]

    def _merge(self, pointer: Pointer, b: Value, o: Value, t: Value) -> Merge | Steps[Merge]:
        """Merge a value that both sides have."""
        equal = self._equality.are_equal
        if len(pointer) == _NUMBERED_LEVEL:
            for side in (b, o, t):
                self._equality.key(side)
        if equal(t, o) or equal(t, b):
            return _KEEP
        rule = self._fields.find(pointer)
        if rule == FieldRule.GUARDED:
            return self._clash(pointer, Reason.GUARDED, b, o, t)
        if rule is not None and not equal(o, b):
            return self._by_rule(pointer, FieldRule(rule), b, o, t)
        if isinstance(b, dict) and isinstance(o, dict) and isinstance(t, dict):
            return self._merge_objects(pointer, b, o, t)
        if isinstance(b, list) and isinstance(o, list) and isinstance(t, list):
            return self._merge_lists(pointer, b, o, t)
        return self._whole(pointer, b, o, t)

    def _whole(self, pointer: Pointer, b: Value, o: Value, t: Value) -> Merge:
        """Merge a value inside which nothing is looked at."""
        if self._equality.are_equal(o, b):
            return self._take(pointer, b, o, t)
        return self._clash(
            pointer, Reason.BOTH_ADDED if b is ABSENT else Reason.BOTH_CHANGED, b, o, t
        )

    def _take(
        self, pointer: Pointer, b: Value, o: Value, t: Value, rule: FieldRule | None = None
    ) -> Merge:
        """Take theirs' value, unless that replaces a guarded field, for which ours was chosen."""
        conflict = FieldConflict(pointer=pointer, reason=Reason.GUARDED, values=ThreeWay(b, o, t))
        guarded = self._guarded.exchange(conflict, [(pointer, o)], [(pointer, t)])
        if guarded and self._choices.get(pointer) is Side.OURS:
            return _KEEP
        self.taken.append(FieldMerge(pointer=pointer, rule=rule))
        return _TAKE

    def _by_rule(self, pointer: Pointer, rule: FieldRule, b: Value, o: Value, t: Value) -> Merge:
        if rule is FieldRule.LARGER:
            larger = is_larger(t, o)
            if larger is None:
                return self._clash(pointer, Reason.BOTH_CHANGED, b, o, t)
            return self._take(pointer, b, o, t, rule) if larger else _KEEP
        return self._take(pointer, b, o, t, rule) if rule is FieldRule.THEIRS else _KEEP

    def _clash(self, pointer: Pointer, reason: Reason, b: Value, o: Value, t: Value) -> Merge:
        self._conflicts.append(
            FieldConflict(pointer=pointer, reason=reason, values=ThreeWay(b, o, t))
        )
        if self._choices.get(pointer) is not Side.THEIRS:
            return _KEEP
        self.taken.append(FieldMerge(pointer=pointer))
        return _TAKE

    def _parts(
        self, pointer: Pointer, parts: Iterable[tuple[Value, ...]]
    ) -> Steps[dict[str, Merge]]:
        """Merge the parts of a value; those that are in the outcome, by name.

        A part is its name, and its value in base, ours and theirs.
        """
        outcomes: dict[str, Merge] = {}
        for name, b, o, t in parts:
            outcome = self._maybe((*pointer, name), b, o, t)
            if isinstance(outcome, Generator):
                outcome = yield outcome
            if outcome is not None:
                outcomes[name] = outcome
        return outcomes

    def _maybe(self, pointer: Pointer, b: Value, o: Value, t: Value) -> Merge | Steps[Merge] | None:
        """Merge a value that either side may lack."""
        if o is not ABSENT and t is not ABSENT:
            return self._merge(pointer, b, o, t)
        if t is ABSENT:
            if b is ABSENT:
                return _KEEP
            return None if self._is_deleted(pointer, b, o) else _KEEP
        if b is ABSENT:
            if self._fields.find(pointer) == FieldRule.GUARDED:
                taken = self._clash(pointer, Reason.GUARDED, b, o, t)
                return taken if taken is _TAKE else None
            return self._take(pointer, b, o, t)
        if self._equality.are_equal(t, b):
            return None
        rule = self._fields.find(pointer)
        if rule in (FieldRule.THEIRS, FieldRule.LARGER):
            return self._take(pointer, b, o, t, FieldRule(rule))
        if rule == FieldRule.OURS:
            return None
        taken = self._clash(pointer, Reason.DELETED_HERE, b, ABSENT, t)
        return taken if taken is _TAKE else None

    def _is_deleted(self, pointer: Pointer, b: Value, o: Value) -> bool:
        """Whether what theirs deleted goes here, too."""
        rule = self._fields.find(pointer)
        if rule == FieldRule.GUARDED:
            return self._clash(pointer, Reason.GUARDED, b, o, ABSENT) is _TAKE
        unchanged = self._equality.are_equal(o, b)
        if unchanged or rule == FieldRule.THEIRS:
            by = None if unchanged else FieldRule.THEIRS
            return self._take(pointer, b, o, ABSENT, by) is _TAKE
        if rule is not None:
            return False
        return self._clash(pointer, Reason.DELETED_THERE, b, o, ABSENT) is _TAKE

    def _merge_objects(
        self, pointer: Pointer, b: dict[str, Value], o: dict[str, Value], t: dict[str, Value]
    ) -> Steps[Merge]:
        parts = ((key, *(side.get(key, ABSENT) for side in (b, o, t))) for key in o | t)
        outcomes = yield from self._parts(pointer, parts)
        slots = [
            Slot(key if key in o else None, key if key in t else None, outcomes[key])
            for key in interleaved(list(o), list(t), outcomes, second_follows=False)
        ]
        return _inside(slots, list(o))

    # --- lists --------------------------------------------------------------------------------

    def _merge_lists(
        self, pointer: Pointer, b: list[Value], o: list[Value], t: list[Value]
    ) -> Merge | Steps[Merge]:
        sides = (b, o, t)
        named = self._identity.find(pointer)
        names = element_names(sides, named)
        if names is not None:
            return self._merge_keyed(pointer, ThreeWay(*names), sides)
        if named is not None or is_doubled(sides):
            # A doubled identity: which element is which is unknown.
            return self._whole(pointer, b, o, t)
        lists = ThreeWay(b, o, t)
        if self._unordered.find(pointer) is not None and not self._equality.are_equal(o, b):
            return self._merge_sequences(pointer, lists, merge_unordered)
        if len(b) == len(o) == len(t):
            if self._is_moved(sides):
                return self._whole(pointer, b, o, t)
            return self._merge_positions(pointer, sides)
        return self._merge_sequences(pointer, lists, merge_ordered)

    def _is_moved(self, sides: Sequence[list[Value]]) -> bool:
        """Whether both sides edited inside one element, and one moved an element to a new place.

        It is unknown then which element each edit is of: one that was deleted, and another that was
        inserted, move all that are between them.
        """
        equal = self._equality.are_equal
        if not any(
            isinstance(b, dict | list) and not (equal(o, b) or equal(t, b) or equal(o, t))
            for b, o, t in zip(*sides, strict=True)
        ):
            return False
        known = set(map(self._equality.key, sides[0]))
        return any(
            not equal(item, was) and self._equality.key(item) in known
            for side in sides[1:]
            for was, item in zip(sides[0], side, strict=True)
        )

    def _merge_positions(self, pointer: Pointer, sides: Sequence[list[Value]]) -> Steps[Merge]:
        """Merge lists of one length."""
        parts = ((str(at), b, o, t) for at, (b, o, t) in enumerate(zip(*sides, strict=True)))
        outcomes = yield from self._parts(pointer, parts)
        slots = [Slot(at, at, outcome) for at, outcome in enumerate(outcomes.values())]
        return _inside(slots, range(len(slots)))

    def _merge_keyed(
        self, pointer: Pointer, places: ThreeWay[dict[str, int]], sides: Sequence[list[Value]]
    ) -> Steps[Merge]:
        """Merge lists whose elements are known by a text each, at these positions."""
        if self._unordered.find(pointer) is None and is_rewritten(places, sides[0]):
            return self._clash(pointer, Reason.BOTH_CHANGED, *sides)
        found = list(zip(sides, places, strict=True))
        parts = (
            (token, *(side[at[token]] if token in at else ABSENT for side, at in found))
            for token in places.ours | places.theirs
        )
        outcomes = yield from self._parts(pointer, parts)
        first, second = list(places.ours), list(places.theirs)
        reorders = self._is_reordered(pointer, places, outcomes.keys(), sides)
        if reorders is None:
            return _KEEP
        if reorders:
            first, second = second, first
        slots = [
            Slot(places.ours.get(token), places.theirs.get(token), outcomes[token])
            for token in interleaved(
                first, second, outcomes, second_follows=reorders, base=places.base
            )
        ]
        return _inside(_in_place(slots, len(places.ours)), range(len(places.ours)))

    def _is_reordered(
        self,
        pointer: Pointer,
        places: ThreeWay[dict[str, int]],
        merged: Set[str],
        sides: Sequence[list[Value]],
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
        taken = self._clash(pointer, Reason.REORDERED, *sides) is _TAKE
        return taken if pointer in self._choices else None

    def _merge_sequences(
        self,
        pointer: Pointer,
        lists: ThreeWay[list[Value]],
        merge: Callable[[ThreeWay[list[Hashable]]], list[Replacement] | None],
    ) -> Merge:
        """Merge lists whose elements have no identity."""
        taken = merge(lists.map(lambda side: [self._equality.key(item) for item in side]))
        if taken is None:
            return self._whole(pointer, *lists)
        if self._keeps_guarded(pointer, taken, lists):
            return _KEEP
        count = len(lists.ours)
        slots: list[Slot] = []
        position = 0
        for ours, theirs in taken:
            slots += [Slot(at, None, _KEEP) for at in range(position, ours.start)]
            slots += [Slot(None, at, _TAKE) for at in theirs]
            position = ours.stop
        slots += [Slot(at, None, _KEEP) for at in range(position, count)]
        merged = _inside(_in_place(slots, count), range(count))
        if merged is not _KEEP:
            self.taken.append(FieldMerge(pointer=pointer))
        return merged

    def _keeps_guarded(
        self, pointer: Pointer, taken: Sequence[Replacement], lists: ThreeWay[list[Value]]
    ) -> bool:
        """Whether ours was chosen for a list in which theirs replaces a guarded field."""

        def places(side: list[Value], spans: Iterable[range]) -> list[Place]:
            return [(pointer, [side[at] for span in spans for at in span])]

        guarded = self._guarded.exchange(
            FieldConflict(pointer=pointer, reason=Reason.GUARDED, values=lists),
            places(lists.ours, (each.ours for each in taken)),
            places(lists.theirs, (each.theirs for each in taken)),
        )
        return guarded and self._choices.get(pointer) is Side.OURS


def _in_place(slots: Sequence[Slot], count: int) -> list[Slot]:
    """Return the slots of a list, with what theirs put for an element of ours in its place.

    So that it is written there, and what is around it stays.
    """
    gone = set(range(count)) - {slot.ours for slot in slots}
    found: list[Slot] = []
    at = 0
    for slot in slots:
        if slot.ours is not None:
            at = int(slot.ours) + 1
            found.append(slot)
        elif at in gone:
            found.append(Slot(at, slot.theirs, _TAKE))
            gone.remove(at)
            at += 1
        else:
            found.append(slot)
    return found


def _inside(slots: Sequence[Slot], ours: Sequence[str | int]) -> Merge:
    """Return the slots, or `Keep` where they are ours as it is."""
    if [slot.ours for slot in slots] == list(ours) and all(
        isinstance(slot.merge, Keep) for slot in slots
    ):
        return _KEEP
    return Inside(tuple(slots))
