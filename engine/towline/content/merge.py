"""Merges what both sides made of one asset's content: by structure, else by lines, else not.

A file that is parsed on all three sides is merged by its structure, and what conflicts there is a
conflict: lines would only merge it by chance. Everything else is merged line by line, and so are
several YAML documents in one file where it is unknown which of them is which. Sides that
say the same never conflict, whatever the rules: ours' bytes stay.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TypeAlias

from towline.content.added import common_part
from towline.content.decision import Keep, value_of
from towline.content.equality import Equality
from towline.content.fields import FieldConflict, FieldMerge, Reason
from towline.content.formats import FileFormat, formats_of
from towline.content.guarded import guarded_patterns, replaces_guarded
from towline.content.lines import is_binary, merge_line_regions, merge_lines
from towline.content.pointers import Pointer
from towline.content.regions import Region
from towline.content.structure import StructureMerge, merge_values
from towline.content.values import ABSENT, Document, NotParsed, TooDeep, TooLarge, Value
from towline.content_rules import ContentMode, ContentRules, MergedBy
from towline.frozen import frozen
from towline.model import ThreeWay
from towline.options import Side


@frozen(kw_only=True)
class ContentOutcome:
    """What a merge of contents came to.

    ``content`` is the merged bytes; None where they conflict. ``fields`` and ``regions`` say where,
    if the merge got as far as that; else ``problem`` says why, in words. ``taken`` is what of
    theirs is in the merged bytes.
    """

    content: bytes | None
    by: MergedBy | None = None
    fields: tuple[FieldConflict, ...] = ()
    regions: tuple[Region, ...] = ()
    taken: tuple[FieldMerge, ...] = ()
    problem: str = ""


_COMMENT = re.compile(rb"(?:^|(?<=[ \t]))#[^\r\n]*|^%[^\r\n]*", re.MULTILINE)
"""A comment of YAML or TOML, or a directive of YAML such as ``%YAML 1.2``."""

Choices: TypeAlias = Mapping[Pointer, Side]


def _conflict(problem: str) -> ContentOutcome:
    return ContentOutcome(content=None, problem=problem)


def merge_content(
    path: str,
    sides: ThreeWay[bytes],
    rules: ContentRules = ContentRules(),
    choices: Choices | None = None,
) -> ContentOutcome:
    """Merge the content of the asset at a path.

    ``choices`` settles single fields by their pointer.
    """
    if rules.mode in (None, ContentMode.AUTO, ContentMode.STRUCTURE):
        for format_ in formats_of(path, sides.ours):
            with suppress(NotParsed):
                return _merge_structure(format_, sides, rules, choices or {})
    if are_equal(path, sides.ours, sides.theirs, sides.base):
        return ContentOutcome(content=sides.ours, by=MergedBy.STRUCTURE)
    if rules.mode is ContentMode.NEVER:
        return _conflict("these contents are never merged")
    if rules.mode is ContentMode.STRUCTURE:
        return _conflict("the sides are not all JSON, YAML or TOML")
    return _merge_lines(path, sides, rules, choices or {})


def merge_added(
    path: str,
    ours: bytes,
    theirs: bytes,
    rules: ContentRules = ContentRules(),
    choices: Choices | None = None,
) -> ContentOutcome:
    """Merge the contents of an asset that both sides added.

    They conflict unless they are equal. ``choices`` settles the fields that both have; what one
    side alone has is taken then.
    """
    if are_equal(path, ours, theirs):
        return ContentOutcome(content=ours, by=MergedBy.STRUCTURE)
    if rules.mode in (None, ContentMode.AUTO, ContentMode.STRUCTURE):
        for format_ in formats_of(path, ours):
            with suppress(NotParsed):
                return _merge_added(format_, ThreeWay(b"", ours, theirs), rules, choices or {})
    return _conflict("both sides added it")


def are_equal(path: str, one: bytes, other: bytes, base: bytes = b"") -> bool:
    """Whether two contents differ in spelling alone: not in a comment that is new in the other."""
    if one == other:
        return True
    for format_ in formats_of(path, one):
        with suppress(NotParsed):
            if _loses_comments(format_, ThreeWay(base, one, other), one):
                return False
            values = _parsed(format_, (one, other))
            return Equality().are_equal(values[0].value, values[1].value)
    return False


def _parsed(format_: FileFormat, contents: Iterable[bytes]) -> list[Document]:
    """Parse contents. Raises NotParsed, also where one is a document and another several."""
    documents = [format_.parse(content) for content in contents]
    if len({document.is_stream for document in documents}) > 1:
        raise NotParsed
    return documents


# --- by structure -----------------------------------------------------------------------------


def _merge_structure(
    format_: FileFormat, sides: ThreeWay[bytes], rules: ContentRules, choices: Choices
) -> ContentOutcome:
    documents = ThreeWay(*_parsed(format_, sides))
    values = documents.map(lambda document: document.value)
    merged = merge_values(values, rules, choices)
    if documents.ours.is_stream and any(not each.pointer for each in merged.conflicts):
        raise NotParsed  # Which document is which is unknown.
    if merged.conflicts:
        return ContentOutcome(content=None, by=MergedBy.STRUCTURE, fields=merged.conflicts)
    return _written(format_, sides, documents, merged)


def _merge_added(
    format_: FileFormat, sides: ThreeWay[bytes], rules: ContentRules, choices: Choices
) -> ContentOutcome:
    ours, theirs = _parsed(format_, (sides.ours, sides.theirs))
    base = common_part(ours.value, theirs.value, rules)
    merged = merge_values(ThreeWay(base, ours.value, theirs.value), rules, choices)
    fields = tuple(
        replace(
            each,
            # A list that is compared as a whole was not there before.
            reason=Reason.BOTH_ADDED if each.reason is Reason.BOTH_CHANGED else each.reason,
            values=replace(each.values, base=ABSENT),
        )
        for each in merged.conflicts
    )
    if fields or not choices:
        return ContentOutcome(
            content=None, fields=fields, problem="" if fields else "both sides added it"
        )
    return _written(format_, sides, ThreeWay(ours, ours, theirs), merged)


def _written(
    format_: FileFormat,
    sides: ThreeWay[bytes],
    documents: ThreeWay[Document],
    merged: StructureMerge,
) -> ContentOutcome:
    """Write bytes that say exactly what was decided; a conflict where there is no way to."""
    wanted = value_of(merged.merge, documents.ours.value, documents.theirs.value)

    def outcome(content: bytes) -> ContentOutcome:
        return ContentOutcome(content=content, by=MergedBy.STRUCTURE, taken=merged.taken)

    keeps = isinstance(merged.merge, Keep)
    if keeps and not _loses_comments(format_, sides, sides.ours):
        return outcome(sides.ours)
    if format_.has_comments:
        content = merge_lines(sides)
        if content is not None and _says(format_, content, wanted):
            return outcome(content)
    content = None if keeps else format_.edit(documents.ours, documents.theirs, merged.merge)
    if not keeps and (content is None or not _says(format_, content, wanted)):
        return _conflict("the fields merge, but cannot be written into ours in place")
    if content is None or _loses_comments(format_, sides, content):
        return _conflict("the fields merge, but a comment would be lost")
    return outcome(content)


def _loses_comments(format_: FileFormat, sides: ThreeWay[bytes], content: bytes) -> bool:
    """Whether a comment that either side wrote is not in the merged content.

    Text behind ``#`` inside a string counts as well: then a merge is refused at worst.
    """
    if not format_.has_comments:
        return False
    known, merged = _comments(sides.base), _comments(content)
    return any((_comments(side) - known) - merged for side in (sides.ours, sides.theirs))


def _comments(content: bytes) -> Counter[bytes]:
    return Counter(found.rstrip() for found in _COMMENT.findall(content))


def _says(format_: FileFormat, content: bytes, wanted: Value) -> bool:
    found = _document(format_, content)
    return found is not None and Equality().are_equal(found.value, wanted)


# --- by lines ---------------------------------------------------------------------------------


def _merge_lines(
    path: str, sides: ThreeWay[bytes], rules: ContentRules, choices: Choices
) -> ContentOutcome:
    merged = merge_line_regions(sides)
    if merged is None:
        if any(map(is_binary, sides)):
            return _conflict("binary contents are not merged")
        return _conflict("the sides are too long, or too different, to be merged by lines")
    content, clashes = merged
    if clashes:
        return ContentOutcome(content=None, by=MergedBy.LINES, regions=clashes)
    return _checked(path, sides, content, rules, choices)


def _checked(
    path: str, sides: ThreeWay[bytes], content: bytes, rules: ContentRules, choices: Choices
) -> ContentOutcome:
    """Refuse merged lines that are not parsed, if ours is, or lack a key that was added.

    And those that change a guarded field, or may do so as a side is not parsed.
    """
    outcome = ContentOutcome(content=content, by=MergedBy.LINES)
    is_too_large = False
    for format_ in formats_of(path, sides.ours):
        try:
            return _checked_as(format_, sides, content, rules, choices) or outcome
        except (TooLarge, TooDeep):
            is_too_large = True
        except NotParsed:
            pass
    if content == sides.ours:
        return outcome
    if guarded_patterns(rules):
        return _conflict("the lines merge, but a guarded field may change: not all sides parse")
    if is_too_large:
        return _conflict("the lines merge, but are too large, or too deep, to be checked")
    return outcome


def _checked_as(
    format_: FileFormat,
    sides: ThreeWay[bytes],
    content: bytes,
    rules: ContentRules,
    choices: Choices,
) -> ContentOutcome | None:
    """Return the conflict of merged lines, if there is one.

    Raises `NotParsed` where ours is not of the format, or where a guarded field cannot be checked.
    """
    ours = format_.parse(sides.ours)
    merged = _document(format_, content)
    if merged is None:
        return _conflict(f"the lines merge, but the result is not valid {format_.name.upper()}")
    documents = ThreeWay(_document(format_, sides.base), ours, _document(format_, sides.theirs))
    values = documents.map(lambda document: ABSENT if document is None else document.value)
    if _loses_key(values, merged.value):
        return _conflict("the lines merge, but a key that one side added would be lost")
    if not guarded_patterns(rules):
        return None
    known = (documents.base, documents.theirs, merged)
    if any(each is None or each.is_stream != ours.is_stream for each in known):
        raise NotParsed
    return _without_guarded(values, merged.value, rules, choices)


def _document(format_: FileFormat, content: bytes) -> Document | None:
    """Return what a side says; None where it is not of the format."""
    try:
        return format_.parse(content)
    except NotParsed:
        return None


def _loses_key(sides: ThreeWay[Value], merged: Value) -> bool:
    keys = _Keys()
    known = keys.of(sides.base)
    added = (keys.of(sides.ours) | keys.of(sides.theirs)) - known
    return not added <= keys.of(merged)


def _without_guarded(
    sides: ThreeWay[Value], merged: Value, rules: ContentRules, choices: Choices
) -> ContentOutcome | None:
    """Return the conflict of merged lines that replace a guarded field, unless theirs is chosen."""
    decided = merge_values(sides, rules, choices)
    if guarded := [each for each in decided.conflicts if each.reason is Reason.GUARDED]:
        return ContentOutcome(content=None, fields=tuple(guarded))
    expected = value_of(decided.merge, sides.ours, sides.theirs)
    if replaces_guarded(expected, merged, rules):
        return _conflict("the lines merge, but a guarded field would change")
    return None


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
