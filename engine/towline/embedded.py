"""Ids that stand inside an asset: a JSON pointer (RFC 6901) that its kind names leads to them."""

from __future__ import annotations

import json


def embedded_id(content: bytes, pointer: str) -> str | None:
    """The text or whole number at the pointer; None where the content has none there.

    Content that is no JSON document has no id.
    """
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    for token in pointer.split("/")[1:]:
        value = _step(value, token.replace("~1", "/").replace("~0", "~"))
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    return str(value) or None


def _step(value: object, token: str) -> object:
    if isinstance(value, dict):
        return value.get(token)
    if isinstance(value, list) and token.isascii() and token.isdigit() and int(token) < len(value):
        return value[int(token)]
    return None
