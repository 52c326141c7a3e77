"""Match paths against globs, none of which is slow.

In a glob ``*`` and ``?`` stay within a name, ``**`` spans folders, ``[...]`` is a set. A glob
without a slash matches the name in any folder. Matching is case-sensitive.

A glob may come from outside. What is between two stars matches at the first place where it fits,
for good: what comes later can only have more room then. Each such piece is an atomic group, so the
matcher never tries the places of two stars in combination.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from towline.errors import InvalidValue


def matches(glob: str, path: str) -> bool:
    """Whether a glob (see the module's first lines) covers a path.

    Raises:
        InvalidValue: the glob has a set that makes no sense, such as ``[z-a]``.
    """
    return pattern(glob).fullmatch(path) is not None


def matches_any(globs: Iterable[str], path: str) -> bool:
    """Whether one of the globs covers a path."""
    return any(matches(glob, path) for glob in globs)


@lru_cache(maxsize=1024)
def pattern(glob: str) -> re.Pattern[str]:
    """Return the regular expression that covers what a glob covers.

    Raises:
        InvalidValue: the glob has a set that makes no sense, such as ``[z-a]``.
    """
    anywhere = "/" not in glob.rstrip("/")
    blocks = _blocks(glob.strip("/"), _FOLDERS if anywhere else "")
    text = "".join(block.match_first() for block in blocks[:-1]) + blocks[-1].match_last()
    try:
        return re.compile(text, re.DOTALL)
    except re.error:
        raise InvalidValue(
            field="glob", problem=f"{glob!r} has a set that makes no sense"
        ) from None


_TOKEN = re.compile(r"(?:^|(?<=/))\*\*/|/\*\*$|\*\*|\*|\?|\[[!^]?\]?[^\]/]*\]|.", re.DOTALL)
_FOLDERS = "(?:.*?/)??"
_ANYTHING = ".*?"
_IN_NAME = "[^/]*?"


@dataclass(slots=True)
class _Block:
    """What is between two gaps that span folders: pieces with a star between each two."""

    gap: str
    """The gap before it; empty at the beginning of a path."""
    pieces: list[str] = field(default_factory=lambda: [""])

    def match_first(self) -> str:
        """Return the block at the first place where it fits."""
        return f"(?>{self.gap}{_stars(self.pieces)})"

    def match_last(self) -> str:
        """Return the block up to the end of the path, whose last piece fits nowhere else."""
        first, last = self.pieces[:-1], self.pieces[-1]
        return f"{self.gap}{_stars(first)}{_IN_NAME}{last}" if first else f"{self.gap}{last}"


def _stars(pieces: Sequence[str]) -> str:
    return pieces[0] + "".join(f"(?>{_IN_NAME}{piece})" for piece in pieces[1:])


def _blocks(glob: str, gap: str) -> list[_Block]:
    blocks = [_Block(gap)]
    for token in _TOKEN.findall(glob):
        match token:
            case "**/":
                blocks.append(_Block(_FOLDERS))
            case "/**":
                blocks[-1].pieces[-1] += "/"
                blocks.append(_Block(_ANYTHING))
            case "**":
                blocks.append(_Block(_ANYTHING))
            case "*":
                blocks[-1].pieces.append("")
            case _:
                blocks[-1].pieces[-1] += _character(token)
    return blocks


def _character(written: str) -> str:
    if written == "?":
        return "[^/]"
    if len(written) == 1:
        return re.escape(written)
    negated = written[1] in "!^"
    inner = re.sub(r"([\\\[\]&~|^])", r"\\\1", written[2 if negated else 1 : -1])
    # A range may span the slash.
    return ("[^/" if negated else "(?!/)[") + inner + "]"
