"""Guarded fields that change their place: of lists without identities, and of whole values.

A guarded field that is at one place on all sides is compared there. Elsewhere it is unknown which
became which. So a merge may take guarded values out of ours (what theirs deleted), and put new ones
in (what theirs added), but where it does both, one may have replaced the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable

from towline.content.equality import Equality
from towline.content.fields import FieldConflict
from towline.content.pointers import Patterns, Pointer
from towline.content.values import ABSENT, Value
from towline.content_rules import ContentRules, FieldRule
from towline.frozen import frozen

Place = tuple[Pointer, Value]
_Counts = Counter[Hashable]


@frozen
class _Exchange:
    """A place at which theirs is taken, as the conflict that it may be."""

    conflict: FieldConflict
    gone: _Counts


class GuardedFields:
    """The guarded values that a merge takes out of ours, and those that it puts in."""

    def __init__(self, rules: ContentRules, equality: Equality) -> None:
        self._patterns = guarded_patterns(rules)
        self._equality = equality
        self._exchanges: list[_Exchange] = []
        self._gone: _Counts = Counter()
        self._new: _Counts = Counter()

    def exchange(
        self, conflict: FieldConflict, removed: Iterable[Place], added: Iterable[Place]
    ) -> bool:
        """Record values that are taken out and put in; whether a guarded one is taken out."""
        if not self._patterns:
            return False
        gone, new = (self._counts(places) for places in (removed, added))
        self._gone += gone
        self._new += new
        if gone:
            self._exchanges.append(_Exchange(conflict, gone))
        return bool(gone)

    def conflicts(self) -> list[FieldConflict]:
        """Return the places at which guarded values may have been replaced."""
        gone, new = self._gone - self._new, self._new - self._gone
        if not new:
            return []
        return [each.conflict for each in self._exchanges if each.gone & gone]

    def _counts(self, places: Iterable[Place]) -> _Counts:
        return Counter(
            self._equality.key(found)
            for pointer, value in places
            if value is not ABSENT
            for found in self._patterns.inside(pointer, value)
        )


def field_patterns(rules: ContentRules) -> Patterns:
    """Return the patterns of the fields with a rule; guarded comes before every other rule."""
    return Patterns(sorted(rules.fields, key=lambda each: each[1] != FieldRule.GUARDED))


def guarded_patterns(rules: ContentRules) -> Patterns:
    """Return the patterns of the fields that are guarded."""
    return Patterns([each for each in rules.fields if each[1] == FieldRule.GUARDED])


def replaces_guarded(before: Value, after: Value, rules: ContentRules) -> bool:
    """Whether a document lost guarded values of another, and has others instead."""
    patterns, equality = guarded_patterns(rules), Equality()
    was, now = (Counter(map(equality.key, patterns.inside((), value))) for value in (before, after))
    return bool(was - now and now - was)
