"""Which values are equal, at any depth, and at one comparison for each value inside.

Python compares two values by going into both, which costs little once. A merge compares at each
level that it goes down to. So values may be numbered: equal ones have one number, and comparing
them costs no more than comparing the numbers.
"""

from __future__ import annotations

from collections.abc import Hashable

from towline.content.values import Unmergeable, Value


class Equality:
    """Compares values that live as long as it does."""

    def __init__(self) -> None:
        self._number_of: dict[int, int] = {}
        self._numbers: dict[Hashable, int] = {}

    def are_equal(self, one: Value, other: Value) -> bool:
        """Whether two values are equal."""
        if one is other:
            return True
        if id(one) in self._number_of and id(other) in self._number_of:
            return self._number_of[id(one)] == self._number_of[id(other)]
        try:
            return bool(one == other)
        except RecursionError:
            return self.key(one) == self.key(other)

    def key(self, value: Value) -> Hashable:
        """Return something hashable that is equal where values are; number what has parts."""
        pending = [value] if self._is_left(value) else []
        while pending:
            parent = pending[-1]
            inner = list(filter(self._is_left, _parts(parent)))
            if inner:
                pending += inner
                continue
            pending.pop()
            content = self._content(parent)
            self._number_of[id(parent)] = self._numbers.setdefault(content, len(self._numbers))
        return self._key(value)

    def _is_left(self, value: Value) -> bool:
        return _has_parts(value) and id(value) not in self._number_of

    def _content(self, value: Value) -> Hashable:
        if isinstance(value, dict):
            return frozenset((name, self._key(item)) for name, item in value.items())
        return (type(value), *(self._key(item) for item in _parts(value)))

    def _key(self, value: Value) -> Hashable:
        return self._number_of[id(value)] if _has_parts(value) else (type(value), value)


_PARTED = {dict, list, tuple, Unmergeable}


def _has_parts(value: Value) -> bool:
    # A number is a tuple, too, of words and whole numbers alone.
    if type(value) is tuple:
        return not _PARTED.isdisjoint(map(type, value))
    return type(value) in _PARTED


def _parts(value: Value) -> list[Value]:
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, Unmergeable):
        return [value.content]
    return list(value) if isinstance(value, list | tuple) else []
