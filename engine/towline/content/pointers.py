"""Where a value is inside a document, and the patterns by which rules name such places."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from towline.content.values import Unmergeable, Value
from towline.content_rules import FieldRule

Pointer: TypeAlias = tuple[str, ...]
"""The keys from the document down; an element known by identity is ``[key=value]``."""

_MERGE_KEY = "(<<)"
"""As YAML's key ``<<`` is read: the mappings whose members this one has too."""


def format_pointer(pointer: Pointer) -> str:
    """Return a pointer as RFC 6901 writes it."""
    return "".join("/" + token.replace("~", "~0").replace("/", "~1") for token in pointer)


def parse_pointer(text: str) -> Pointer:
    """Return the pointer that `format_pointer` wrote, or a pattern in which ``*`` is any name."""
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in text.split("/")[1:])


class Patterns:
    """Values by pointer pattern; ``*`` is any one key.

    A guarded field must not be replaced, wherever it is. So a number in its pattern is any element
    of a list whose elements have names, since they have no place there, and the members that YAML
    merges into a mapping are the mapping's.
    """

    def __init__(self, values: Iterable[tuple[str, str]]) -> None:
        self._values = [(parse_pointer(pattern), value) for pattern, value in values]

    def find(self, pointer: Pointer) -> str | None:
        """Return the value of the first pattern that a pointer fits."""
        for pattern, value in self._values:
            if _fits(pattern, pointer, value):
                return value
        return None

    def __bool__(self) -> bool:
        return bool(self._values)

    def inside(self, pointer: Pointer, value: Value) -> Iterator[Value]:
        """Yield the values that a pattern names at a place, whose value is given, or inside it.

        The patterns are of guarded fields. A number is any element of a list: elements may move.
        Of what is never looked at inside, the whole is yielded where a pattern goes on into it.
        """
        places = {pointer, _without_merge_keys(pointer)}
        for pattern, rule in self._values:
            for place in places:
                head, rest = pattern[: len(place)], pattern[len(place) :]
                if not _fits_tokens(head, place, rule):
                    continue
                parts = [value]
                for wanted in rest:
                    parts = [part for whole in parts for part in _parts(whole, wanted)]
                yield from parts


def _fits(pattern: Pointer, pointer: Pointer, rule: str) -> bool:
    if _fits_tokens(pattern, pointer, rule):
        return True
    if rule != FieldRule.GUARDED or _MERGE_KEY not in pointer:
        return False
    return _fits_tokens(pattern, _without_merge_keys(pointer), rule)


def _fits_tokens(pattern: Pointer, pointer: Pointer, rule: str) -> bool:
    return len(pattern) == len(pointer) and all(
        wanted in ("*", token)
        or (rule == FieldRule.GUARDED and wanted.isdigit() and token.startswith("["))
        for wanted, token in zip(pattern, pointer, strict=True)
    )


def _without_merge_keys(pointer: Pointer) -> Pointer:
    """Return the pointer without YAML's merge keys, and without the place in a list of theirs."""
    pairs = zip(("", *pointer), pointer, strict=False)
    return tuple(
        token
        for before, token in pairs
        if token != _MERGE_KEY
        and not (before == _MERGE_KEY and (token.isdigit() or token.startswith("[")))
    )


def _parts(value: Value, wanted: str) -> Iterable[Value]:
    match value:
        case dict():
            own = value.values() if wanted == "*" else [value[wanted]] if wanted in value else []
            return [*own, *_merged_parts(value, wanted)]
        case list():
            is_element = wanted == "*" or wanted.isdigit() or wanted.startswith("[")
            return value if is_element else []
        case Unmergeable():
            return [value]
        case _:
            return []


def _merged_parts(value: dict[str, Value], wanted: str) -> Iterator[Value]:
    """Yield what YAML merges into a mapping."""
    merged = value.get(_MERGE_KEY)
    for each in merged if isinstance(merged, list) else [merged]:
        if isinstance(each, dict):
            yield from _parts(each, wanted)
