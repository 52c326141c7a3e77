"""Merges what both sides made of one asset's content: by structure, else by lines, else not.

A file that is parsed on all three sides is merged by its structure, and what conflicts there is a
conflict: lines would only merge it by chance. Everything else is merged line by line.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from towline.content.decision import Keep, Merge, value_of
from towline.content.equality import Equality
from towline.content.formats import Document, Format, formats_of
from towline.content.lines import Clash, merge_line_regions, merge_lines
from towline.content.pointers import Pointer
from towline.content.structure import FieldConflict, FieldMerge, merge_values
from towline.content.values import NotParsed, Value
from towline.content_rules import ContentMode, ContentRules, MergedBy
from towline.model import ThreeWay
from towline.options import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentOutcome:
    """What a merge of contents came to.

    ``content`` is the merged bytes; None where they conflict. ``fields`` and ``regions`` say where,
    if the merge got as far as that; ``taken`` what of theirs is in the merged bytes.
    """

    content: bytes | None
    by: MergedBy | None = None
    fields: tuple[FieldConflict, ...] = ()
    regions: tuple[Clash, ...] = ()
    taken: tuple[FieldMerge, ...] = ()


_CONFLICT = ContentOutcome(content=None)
Choices: TypeAlias = Mapping[Pointer, Side]


def merge_content(
    path: str,
    sides: ThreeWay[bytes],
    rules: ContentRules = ContentRules(),
    choices: Choices | None = None,
) -> ContentOutcome:
    """Merge the content of the asset at a path.

    ``choices`` settles single fields by their pointer.
    """
    if rules.mode is ContentMode.NEVER:
        return _CONFLICT
    if rules.mode is not ContentMode.LINES:
        for format_ in formats_of(path, sides.ours):
            with suppress(NotParsed):
                return _merge_structure(format_, sides, rules, choices)
    if rules.mode is ContentMode.STRUCTURE:
        return _CONFLICT
    return _merge_lines(path, sides)


def are_equal(path: str, one: bytes, other: bytes) -> bool:
    """Whether two contents differ in spelling alone."""
    if one == other:
        return True
    for format_ in formats_of(path, one):
        with suppress(NotParsed):
            return Equality().are_equal(format_.parse(one).value, format_.parse(other).value)
    return False


def _merge_structure(
    format_: Format, sides: ThreeWay[bytes], rules: ContentRules, choices: Choices | None
) -> ContentOutcome:
    documents = sides.map(format_.parse)
    values = documents.map(lambda document: document.value)
    merged = merge_values(values, rules, choices)
    content = None
    if not merged.conflicts:
        content = _written(format_, sides, documents, merged.merge)
    return ContentOutcome(
        content=content,
        by=MergedBy.STRUCTURE,
        fields=merged.conflicts,
        taken=merged.taken,
    )


def _written(
    format_: Format, sides: ThreeWay[bytes], documents: ThreeWay[Document], merge: Merge
) -> bytes | None:
    """Return bytes that say exactly what was decided; None where there is no way to write them."""
    if isinstance(merge, Keep):
        return sides.ours
    wanted = value_of(merge, documents.ours.value, documents.theirs.value)
    if format_.lines_first:
        content = merge_lines(sides)
        if content is not None and _says(format_, content, wanted):
            return content
    content = format_.edit(documents.ours, documents.theirs, merge)
    return content if content is not None and _says(format_, content, wanted) else None


def _says(format_: Format, content: bytes, wanted: Value) -> bool:
    try:
        return Equality().are_equal(format_.parse(content).value, wanted)
    except NotParsed:
        return False


def _merge_lines(path: str, sides: ThreeWay[bytes]) -> ContentOutcome:
    merged = merge_line_regions(sides)
    if merged is None:
        return _CONFLICT
    content, clashes = merged
    if clashes:
        return ContentOutcome(content=None, by=MergedBy.LINES, regions=clashes)
    if not _is_sound(path, sides, content):
        return _CONFLICT
    return ContentOutcome(content=content, by=MergedBy.LINES)


def _is_sound(path: str, sides: ThreeWay[bytes], content: bytes) -> bool:
    """Whether merged lines are parsed, if the sides were, and have each key that was added."""
    for format_ in formats_of(path, sides.ours):
        with suppress(NotParsed):
            values = sides.map(format_.parse).map(lambda document: document.value)
            keys = _Keys()
            known = keys.of(values.base)
            added = (keys.of(values.ours) | keys.of(values.theirs)) - known
            try:
                return added <= keys.of(format_.parse(content).value)
            except NotParsed:
                return False
    return True


class _Keys:
    """Numbers for the places of members of objects; all elements of a list are one place."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, str], int] = {}

    def of(self, value: Value) -> set[int]:
        """Return the places of all members of all objects in a value."""
        found: set[int] = set()
        pending: list[tuple[int, Value]] = [(0, value)]
        while pending:
            place, inner = pending.pop()
            if isinstance(inner, dict):
                members = [(self._number(place, key), item) for key, item in inner.items()]
                found.update(number for number, _ in members)
                pending += members
            elif isinstance(inner, list):
                number = self._number(place, "*")
                pending += [(number, item) for item in inner]
        return found

    def _number(self, place: int, key: str) -> int:
        return self._numbers.setdefault((place, key), len(self._numbers) + 1)
