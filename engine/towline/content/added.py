"""What two contents that both sides added have in common: the base of a merge by choice."""

from __future__ import annotations

from towline.content.equality import Equality
from towline.content.identity import element_names
from towline.content.pointers import Patterns, Pointer
from towline.content.recursion import Steps, run
from towline.content.values import ABSENT, Value
from towline.content_rules import ContentRules


def common_part(ours: Value, theirs: Value, rules: ContentRules) -> Value:
    """Return what both values have; a place where they differ is not in it, or `ABSENT`.

    A merge with it as the base takes what one side alone has, and conflicts where they differ, at
    the innermost places.
    """
    return run(_Common(rules).of((), ours, theirs))


class _Common:
    def __init__(self, rules: ContentRules) -> None:
        self._identity = Patterns(rules.identity)
        self._equality = Equality()

    def of(self, pointer: Pointer, o: Value, t: Value) -> Steps[Value]:
        """Return the common part of two values at a place."""
        if self._equality.are_equal(o, t):
            return o
        if isinstance(o, dict) and isinstance(t, dict):
            found = {}
            for key in o:
                if key in t:
                    found[key] = yield self.of((*pointer, key), o[key], t[key])
            return {key: value for key, value in found.items() if value is not ABSENT}
        if isinstance(o, list) and isinstance(t, list):
            return (yield from self._of_lists(pointer, o, t))
        return ABSENT

    def _of_lists(self, pointer: Pointer, o: list[Value], t: list[Value]) -> Steps[Value]:
        names = element_names((o, t), self._identity.find(pointer))
        if names is None and len(o) != len(t):
            return ABSENT
        mine, other = names or [{str(at): at for at in range(len(side))} for side in (o, t)]
        found = []
        for name, at in mine.items():
            if name in other:
                found.append((yield self.of((*pointer, name), o[at], t[other[name]])))
        return found
