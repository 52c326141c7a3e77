"""Merges what both sides made of one asset's content: by structure, else by lines, else not.

A file that is parsed on all three sides is merged by its structure, and what conflicts there is a
conflict: lines would only merge it by chance. Everything else is merged line by line.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from towline.content.comments import loses_comments
from towline.content.decision import Keep, Merge, value_of
from towline.content.equality import Equality
from towline.content.formats import Document, Format, formats_of
from towline.content.lines import Clash, merge_line_regions, merge_lines
from towline.content.pointers import Pointer
from towline.content.structure import FieldConflict, FieldMerge, guarded_changes, merge_values
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
    return _merge_lines(path, sides, rules)


def are_equal(path: str, one: bytes, other: bytes) -> bool:
    """Whether two contents differ in spelling alone: not in a comment of the other."""
    if one == other:
        return True
    for format_ in formats_of(path, one):
        with suppress(NotParsed):
            if _loses_comments(format_, ThreeWay(b"", one, other), one):
                return False
            return Equality().are_equal(format_.parse(one).value, format_.parse(other).value)
    return False


def _merge_structure(
    format_: Format, sides: ThreeWay[bytes], rules: ContentRules, choices: Choices | None
) -> ContentOutcome:
    documents = sides.map(format_.parse)
    values = documents.map(lambda document: document.value)
    merged = merge_values(values, rules, choices)
    content, conflicts = None, merged.conflicts
    if not conflicts:
        wanted = value_of(merged.merge, values.ours, values.theirs)
        conflicts = guarded_changes(values.ours, wanted, rules, choices or {})
        if not conflicts:
            content = _written(format_, sides, documents, merged.merge, wanted)
    return ContentOutcome(
        content=content, by=MergedBy.STRUCTURE, fields=conflicts, taken=merged.taken
    )


def _written(
    format_: Format,
    sides: ThreeWay[bytes],
    documents: ThreeWay[Document],
    merge: Merge,
    wanted: Value,
) -> bytes | None:
    """Return bytes that say exactly what is wanted; None where there is no way to write them."""
    keeps = isinstance(merge, Keep)
    if keeps and not _loses_comments(format_, sides, sides.ours):
        return sides.ours
    if format_.has_comments:
        content = merge_lines(sides)
        if content is not None and _says(format_, content, wanted):
            return content
    content = None if keeps else format_.edit(documents.ours, documents.theirs, merge)
    if content is None or not _says(format_, content, wanted):
        return None
    return None if _loses_comments(format_, sides, content) else content


def _loses_comments(format_: Format, sides: ThreeWay[bytes], content: bytes) -> bool:
    return format_.has_comments and loses_comments(sides, content)


def _says(format_: Format, content: bytes, wanted: Value) -> bool:
    try:
        return Equality().are_equal(format_.parse(content).value, wanted)
    except NotParsed:
        return False


def _merge_lines(path: str, sides: ThreeWay[bytes], rules: ContentRules) -> ContentOutcome:
    merged = merge_line_regions(sides)
    if merged is None:
        return _CONFLICT
    content, clashes = merged
    if clashes:
        return ContentOutcome(content=None, by=MergedBy.LINES, regions=clashes)
    return _checked(path, sides, content, rules)


def _checked(
    path: str, sides: ThreeWay[bytes], content: bytes, rules: ContentRules
) -> ContentOutcome:
    """Refuse merged lines that are not parsed, if the sides are, or lack a key that was added.

    And those that change a guarded field.
    """
    outcome = ContentOutcome(content=content, by=MergedBy.LINES)
    for format_ in formats_of(path, sides.ours):
        with suppress(NotParsed):
            values = sides.map(format_.parse).map(lambda document: document.value)
            keys = _Keys()
            known = keys.of(values.base)
            added = (keys.of(values.ours) | keys.of(values.theirs)) - known
            try:
                merged = format_.parse(content).value
            except NotParsed:
                return _CONFLICT
            if not added <= keys.of(merged):
                return _CONFLICT
            guarded = guarded_changes(values.ours, merged, rules, {})
            return ContentOutcome(content=None, fields=guarded) if guarded else outcome
    return outcome


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
