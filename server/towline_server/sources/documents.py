"""Values of a source as the JSON text of a file: the same value is the same text, whatever made it.

Keys are sorted, numbers are as exact as they were, moments are ISO 8601, bytes are Base64.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from math import isfinite
from typing import Any

_INDENT = "  "
_SURROGATES = re.compile("[\ud800-\udfff]")

parse = partial(json.loads, parse_float=Decimal)
"""Parses JSON without rounding numbers; raises ValueError, RecursionError."""


def document(value: Any) -> bytes:
    """Return a value as a JSON document, two spaces deep, with a line break at its end."""
    return ("".join(_written(value, "\n")) + "\n").encode()


def _written(value: Any, line: str) -> Iterator[str]:
    match value:
        case Mapping() if value:
            yield "{"
            for number, name in enumerate(sorted(value, key=str)):
                yield f"{',' if number else ''}{line}{_INDENT}{_text(str(name))}: "
                yield from _written(value[name], line + _INDENT)
            yield f"{line}}}"
        case list() | tuple() if value:
            yield "["
            for number, each in enumerate(value):
                yield f"{',' if number else ''}{line}{_INDENT}"
                yield from _written(each, line + _INDENT)
            yield f"{line}]"
        case Mapping():
            yield "{}"
        case list() | tuple():
            yield "[]"
        case _:
            yield _scalar(value)


def _text(value: str) -> str:
    # JSON can name a lone surrogate, which is no Unicode text.
    return json.dumps(value, ensure_ascii=_SURROGATES.search(value) is not None)


def _scalar(value: Any) -> str:
    match value:
        case None | bool() | int():
            return json.dumps(value)
        case float() if not isfinite(value):
            return _text(str(value))
        case Decimal() if not value.is_finite():
            return _text(str(value))
        case float() | Decimal():
            return str(value)
        case datetime() if value.tzinfo is not None:
            return _text(value.astimezone(UTC).isoformat().replace("+00:00", "Z"))
        case datetime() | date() | time():
            return _text(value.isoformat())
        case timedelta():
            seconds = Decimal(value // timedelta(microseconds=1)) / 1_000_000
            return _text(f"PT{seconds.normalize():f}S")
        case bytes() | bytearray() | memoryview():
            return _text(b64encode(value).decode())
        case Enum():
            return _text(str(value.value))
        case _:
            return _text(str(value))
