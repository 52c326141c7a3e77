"""The places inside parsed contents where sides differ, and which of them a merge leaves open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from towline.content.fields import FieldConflict, Reason
from towline.content.identity import element_names
from towline.content.merge import ContentOutcome
from towline.content.pointers import Patterns, Pointer, format_pointer
from towline.content.values import ABSENT, Value, shown_field
from towline.content_rules import ContentRules
from towline.frozen import frozen
from towline.model import ThreeWay

_Sides: TypeAlias = dict[str, Value]
"""By side, a value as a merge compares it."""


@frozen(kw_only=True)
class FieldDifference:
    """One place inside a JSON, YAML or TOML asset where the sides differ.

    ``pointer`` is a JSON pointer (RFC 6901); an element known by identity is ``[key=value]`` in it.
    Values are as ``json.loads`` gives them, or `ABSENT`; what JSON cannot hold, such as a date, is
    its text. Of a list whose elements moved, their
    names in order.
    ``clashes``: a merge by the rules leaves it to a choice, for the ``reason``; without rules, no
    side's change covers the other's.
    """

    pointer: str
    values: ThreeWay[Any]
    clashes: bool
    reason: Reason | None = None


class FieldDifferences:
    """The places that differ; lists by the identities of these rules.

    What a merge leaves to a choice is one place, and is marked.
    """

    def __init__(self, rules: ContentRules, outcome: ContentOutcome | None) -> None:
        self._identity = Patterns(rules.identity)
        self._unordered = Patterns([(place, place) for place in rules.unordered])
        self._reasons = (
            None if outcome is None else {each.pointer: each.reason for each in outcome.fields}
        )

    def differences(self, pointer: Pointer, sides: _Sides) -> Iterator[FieldDifference]:
        """Yield the outermost places that differ at a place, given by its values."""
        values = list(sides.values())
        if all(value == values[0] for value in values):
            return
        reason = self._reasons and self._reasons.get(pointer)
        is_one = bool(reason) and reason is not Reason.REORDERED
        if not is_one and all(isinstance(value, dict) for value in values):
            for key in sorted({key for value in values for key in value}):
                inner = {side: value.get(key, ABSENT) for side, value in sides.items()}
                yield from self.differences((*pointer, key), inner)
        elif not is_one and all(isinstance(value, list) for value in values):
            yield from self._elements(pointer, sides, values)
        else:
            listed = {side: shown_field(value) for side, value in sides.items()}
            yield self._field(pointer, listed, sides)

    def _elements(
        self, pointer: Pointer, sides: _Sides, values: list[list[Value]]
    ) -> Iterator[FieldDifference]:
        names = element_names(values, self._identity.find(pointer))
        if names is None:
            names = [{str(at): at for at in range(len(value))} for value in values]
        elif self._unordered.find(pointer) is None:
            common = set.intersection(*map(set, names))
            orders = [[name for name in found if name in common] for found in names]
            if any(order != orders[0] for order in orders):
                listed = dict(zip(sides, map(list, names), strict=True))
                yield self._field(pointer, listed, dict(zip(sides, orders, strict=True)))
        for name in dict.fromkeys(name for found in names for name in found):
            inner = {
                side: value[found[name]] if name in found else ABSENT
                for (side, value), found in zip(sides.items(), names, strict=True)
            }
            yield from self.differences((*pointer, name), inner)

    def _field(
        self, pointer: Pointer, values: Mapping[str, Any], compared: _Sides
    ) -> FieldDifference:
        reasons = self._reasons
        return FieldDifference(
            pointer=format_pointer(pointer),
            values=_three(values),
            clashes=_three(compared).clashes if reasons is None else pointer in reasons,
            reason=None if reasons is None else reasons.get(pointer),
        )


def _three(sides: Mapping[str, Any]) -> ThreeWay[Any]:
    return ThreeWay(*(sides.get(name, ABSENT) for name in ("base", "ours", "theirs")))


def clash_of(conflict: FieldConflict) -> FieldDifference:
    """Return a conflict as a difference."""
    return FieldDifference(
        pointer=format_pointer(conflict.pointer),
        values=conflict.values.map(shown_field),
        clashes=True,
        reason=conflict.reason,
    )
