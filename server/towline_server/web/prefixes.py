"""Which entry of a table of path prefixes a path falls under."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

Value = TypeVar("Value")


def under(by_prefix: Mapping[str, Value], path: str, default: Value) -> Value:
    """The entry of the longest prefix that ends where a part of the path ends."""
    fitting = [prefix for prefix in by_prefix if path == prefix or path.startswith(f"{prefix}/")]
    return by_prefix[max(fitting, key=len)] if fitting else default
