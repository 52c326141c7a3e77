"""JSON values as a merge compares them: types are strict, spelling does not count.

Objects are dicts and lists are lists, so that Python compares whole subtrees at once. What Python
would hold equal and JSON does not, or the other way about, has a form of its own:

- a number is a tuple of its type (whole or not) and its exact value, so that 1, 1.0, true and "1"
  all differ while 1.0 and 1.00 do not, at any size;
- NaN and the infinities, which are no JSON, and an object that names a key twice are `Unmergeable`:
  they can be taken from a side as a whole, and nothing inside them is looked at.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

MAX_BYTES = 5_000_000
"""Above this a side is not parsed."""
MAX_DEPTH = 128
"""Objects and lists inside one another. Real documents have tens; Python's stack is the bound."""


_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


class Absent(Enum):
    """Marks a value that a side does not have; JSON's null is a value."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = Absent.ABSENT
Value: TypeAlias = Any
"""None, bool, str, a number's tuple, list, dict, `Unmergeable`; or `ABSENT`."""


@dataclass(frozen=True, slots=True)
class Unmergeable:
    """A value that is compared by what it is made of, and never merged inside."""

    content: Any


class NotParsed(Exception):
    """The content is not of a format, or too large or too deep to be merged as such."""


class TooDeep(NotParsed):
    """The content has more than `MAX_DEPTH` objects and lists inside one another."""


@dataclass(frozen=True, slots=True)
class JsonDocument:
    """A parsed document: ``text`` without a byte order mark, and its value."""

    text: str
    value: Value
    has_bom: bool

    def encode(self, text: str) -> bytes:
        """Return the bytes of an edited text of this document."""
        return (b"\xef\xbb\xbf" if self.has_bom else b"") + text.encode()


def parse_json(content: bytes) -> JsonDocument:
    """Parse a document. Raises `NotParsed`."""
    if len(content) > MAX_BYTES:
        raise NotParsed
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise NotParsed from None
    has_bom = text.startswith("\ufeff")
    if has_bom:
        text = text[1:]
    if _depth(text) > MAX_DEPTH:
        raise TooDeep
    try:
        return JsonDocument(text=text, value=_DECODER.decode(text), has_bom=has_bom)
    except ValueError:
        raise NotParsed from None


def _depth(text: str) -> int:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return 0
    deepest = depth = 0
    for match in _STRING_OR_BRACKET.findall(text):
        if match in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif match in "]}":
            depth -= 1
    return deepest


def parse_number(literal: str) -> Value:
    """Return the value of a JSON number."""
    return _fraction(literal) if set(literal) & set(".eE") else _whole(literal)


def _whole(literal: str) -> tuple[str, str]:
    return ("whole", literal)


def _fraction(literal: str) -> tuple[str, str, str, int]:
    """Return the exact value of a number with a fraction or an exponent: sign, digits, exponent."""
    mantissa, _, exponent = literal.lower().partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    integer, _, decimals = mantissa.lstrip("-").partition(".")
    digits = (integer + decimals).lstrip("0")
    shown = digits.rstrip("0")
    if not shown:
        return ("fraction", sign, "0", 0)
    power = _exponent(exponent) - len(decimals) + len(digits) - len(shown)
    return ("fraction", sign, shown, power)


def _exponent(digits: str) -> int:
    if len(digits) > 4_000:  # Python refuses to read whole numbers of more.
        raise NotParsed
    return int(digits or "0")


def _object(pairs: list[tuple[str, Value]]) -> Value:
    found = dict(pairs)
    return found if len(found) == len(pairs) else Unmergeable(pairs)


def shown(value: Value) -> Any:
    """Return a value as JSON shows it; what has no JSON form is the text that was written.

    Raises:
        NotParsed: something in it is never looked at, such as an object that names a key twice.
    """
    match value:
        case dict():
            return {key: shown(item) for key, item in value.items()}
        case list():
            return [shown(item) for item in value]
        case ("whole", literal):
            return int(literal)
        case ("fraction", sign, digits, power):
            return float(f"{sign}{digits}e{power}")
        case (_, *texts):
            return " ".join(map(str, texts))
        case Unmergeable():
            raise NotParsed
        case _:
            return value


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=_whole,
    parse_float=_fraction,
    parse_constant=Unmergeable,
)
