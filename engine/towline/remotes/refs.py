"""Owns what a configured ref means: a branch first, then a tag; full names and commit ids."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from towline.errors import EmptyRepository, InvalidValue, RefNotFound
from towline.model import Revision

PEELED = "^{}"
"""What a remote appends to the name of an annotated tag for the commit behind it."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
# What git check-ref-format refuses, and what would be an option.
_MALFORMED = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[-/.]|/\.|[/.]$|\.lock(?:/|$)|^@$")


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedRef:
    """A ref as the caller put it, and the full names that it can stand for, best first."""

    text: str
    names: tuple[str, ...] = ()
    commit: Revision | None = None
    """Where it is a commit id; then there are no names."""

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Take a ref from outside; None is the remote's HEAD.

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

    @property
    def patterns(self) -> tuple[str, ...]:
        """The names to ask a remote for, so that its answer can be chosen from."""
        peeled = (name + PEELED for name in self.names if not name.startswith("refs/heads/"))
        return (*self.names, *peeled)

    def choose(self, url: str, found: Mapping[str, str]) -> tuple[str, Revision]:
        """The full name that is meant, and its commit, among what the remote has.

        Raises:
            RefNotFound: the remote has none of the names, but others.
            EmptyRepository: the remote has nothing, or its HEAD has no commit.
        """
        for name in self.names:
            if name in found:
                return name, Revision(found.get(name + PEELED, found[name]))
        raise self.missing(url, empty=not found)

    def missing(self, url: str, *, empty: bool) -> RefNotFound:
        """The error for a remote that has none of the names."""
        kind = EmptyRepository if empty or self.text == "HEAD" else RefNotFound
        return kind(url=url, ref=self.text)
