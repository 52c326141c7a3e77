"""JSON parsed as a merge compares it, up to 1,000 levels deep."""

from __future__ import annotations

import json
import re
from itertools import accumulate
from json.decoder import scanstring  # type: ignore[attr-defined] # not in its stub
from json.scanner import make_scanner

from towline.content.json_text import skip_space
from towline.content.recursion import Steps, run
from towline.content.values import (
    STACK_DEPTH,
    Document,
    NotParsed,
    TooDeep,
    Unmergeable,
    Value,
    decode_text,
    fraction,
    whole_number,
)
from towline.frozen import frozen

MAX_DEPTH = 1_000
"""Objects and lists inside one another. Real documents have tens."""
MAX_WORK = 250_000_000
"""Bytes times levels: an edit at the innermost level compares, and writes, at each above it."""


@frozen(kw_only=True)
class JsonDocument(Document):
    """A parsed document; ``depth`` is how many objects and lists are inside one another."""

    depth: int


def parse_json(content: bytes) -> JsonDocument:
    """Parse a document. Raises `NotParsed`."""
    try:
        text, has_bom = decode_text(content)
        depth = _depth(content)
        if depth > MAX_DEPTH or depth * len(content) > MAX_WORK:
            raise TooDeep
        value = _DECODER.decode(text) if depth <= STACK_DEPTH else _decoded(text)
    except ValueError:
        raise NotParsed from None
    return JsonDocument(text=text, value=value, has_bom=has_bom, depth=depth)


_BRACES = bytes.maketrans(b"{}", b"[]")
_OTHERS = bytes(set(range(256)) - set(b'[]{}"'))
_STRING = re.compile(rb'"[^"]*"')
_STEPS = {ord("["): 1, ord("]"): -1}


def _depth(content: bytes) -> int:
    """Return how many objects and lists are inside one another, if it is JSON."""
    if b"\\" in content:
        content = content.replace(rb"\\", b"").replace(rb"\"", b"")
    # Two quotes side by side are an empty string, or end one and begin the next.
    brackets = content.translate(_BRACES, _OTHERS).replace(b'""', b"")
    brackets = _STRING.sub(b"", brackets).replace(b'"', b"")
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0)


def _object(pairs: list[tuple[str, Value]]) -> Value:
    found = dict(pairs)
    return found if len(found) == len(pairs) else Unmergeable(pairs)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=whole_number,
    parse_float=fraction,
    parse_constant=Unmergeable,
)
_SCAN = make_scanner(_DECODER)  # type: ignore[arg-type] # its stub has it take itself


def _decoded(text: str) -> Value:
    """Return what the decoder returns, for a document that is too deep for it."""
    try:
        value, end = run(_container(text, skip_space(text, 0)))
    except IndexError:
        raise ValueError("it ends within an object or a list") from None
    if skip_space(text, end) < len(text):
        raise ValueError("something follows it")
    return value


def _container(text: str, start: int) -> Steps[tuple[Value, int]]:
    """Read the object or list that begins here, and return where it ends, too."""
    is_object = text[start] == "{"
    closing = "}" if is_object else "]"
    parts: list[Value] = []
    position = skip_space(text, start + 1)
    while text[position] != closing or parts:
        key, position = _key(text, position) if is_object else ("", position)
        if text[position] in "[{":
            value, position = yield _container(text, position)
        else:
            value, position = _scalar(text, position)
        parts.append((key, value) if is_object else value)
        position = skip_space(text, position)
        if text[position] == closing:
            break
        if text[position] != ",":
            raise ValueError("a comma is missing")
        position = skip_space(text, position + 1)
    return _object(parts) if is_object else parts, position + 1


def _key(text: str, position: int) -> tuple[str, int]:
    if text[position] != '"':
        raise ValueError("a key is missing")
    key, position = scanstring(text, position + 1, True)  # noqa: FBT003 - it takes no names
    position = skip_space(text, position)
    if text[position] != ":":
        raise ValueError("a colon is missing")
    return key, skip_space(text, position + 1)


def _scalar(text: str, position: int) -> tuple[Value, int]:
    try:
        return _SCAN(text, position)
    except StopIteration:
        raise ValueError("a value is missing") from None
