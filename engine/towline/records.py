"""What a store records of a project and its assets, and how a merge reads them."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import field
from enum import StrEnum
from typing import Protocol, TypeAlias

from towline.frozen import frozen
from towline.model import AssetId, AssetPath, AssetState, Digest, NonAsset, Revision


@frozen(kw_only=True)
class AssetRecord:
    """One asset id and its states.

    ``base`` is the asset as last pulled (None: the repository never gave it), ``ours`` as it is in
    the store (None: deleted here). ``recorded`` is the state at the recorded revision: as ``base``,
    except for a lagging asset, whose base is older (docs/semantics.md). Alignment uses
    ``recorded``, merging ``base``. ``size`` (bytes) and ``embedded_id`` describe ``recorded``.
    """

    id: AssetId
    kind: str
    base: AssetState | None
    ours: AssetState | None
    recorded: AssetState | NonAsset | None = field(metadata={"formerly": "seen"})
    size: int = 0
    embedded_id: str | None = None

    @property
    def lagging(self) -> bool:
        """Whether its base is behind the project's recorded revision."""
        return self.recorded != self.base

    @property
    def aligned_path(self) -> AssetPath | None:
        """The path that it has in the tree of the recorded revision, for alignment.

        None where that tree does not have it: a local-only asset, or one that lags behind its
        deletion there. The latter is aligned at its path in ours.
        """
        return self.recorded.path if self.recorded is not None else None

    @property
    def last_path(self) -> AssetPath | None:
        """The path that it has here, else had in the recorded revision, else in base."""
        states = (self.ours, self.recorded, self.base)
        return next((state.path for state in states if state is not None), None)

    @property
    def local_only(self) -> bool:
        """Whether the repository has no part in it."""
        return self.base is None and self.recorded is None

    @property
    def is_unchanged(self) -> bool:
        """Whether it is as last pulled, and as the recorded revision has it."""
        return self.base is not None and self.ours == self.base and not self.lagging


@frozen(kw_only=True)
class ChangedRecords:
    """The assets that are not `AssetRecord.is_unchanged`, by id, and how many are."""

    records: tuple[AssetRecord, ...]
    unchanged: int


def changed_among(records: Iterable[AssetRecord]) -> ChangedRecords:
    """Return those that are not unchanged, in the same order."""
    found, count = [], 0
    for record in records:
        count += 1
        if not record.is_unchanged:
            found.append(record)
    return ChangedRecords(records=tuple(found), unchanged=count - len(found))


@frozen(kw_only=True)
class LocalFile:
    """Something in the store that is no asset, but is in the way of one."""

    path: AssetPath


Occupant: TypeAlias = AssetRecord | LocalFile


def paths_in_the_way(
    occupants: Iterable[Occupant], giving_way: Container[AssetId]
) -> Iterator[AssetPath]:
    """Yield the paths of occupants that are no assets, or none of those that give way."""
    for occupant in occupants:
        if isinstance(occupant, LocalFile):
            yield occupant.path
        elif occupant.ours is not None and occupant.id not in giving_way:
            yield occupant.ours.path


class AssetLookup(Protocol):
    """The project's side, looked up only for the assets that a merge needs.

    Answers are those of one moment. In tests it is made from a dict (`AssetIndex`).
    """

    def at(self, path: AssetPath) -> AssetRecord | None:
        """Return the asset at exactly this path now (``ours.path``), local-only or not."""
        ...

    def aligned_at(self, path: AssetPath) -> AssetRecord | None:
        """Return the asset whose `AssetRecord.aligned_path` is this path."""
        ...

    def with_id(self, asset_id: AssetId) -> AssetRecord | None:
        """Return the asset of this id, as long as it has any state."""
        ...

    def with_embedded_id(self, embedded_id: str) -> Sequence[AssetRecord]:
        """Return the assets whose content at the recorded revision embeds this id."""
        ...

    def lagging(self) -> Sequence[AssetRecord]:
        """Return every asset whose base is behind the recorded revision."""
        ...

    def occupants(self, path: AssetPath) -> Sequence[Occupant]:
        """Return everything that cannot exist together with a file at this path.

        What is at a path that the store's name policy holds equal, at one of its folders' paths,
        or anywhere below it (then paths compare by `NamePolicy.key`). An asset at the path itself
        is among them. Empty folders are not.
        """
        ...

    def is_used(self, asset_id: AssetId) -> bool:
        """Whether this project has, or ever had, an asset of this id."""
        ...

    def former_id(self, path: AssetPath) -> AssetId | None:
        """Return the id that an asset which returns at this path has again.

        It is that of the asset whose record was dropped last of those that were last at this path
        (`AssetRecord.last_path`); None where there is none, or the asset is elsewhere by now.
        """
        ...


def absent_at(ours: AssetLookup, path: AssetPath) -> AssetRecord | None:
    """Return the asset that is absent, and returns when something is written at this path.

    One that the recorded revision does not have either is gone for good.
    """
    record = ours.aligned_at(path)
    return record if record is not None and record.ours is None else None


@frozen(kw_only=True)
class StoreState:
    """The store's summary of a project: what a plan starts from, and what it leaves behind.

    ``tracked`` and ``tracked_bytes`` count the assets at the recorded revision, without what is
    no asset there. ``fingerprint`` and ``scope`` are those of the kinds and the subfolder used.
    """

    base: Revision | None = None
    fingerprint: str = ""
    scope: str = ""
    tracked: int = 0
    tracked_bytes: int = 0


class PlanKind(StrEnum):
    """What a plan came from."""

    PULL = "pull"
    UNDO = "undo"


@frozen(kw_only=True)
class PlanSummary:
    """What a log shows of each plan; a store may keep it beside the plan.

    ``base`` and ``revision`` are the recorded ones before and after it. ``counts`` has how many
    assets its report lists, by `towline.plan.LISTED` disposition.
    """

    kind: PlanKind
    undoes: int | None
    base: Revision | None
    revision: Revision | None
    counts: tuple[int, ...]


ReadContent: TypeAlias = Callable[[Digest], bytes | None]
"""Returns the bytes of a digest; None where they are missing, or too large to be looked at."""


class Contents(Protocol):
    """Where bytes come from, by digest. Every `Remote` is one."""

    def contents(self, digests: Sequence[Digest]) -> Iterator[tuple[Digest, bytes]]:
        """Return the bytes of each digest, in any order, each once.

        Raises:
            ContentMissing: one of them is missing.
        """
        ...
