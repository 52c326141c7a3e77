"""Parses configured refs: short names (a branch before a tag), full names and commit ids."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from towline.errors import EmptyRepository, InvalidValue, RefNotFound
from towline.model import Revision

PEELED = "^{}"
"""The suffix of a peeled tag: the commit that an annotated tag points to."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
# What git check-ref-format refuses, and options.
_MALFORMED = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[-/.]|/\.|[/.]$|\.lock(?:/|$)|^@$")


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedRef:
    """A configured ref, and the full names that it may mean, in order of precedence."""

    text: str
    names: tuple[str, ...] = ()
    commit: Revision | None = None
    """Set for a commit id, which has no names."""

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Parse a ref; None is the remote's HEAD.

        Raises:
            InvalidValue: no branch or tag can have this name.
        """
        if text is None or text == "HEAD":
            return cls(text="HEAD", names=("HEAD",))
        if _COMMIT.fullmatch(text.lower()):
            return cls(text=text, commit=Revision(text.lower()))
        if not text or _MALFORMED.search(text):
            raise InvalidValue(field="ref", problem=f"{text[:80]!r} is no branch, tag or commit")
        if text.startswith("refs/"):
            return cls(text=text, names=(text,))
        if text.startswith(("heads/", "tags/")):
            return cls(text=text, names=(f"refs/{text}",))
        return cls(text=text, names=(f"refs/heads/{text}", f"refs/tags/{text}"))

    def choose(self, found: Mapping[str, str]) -> tuple[str, Revision] | None:
        """Return the first name that the remote has, if any, and its commit."""
        for name in self.names:
            if name in found:
                return name, Revision(found.get(name + PEELED, found[name]))
        return None

    def missing(self, url: str, *, empty: bool) -> RefNotFound:
        """Return the error for a remote that has none of the names."""
        kind = EmptyRepository if empty or self.text == "HEAD" else RefNotFound
        return kind(url=url, ref=self.text)
