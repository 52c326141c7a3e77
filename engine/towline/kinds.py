"""Owns what is an asset, and of which kind: configured globs over the path, first match wins.

In a glob ``*`` and ``?`` stay within a name, ``**`` spans folders, ``[...]`` is a set. A glob
without a slash matches the name in any folder. Matching is case-sensitive.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256

from .errors import InvalidValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a platform calls some of its assets: ``pipeline``, ``rule``, ``task``.

    ``id_pointer`` is a JSON pointer (RFC 6901) to an id that stands inside the asset, if any.
    """

    name: str
    globs: tuple[str, ...]
    id_pointer: str | None = None


@dataclass(frozen=True, slots=True)
class Kinds:
    """The kinds of a project, in order of precedence.

    ``hidden`` says whether names, or folders, that start with a dot can be assets.
    """

    kinds: tuple[Kind, ...] = (Kind(name="file", globs=("**",)),)
    hidden: bool = False
    _cache: dict[str, Kind | None] = field(
        default_factory=dict, init=False, repr=False, compare=False, hash=False
    )

    def __post_init__(self) -> None:
        names = [kind.name for kind in self.kinds]
        if len(set(names)) != len(names):
            raise InvalidValue(field="kinds", problem="a name stands twice")
        for kind in self.kinds:
            pointer = kind.id_pointer
            if not kind.name or not kind.globs or not all(kind.globs):
                raise InvalidValue(field=f"kinds.{kind.name}", problem="needs a name and a glob")
            if pointer is not None and pointer and not pointer.startswith("/"):
                raise InvalidValue(
                    field=f"kinds.{kind.name}.id_pointer", problem=f"{pointer!r} is no JSON pointer"
                )
            for glob in kind.globs:
                _pattern(glob)

    def of(self, path: str) -> Kind | None:
        """The kind of the asset at this path, or None where no asset can be."""
        if path not in self._cache:
            self._cache[path] = self._find(path)
        return self._cache[path]

    def _find(self, path: str) -> Kind | None:
        if not self.hidden and (path.startswith(".") or "/." in path):
            return None
        for kind in self.kinds:
            if any(matches(glob, path) for glob in kind.globs):
                return kind
        return None

    @property
    def fingerprint(self) -> str:
        """A text that changes whenever the same tree could give other assets."""
        spec = repr((self.hidden, [(k.name, k.globs, k.id_pointer) for k in self.kinds]))
        return sha256(spec.encode()).hexdigest()[:16]


def matches(glob: str, path: str) -> bool:
    """Whether a glob (see the module's first lines) covers a path.

    Raises:
        InvalidValue: the glob has a set that makes no sense, such as ``[z-a]``.
    """
    return _pattern(glob).fullmatch(path) is not None


def matches_any(globs: Iterable[str], path: str) -> bool:
    """Whether one of the globs covers a path."""
    return any(matches(glob, path) for glob in globs)


@lru_cache(maxsize=1024)
def _pattern(glob: str) -> re.Pattern[str]:
    body = glob.strip("/")
    prefix = "" if "/" in glob.rstrip("/") else "(?:.*/)?"
    try:
        return re.compile(prefix + "".join(_pieces(body)), re.DOTALL)
    except re.error:
        raise InvalidValue(
            field="glob", problem=f"{glob!r} has a set that makes no sense"
        ) from None


_TOKEN = re.compile(r"\*\*/|/\*\*$|\*\*|\*|\?|\[[!^]?\]?[^\]/]*\]|.", re.DOTALL)


def _pieces(glob: str) -> Iterable[str]:
    for token in _TOKEN.findall(glob):
        match token:
            case "**/":
                yield "(?:.*/)?"
            case "/**":
                yield "/.*"
            case "**":
                yield ".*"
            case "*":
                yield "[^/]*"
            case "?":
                yield "[^/]"
            case _ if len(token) > 1:
                negated = token[1] in "!^"
                inner = re.sub(r"([\\\[\]&~|^])", r"\\\1", token[2 if negated else 1 : -1])
                yield ("[^/" if negated else "[") + inner + "]"
            case _:
                yield re.escape(token)
