"""The id that a new asset gets."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from towline.model import AssetId


def planned_id(project: str, path: str, used: Callable[[AssetId], bool]) -> AssetId:
    """Return the id of a new asset at ``path``, before it is written (docs/semantics.md).

    The first 24 hex digits of SHA-256 over project, path and a counter that steps past used ids.
    """
    counter = 0
    while True:
        text = f"{project}\0{path}\0{counter}"
        candidate = AssetId(sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:24])
        if not used(candidate):
            return candidate
        counter += 1
