"""Values as a merge compares them: types are strict, spelling does not count.

Objects are dicts and lists are lists, so that Python compares whole subtrees at once. What Python
would hold equal and a document does not, or the other way about, has a form of its own:

- a number is a tuple of its type (whole or not) and its exact value, so that 1, 1.0, true and "1"
  all differ while 1.0 and 1.00 do not, at any size;
- NaN and the infinities, which are no JSON, and an object that names a key twice are `Unmergeable`:
  they can be taken from a side as a whole, and nothing inside them is looked at.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, TypeAlias

from towline.frozen import frozen

MAX_BYTES = 5 * 1024 * 1024
"""Above this a side is not parsed: as many as an asset has by default (`Limits.asset_bytes`)."""
STACK_DEPTH = 128
"""How deep parsers go that use Python's stack, and those of YAML and TOML at all."""


@frozen(kw_only=True)
class Document:
    """A parsed file: its text, and its value as a merge compares it.

    ``text`` is without a byte order mark, ``has_bom`` whether it had one.
    """

    text: str
    has_bom: bool
    value: Value

    @property
    def is_stream(self) -> bool:
        """Whether its value is a list of documents, and not one document."""
        return False

    def encode(self, text: str) -> bytes:
        """Return the bytes of an edited text of this document."""
        return (b"\xef\xbb\xbf" if self.has_bom else b"") + text.encode()


def decode_text(content: bytes) -> tuple[str, bool]:
    """Return a text without a byte order mark, and whether it had one.

    Raises:
        UnicodeDecodeError: the content is not UTF-8.
        TooLarge: it has more bytes than `MAX_BYTES`.
    """
    if len(content) > MAX_BYTES:
        raise TooLarge
    text = content.decode()
    return text.removeprefix("\ufeff"), text.startswith("\ufeff")


class Absent(Enum):
    """Marks a value that a side does not have; JSON's null is a value."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = Absent.ABSENT
Value: TypeAlias = Any
"""None, bool, str, a number's tuple, list, dict, `Unmergeable`; or `ABSENT`."""


@frozen
class Unmergeable:
    """A value that is compared by what it is made of, and never merged inside."""

    content: Any


class NotParsed(Exception):
    """The content is not of a format, or too large or too deep to be merged as such."""


class TooLarge(NotParsed):
    """The content has more bytes than are parsed."""


class TooDeep(NotParsed):
    """The content has more objects and lists inside one another than are merged."""


def parse_number(literal: str) -> Value:
    """Return the value of a JSON number."""
    return fraction(literal) if set(literal) & set(".eE") else whole_number(literal)


def whole_number(literal: str) -> tuple[str, str]:
    """Return the value of a number without a fraction or an exponent."""
    return ("whole", literal)


def fraction(literal: str) -> tuple[str, str, str, int]:
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


def shown(value: Value, levels: int = STACK_DEPTH) -> Any:
    """Return a value as JSON shows it; what has no JSON form is the text that was written.

    Raises:
        TooDeep: it has more levels of objects and lists than this.
        NotParsed: something in it is never looked at, such as an object that names a key twice.
    """
    match value:
        case dict() | list() if not levels:
            raise TooDeep
        case dict():
            return {key: shown(item, levels - 1) for key, item in value.items()}
        case list():
            return [shown(item, levels - 1) for item in value]
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


def shown_field(value: Value) -> Any:
    """Return a field as `shown` does, `ABSENT`, or a text where it has no form to be shown in."""
    if value is ABSENT:
        return value
    try:
        return shown(value)
    except NotParsed:
        return "(cannot be shown)"
