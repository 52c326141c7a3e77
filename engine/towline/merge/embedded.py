"""Ids inside an asset, at the JSON pointer (RFC 6901) of its kind."""

from __future__ import annotations

import json

from towline.changes import Changes, RemoteAsset
from towline.errors import DuplicateEmbeddedId
from towline.model import AssetPath, AssetState
from towline.records import AssetLookup


def embedded_id(content: bytes, pointer: str) -> str | None:
    """Return the text or whole number at the pointer; None where the content has none there.

    Content that is no JSON document has no id, and neither has one whose id is empty, longer than
    255 characters (as asset ids are bounded) or not printable: no store need hold such a text.
    """
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    for token in pointer.split("/")[1:]:
        value = _step(value, token.replace("~1", "/").replace("~0", "~"))
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    try:
        text = str(value)
    except ValueError:  # Python refuses to print whole numbers of thousands of digits.
        return None
    return text if 0 < len(text) <= 255 and text.isprintable() else None


def content_problem(content: bytes) -> str | None:
    """Return why no id can be read from the content, whatever the pointer; None where one can."""
    if not content.strip():
        return "it is empty"
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        marked = any(line.startswith(b"<<<<<<< ") for line in content.splitlines())
        return "it has conflict markers" if marked else "it is not JSON, or is cut off"
    return None


def _step(value: object, token: str) -> object:
    if isinstance(value, dict):
        return value.get(token)
    if isinstance(value, list) and token.isascii() and token.isdigit() and int(token) < len(value):
        return value[int(token)]
    return None


def check_embedded_ids(changes: Changes, ours: AssetLookup) -> None:
    """Refuse an id that is in two assets of theirs, changed or not.

    Raises:
        DuplicateEmbeddedId: it is.
    """
    paths: dict[str, list[AssetPath]] = {}
    for change in changes.items:
        if isinstance(change.after, RemoteAsset) and change.after.embedded_id is not None:
            paths.setdefault(change.after.embedded_id, []).append(change.path)
    changed = {change.path for change in changes.items}
    for embedded_id, found in sorted(paths.items()):
        for record in ours.with_embedded_id(embedded_id):
            if isinstance(record.recorded, AssetState) and record.recorded.path not in changed:
                found.append(record.recorded.path)
        if len(found) > 1:
            raise DuplicateEmbeddedId(embedded_id=embedded_id, paths=tuple(sorted(found)))
