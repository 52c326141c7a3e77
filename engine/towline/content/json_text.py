"""Where values are in the text of a JSON document, and how a text is edited in place.

The text was parsed before: everything here relies on it being JSON. Values are skipped by the
standard library's scanner, so finding the parts of one object costs no more than parsing it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from json.decoder import scanstring  # type: ignore[attr-defined] # not in its stub
from json.scanner import make_scanner

from towline.frozen import frozen

_SPACE = re.compile(r"[ \t\n\r]*")
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_DEEP = 32
"""Levels from which on it costs less to find all ends at once than to scan at each level."""
_INDENT = re.compile(r"[ \t]*")
_INDENTED = re.compile(r"\n([ \t]+)\S")
_SKIP = make_scanner(json.JSONDecoder(parse_int=str, parse_float=str))  # type: ignore[arg-type] # its stub has it take itself


@frozen
class TextPart:
    """One member of an object, or one element of a list.

    ``start`` is where its key begins, or its value in a list; ``value`` where its value begins.
    """

    key: str
    start: int
    value: int
    end: int


@frozen
class TextEdit:
    """``text[start:end]`` gives way to ``replacement``."""

    start: int
    end: int
    replacement: str


def root(text: str) -> int:
    """Return where the document's value begins."""
    return skip_space(text, 0)


class Places:
    """Where the values of a document begin and end."""

    def __init__(self, text: str, depth: int) -> None:
        self._text = text
        self._ends = _container_ends(text) if depth > _DEEP else {}

    def end(self, start: int) -> int:
        """Return where the value that begins here ends."""
        return self._ends.get(start) or int(_SKIP(self._text, start)[1])

    def parts(self, start: int) -> list[TextPart]:
        """Return the members of the object, or the elements of the list, that begins here."""
        text = self._text
        is_object = text[start] == "{"
        found: list[TextPart] = []
        position = skip_space(text, start + 1)
        while text[position] not in "]}":
            key, begin = "", position
            if is_object:
                key, position = scanstring(text, position + 1, True)  # noqa: FBT003 - no names
                position = skip_space(text, skip_space(text, position) + 1)
            end = self.end(position)
            found.append(TextPart(key, begin, position, end))
            position = skip_space(text, end)
            if text[position] == ",":
                position = skip_space(text, position + 1)
        return found


def _container_ends(text: str) -> dict[int, int]:
    """Return where each object and list ends, by where it begins."""
    ends: dict[int, int] = {}
    pending: list[int] = []
    for match in _STRING_OR_BRACKET.finditer(text):
        if match[0] in "[{":
            pending.append(match.start())
        elif match[0] in "]}":
            ends[pending.pop()] = match.end()
    return ends


def skip_space(text: str, position: int) -> int:
    """Return where the next character is that is no white space."""
    match = _SPACE.match(text, position)
    assert match is not None, "it matches nothing, too"
    return match.end()


def apply_edits(text: str, edits: Iterable[TextEdit], start: int, end: int) -> str:
    """Return ``text[start:end]`` with edits inside it applied; they do not overlap."""
    pieces: list[str] = []
    position = start
    # What is inserted where another edit begins comes first.
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        pieces += [text[position : edit.start], edit.replacement]
        position = edit.end
    pieces.append(text[position:end])
    return "".join(pieces)


# --- layout -----------------------------------------------------------------------------------


@frozen
class Layout:
    """How a document is laid out; ``indent`` is empty where it is on one line."""

    newline: str
    indent: str
    colon: str
    comma: str

    @classmethod
    def of(cls, text: str) -> Layout:
        """Return the layout of the text."""
        newline = "\r\n" if "\r\n" in text else "\n"
        indented = _INDENTED.search(text)
        colon = re.search(r'":([ \t]*)', text)
        comma = re.search(r",([ \t]*)\S", text)
        return cls(
            newline=newline,
            indent=indented[1] if indented else "",
            colon=colon[1] if colon else " ",
            comma=comma[1] if comma else colon[1] if colon else " ",
        )


def indent_at(text: str, position: int) -> str:
    """Return the indentation of the line on which a position lies."""
    line = text.rfind("\n", 0, position) + 1
    match = _INDENT.match(text, line)
    assert match is not None, "it matches nothing, too"
    return match[0]


def relaid(part: str, *, before: str, source: Layout, after: str, target: Layout) -> str:
    """Return a part of one document as it is laid out in another; no value is respelled.

    ``before`` and ``after`` are the indentation of the line on which it begins in each.
    """
    if "\n" not in part:
        return part
    # A line feed inside a JSON string is always escaped: these separate values.
    lines = [line.rstrip("\r") for line in part.split("\n")]
    if not target.indent:
        return lines[0] + "".join(line.strip(" \t") for line in lines[1:])
    return target.newline.join(
        [lines[0], *(_reindented(line, before, source, after, target) for line in lines[1:])]
    )


def _reindented(line: str, before: str, source: Layout, after: str, target: Layout) -> str:
    body = line.lstrip(" \t")
    indent = line[: len(line) - len(body)]
    if not indent.startswith(before):
        return after + body
    depth, rest = divmod(len(indent) - len(before), len(source.indent) or 1)
    return after + target.indent * depth + " " * rest + body


@frozen
class Piece:
    """One part of a rearranged container; ``part`` is which of its own parts it is, if any."""

    part: int | None
    text: str


def rearranged(
    text: str,
    container: tuple[int, int],
    found: Sequence[TextPart],
    pieces: Sequence[Piece],
    spacing: tuple[str, str, str],
) -> TextEdit:
    """Return the edit that gives a container these parts, each with the spacing that it had.

    ``container`` is where it begins and ends.
    ``spacing`` is what comes before the first, between, and after the last part of a container
    that was empty.
    """
    start, end = container
    if not found:
        first, between, last = spacing
        inner = first + between.join(piece.text for piece in pieces) + last
        return TextEdit(start + 1, end - 1, inner)
    if not pieces:
        return TextEdit(start + 1, end - 1, "")
    first = text[start + 1 : found[0].start]
    leads = [text[a.end : b.start] for a, b in pairwise(found)]
    between = leads[0] if leads else "," + first if "\n" in first else spacing[1]
    texts = [first, pieces[0].text]
    for piece in pieces[1:]:
        texts += [leads[piece.part - 1] if piece.part else between, piece.text]
    return TextEdit(start + 1, found[-1].end, "".join(texts))
