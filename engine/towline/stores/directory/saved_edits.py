"""Owns the names of conflict copies: local edits that were put aside, which are never assets."""

from __future__ import annotations

import re

from towline.model import Digest

_KEPT = re.compile(r"\.local-[0-9a-f]{8}(-[0-9]+)?(/|$)")
NAME_BYTES = 255
"""How long a name may be on the file systems of today."""


def is_saved_edit(path: str) -> bool:
    """Whether this is the path of a conflict copy, or lies inside of one."""
    return ".local-" in path and _KEPT.search(path) is not None


def saved_edit_name(name: str, digest: Digest, attempt: int) -> str:
    """The name under which content of this digest is put aside, a new one each attempt."""
    ending = f".local-{digest[:8]}" + (f"-{attempt}" if attempt else "")
    while len(name.encode("utf-8", "surrogateescape")) + len(ending) > NAME_BYTES:
        name = name[:-1]
    return name + ending
