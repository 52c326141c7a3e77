"""What the caller chooses: a side for an asset, a policy for the rest, a selection."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from towline.errors import ConflictingResolutions
from towline.globs import matches_any
from towline.limits import Limits
from towline.model import AssetId


class Side(StrEnum):
    """One of the two sides that an asset can be resolved to."""

    THEIRS = "theirs"
    OURS = "ours"


class Naming(StrEnum):
    """How resolutions name an asset."""

    IDS = "ids"
    IDS_OR_PATHS = "ids_or_paths"
    """By id; else by the path it has in ours, else by the one it has in theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolutions:
    """The side chosen for single assets; it holds whether they conflict or not.

    Raises:
        ConflictingResolutions: one name stands in both lists.
    """

    use_theirs: frozenset[str] = frozenset()
    use_ours: frozenset[str] = frozenset()
    naming: Naming = Naming.IDS

    def __post_init__(self) -> None:
        object.__setattr__(self, "use_theirs", frozenset(self.use_theirs))
        object.__setattr__(self, "use_ours", frozenset(self.use_ours))
        if both := self.use_theirs & self.use_ours:
            raise ConflictingResolutions(asset_ids=tuple(sorted(both)))

    def named(self) -> tuple[tuple[str, Side], ...]:
        """Every name with its side, in the names' order."""
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

    EXACT = "exact"
    """Equal contents paired without ambiguity, or one embedded id."""
    OFF = "off"
    """Path by path on both sides, as git does without renames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The assets that a pull is limited to: those that one of the three names; all if none does.

    Each of ``globs`` is a path, or a folder and so what is below it, or else a glob. A pull
    refuses a name that matches nothing in the project (UnknownAssets).
    """

    kinds: frozenset[str] = frozenset()
    globs: tuple[str, ...] = ()
    ids: frozenset[AssetId] = frozenset()

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How a pull decides what its resolutions leave open."""

    on_conflict: OnConflict = OnConflict.REFUSE
    only: Selection = Selection()
    limits: Limits = Limits()
    allow_empty: bool = False
    renames: Renames = Renames.EXACT
    comparison: Comparison = Comparison.INCREMENTAL
