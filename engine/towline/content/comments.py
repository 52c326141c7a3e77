"""Comments of YAML and TOML, which a merge of values does not see and must not lose."""

from __future__ import annotations

import re
from collections import Counter

from towline.model import ThreeWay

_COMMENT = re.compile(rb"(?:^|(?<=[ \t]))#[^\r\n]*|^%[^\r\n]*", re.MULTILINE)
"""A comment, or a directive of YAML such as ``%YAML 1.2``."""


def loses_comments(sides: ThreeWay[bytes], content: bytes) -> bool:
    """Whether a comment that either side wrote is not in the merged content.

    Text behind ``#`` inside a string counts as well: then a merge is refused at worst.
    """
    known, merged = _comments(sides.base), _comments(content)
    return any((_comments(side) - known) - merged for side in (sides.ours, sides.theirs))


def _comments(content: bytes) -> Counter[bytes]:
    return Counter(found.rstrip() for found in _COMMENT.findall(content))
