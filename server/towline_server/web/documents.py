"""JSON from outside that is kept as it came: only what every database can hold, and give back."""

from __future__ import annotations

import math
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator

_DEEPEST = 32


def _plain_text(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not hold U+0000")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("must be Unicode")
    return text


def _plain(value: Any, depth: int = 0) -> Any:
    if depth > _DEEPEST:
        raise ValueError(f"must not be nested deeper than {_DEEPEST}")
    match value:
        case str():
            _plain_text(value)
        case float() if not math.isfinite(value):
            raise ValueError("must hold finite numbers")
        case int() if abs(value) >= 2**63:
            raise ValueError("must hold numbers of 64 bits")
        case list():
            for each in value:
                _plain(each, depth + 1)
        case dict():
            for name, each in value.items():
                _plain_text(name)
                _plain(each, depth + 1)
        case _:
            pass  # null, true and false
    return value


PlainText: TypeAlias = Annotated[str, AfterValidator(_plain_text)]
"""Text that every database can hold."""

JsonObject: TypeAlias = Annotated[dict[str, Any], AfterValidator(_plain)]
"""A JSON object whose keys mean nothing here, or not all of them."""
