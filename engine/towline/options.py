"""The options of a pull: sides for single assets, a policy for the rest, a selection, limits.

Every value checks itself: a policy may be given as its text, and anything else than the text of
one raises `InvalidValue`, which names the field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import field
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar

from towline.content_rules import ContentMode
from towline.errors import ConflictingResolutions, InvalidValue, TowlineError
from towline.frozen import frozen
from towline.globs import matches_any
from towline.limits import Limits
from towline.model import AssetId, AssetPath, ThreeWay

_Word = TypeVar("_Word", bound=StrEnum)

ContentMerge: TypeAlias = Callable[[AssetPath, ThreeWay[bytes]], bytes | None]
"""Merges the bytes of one asset whose content changed on both sides; None: it cannot."""


_set = object.__setattr__


def _word(name: str, kind: type[_Word], value: Any) -> _Word:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(kind)
        raise InvalidValue(field=name, problem=f"{value!r} is not one of {known}") from None


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, str) and isinstance(value, Iterable):
        texts = tuple(value)
        if all(isinstance(text, str) for text in texts):
            return texts
    raise InvalidValue(field=name, problem="must be a collection of strings")


class Side(StrEnum):
    """One of the two sides that an asset can be resolved to."""

    THEIRS = "theirs"
    OURS = "ours"


class Naming(StrEnum):
    """How resolutions name an asset."""

    IDS = "ids"
    IDS_OR_PATHS = "ids_or_paths"
    """By id; else by the path it has in ours, else by the one it has in theirs.

    In a pull any other name is a folder or a glob, and means the conflicts that it covers.
    """


@frozen(kw_only=True)
class Resolutions:
    """The side chosen for single assets, whether they conflict or not.

    Raises:
        ConflictingResolutions: a name is in both lists.
        InvalidValue: a list is not a collection of texts, or ``naming`` is unknown.
    """

    use_theirs: frozenset[str] = frozenset()
    use_ours: frozenset[str] = frozenset()
    naming: Naming = Naming.IDS

    def __post_init__(self) -> None:
        _set(self, "use_theirs", frozenset(_texts("use_theirs", self.use_theirs)))
        _set(self, "use_ours", frozenset(_texts("use_ours", self.use_ours)))
        _set(self, "naming", _word("naming", Naming, self.naming))
        if both := self.use_theirs & self.use_ours:
            raise ConflictingResolutions(asset_ids=tuple(sorted(both)))

    def named(self) -> tuple[tuple[str, Side], ...]:
        """Return every name with its side, in the names' order."""
        sides = [(name, Side.THEIRS) for name in self.use_theirs]
        sides += [(name, Side.OURS) for name in self.use_ours]
        return tuple(sorted(sides))


class OnConflict(StrEnum):
    """What a pull does with conflicts that no resolution settles (docs/semantics.md)."""

    REFUSE = "refuse"
    SKIP = "skip"
    THEIRS = "theirs"
    OURS = "ours"


class Renames(StrEnum):
    """Whether the remote's renames are looked for; ours are known to the store."""

    SIMILAR = "similar"
    """As EXACT, and else contents that are at least half the same, paired without ambiguity."""
    EXACT = "exact"
    """Equal contents paired without ambiguity, or one embedded id."""
    OFF = "off"
    """Path by path on both sides, as git does without renames."""


@frozen(kw_only=True)
class Selection:
    """The assets that a pull is limited to: those that one of the three names; all if none does.

    Each of ``globs`` is a path, or a folder and so what is below it, or else a glob. A pull
    refuses a name that matches nothing in the project (UnknownAssets).

    Raises:
        InvalidValue: a field is not a collection of texts, or an id cannot be one.
    """

    kinds: frozenset[str] = frozenset()
    globs: tuple[str, ...] = ()
    ids: frozenset[AssetId] = frozenset()

    def __post_init__(self) -> None:
        _set(self, "kinds", frozenset(_texts("kinds", self.kinds)))
        _set(self, "globs", _texts("globs", self.globs))
        try:
            _set(self, "ids", frozenset(map(AssetId.parse, _texts("ids", self.ids))))
        except TowlineError as error:
            raise InvalidValue(field="ids", problem=str(error)) from None

    @property
    def is_all(self) -> bool:
        """Whether nothing is left out."""
        return not (self.kinds or self.globs or self.ids)

    def takes(self, asset_id: AssetId, kinds: frozenset[str], paths: frozenset[str]) -> bool:
        """Whether an asset with this id, these kinds and these paths is selected."""
        return (
            self.is_all
            or asset_id in self.ids
            or bool(self.kinds & kinds)
            or any(matches_any(self.globs, path) for path in paths)
        )


class Comparison(StrEnum):
    """What theirs is compared with."""

    INCREMENTAL = "incremental"
    """The recorded base tree: only what changed is read."""
    FULL = "full"
    """Every asset's record, trusting no recorded tree."""


@frozen(kw_only=True)
class PullOptions:
    """How a pull decides.

    ``content_merge`` says how an asset whose content changed on both sides is merged, unless its
    kind does; or it is a function that is called for such an asset. Two options are equal whatever
    theirs is, and it is not stored.

    Raises:
        InvalidValue: a field has a value of another type, or a text that is no policy.
    """

    resolutions: Resolutions = Resolutions()
    use_saved: bool = True
    """Whether the project's saved resolutions are used; without them each conflict is open."""
    on_conflict: OnConflict = OnConflict.REFUSE
    only: Selection = Selection()
    limits: Limits = Limits()
    allow_empty: bool = False
    """Whether a pull may delete the last asset of the project."""
    renames: Renames = Renames.SIMILAR
    comparison: Comparison = Comparison.INCREMENTAL
    content_merge: ContentMode | ContentMerge = field(default=ContentMode.AUTO, compare=False)

    def __post_init__(self) -> None:
        _set(self, "on_conflict", _word("on_conflict", OnConflict, self.on_conflict))
        _set(self, "renames", _word("renames", Renames, self.renames))
        _set(self, "comparison", _word("comparison", Comparison, self.comparison))
        kinds = {
            "resolutions": Resolutions,
            "use_saved": bool,
            "only": Selection,
            "limits": Limits,
            "allow_empty": bool,
        }
        for name, kind in kinds.items():
            if type(getattr(self, name)) is not kind:
                raise InvalidValue(field=name, problem=f"takes {kind.__name__}")
        if not callable(self.content_merge):
            mode = _word("content_merge", ContentMode, self.content_merge)
            _set(self, "content_merge", mode)
