"""The values of docs/concepts.md: paths, ids, digests, an asset and its states.

Outside values enter through the ``parse`` class methods alone; past them a value is trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from hashlib import sha1
from typing import Generic, NewType, Self, TypeVar

from towline.errors import InvalidPath, InvalidValue
from towline.frozen import frozen
from towline.names import path_problem

T = TypeVar("T")
U = TypeVar("U")

Revision = NewType("Revision", str)
"""A commit id: 40 lower-case hex digits."""


class AssetPath(str):
    """A relative path inside a project, ``/`` between names (docs/semantics.md, "Names")."""

    __slots__ = ()

    @classmethod
    def parse(cls, raw: str) -> Self:
        """Take a path from outside.

        Raises:
            InvalidPath: a name in it is one that Git refuses, or belongs to towline.
        """
        if problem := path_problem(raw):
            raise InvalidPath(path=raw, problem=problem)
        return cls(raw)

    @property
    def name(self) -> str:
        """The last name of the path."""
        return self.rpartition("/")[2]

    @property
    def folders(self) -> tuple[str, ...]:
        """The paths of the folders it lies in, outermost first."""
        parts = self.split("/")[:-1]
        return tuple("/".join(parts[: depth + 1]) for depth in range(len(parts)))


class AssetId(str):
    """The opaque id of an asset, stable for its life; a store mints 24 lower-case hex digits."""

    __slots__ = ()

    @classmethod
    def parse(cls, raw: str) -> Self:
        """Take an id from outside: 1 to 255 printable characters.

        Raises:
            InvalidValue: it is empty, too long, or holds a control character.
        """
        if not cls.allows(raw):
            raise InvalidValue(field="asset id", problem=f"{raw[:40]!r} is not an asset id")
        return cls(raw)

    @staticmethod
    def allows(raw: str) -> bool:
        """Whether this text can be an id at all; a store is asked for no other."""
        return 0 < len(raw) <= 255 and raw.isprintable()


class Digest(str):
    """Content identity: the Git blob id of the stored bytes, 40 lower-case hex digits."""

    __slots__ = ()

    @classmethod
    def parse(cls, raw: str) -> Self:
        """Take a digest from outside.

        Raises:
            InvalidValue: it is not 40 lower-case hex digits.
        """
        if len(raw) != 40 or not set(raw) <= _HEX:
            raise InvalidValue(field="digest", problem=f"{raw[:70]!r} is not a Git blob id")
        return cls(raw)

    @classmethod
    def of(cls, content: bytes) -> Self:
        """Return the Git blob id of these bytes (``git hash-object``)."""
        return cls(sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest())


_HEX = frozenset("0123456789abcdef")


@frozen(kw_only=True)
class AssetState:
    """An asset on one side: three independent fields (docs/semantics.md)."""

    path: AssetPath
    digest: Digest
    executable: bool = False


def first_path(*states: AssetState | None) -> AssetPath:
    """Return the path of the first state that is there; one of them is."""
    for state in states:
        if state is not None:
            return state.path
    raise ValueError("an asset has a state")


class NonAssetReason(StrEnum):
    """Why something in the repository is not an asset (rule 14)."""

    OUTSIDE_KINDS = "outside_kinds"
    SYMLINK = "symlink"
    SUBMODULE = "submodule"
    LFS_POINTER = "lfs_pointer"
    NAME_NOT_UTF8 = "name_not_utf8"
    NAME_TOO_LONG = "name_too_long"


@frozen(kw_only=True)
class NonAsset:
    """Something in the repository that is not an asset; ``path`` is fit to be shown."""

    path: AssetPath
    reason: NonAssetReason


@frozen
class ThreeWay(Generic[T]):
    """One thing on three sides: as last pulled, in the store, at the remote."""

    base: T
    ours: T
    theirs: T

    def __iter__(self) -> Iterator[T]:
        """Yield base, ours and theirs."""
        return iter((self.base, self.ours, self.theirs))

    def by_side(self) -> dict[str, T]:
        """Return each side by its name: base, ours, theirs."""
        return {"base": self.base, "ours": self.ours, "theirs": self.theirs}

    def map(self, function: Callable[[T], U]) -> ThreeWay[U]:
        """Apply a function to each side."""
        return ThreeWay(function(self.base), function(self.ours), function(self.theirs))

    @property
    def clashes(self) -> bool:
        """Whether all three sides differ, so that neither side's change covers the other's."""
        return self.ours != self.theirs and self.base not in (self.ours, self.theirs)

    def resolved(self) -> T:
        """Return the side that changed, or what both agree on; ours where they clash."""
        return self.theirs if self.ours == self.base else self.ours
