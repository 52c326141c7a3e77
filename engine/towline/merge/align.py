"""Alignment: which states on the three sides are the same asset (docs/semantics.md).

Paths decide, ids follow. The sides are aligned by path, in this order:

1. Where ours and theirs agree at a path, that path is done.
2. A rename joins a path that vanished on one side with one that is new there
   (`towline.merge.renames`).
3. Everything else is compared path by path, as git does with renames off.

Each result is an `AlignedAsset`, anchored at its path in the recorded tree, or at its only path
where that tree has none; an asset that lags behind its deletion there is anchored at its local
path. They are made on demand, so only what a merge asks about is looked up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from towline.asset_ids import planned_id
from towline.changes import Changes, Coverage, RemoteAsset
from towline.frozen import frozen
from towline.merge.embedded import shared_ids
from towline.merge.renames import RenamedAssets
from towline.merge.sides import Sides
from towline.model import AssetId, AssetPath, AssetState, NonAsset, ThreeWay
from towline.options import Renames
from towline.records import AssetLookup, AssetRecord, ReadContent


@frozen(kw_only=True)
class AlignedAsset:
    """One asset, aligned: its three states, and the records that they come from.

    ``base_record`` is the record whose base and recorded state are this asset's; ``ours_record``
    the one whose ours is. They are the same, unless paths were swapped or replaced. ``non_asset``
    is what the repository has at its path where that is no asset (rule 14); then ``theirs`` is
    None. ``changed``: whether the remote changed it since the recorded revision.
    """

    id: AssetId
    anchor: AssetPath
    base: AssetState | None
    ours: AssetState | None
    theirs: AssetState | None
    non_asset: NonAsset | None
    changed: bool
    base_record: AssetRecord | None
    ours_record: AssetRecord | None
    remote: RemoteAsset | None

    @property
    def states(self) -> ThreeWay[AssetState | None]:
        """Its three states."""
        return ThreeWay(self.base, self.ours, self.theirs)

    @property
    def paths(self) -> frozenset[AssetPath]:
        """Every path that it has on some side."""
        states = (self.base, self.ours, self.theirs)
        return frozenset([state.path for state in states if state is not None] or [self.anchor])

    @property
    def path(self) -> AssetPath:
        """Its path in ours, else in theirs, else its anchor."""
        state = self.ours or self.theirs
        return state.path if state is not None else self.anchor


class Alignment:
    """The aligned assets of one merge, by anchor. The order of lookups does not matter."""

    def __init__(
        self,
        changes: Changes,
        ours: AssetLookup,
        project: str,
        renames: Renames,
        *,
        keeps_executable: bool,
        read: ReadContent | None,
    ) -> None:
        self._sides = Sides(changes, ours, keeps_executable=keeps_executable)
        self._rescoped = changes.coverage is Coverage.RESCOPED
        self._ours = ours
        self._project = project
        self._assets: dict[AssetPath, AlignedAsset | None] = {}
        self.lagging = self._sides.lagging
        """Every lagging asset, looked up once."""
        self.shared_ids = shared_ids(changes, ours)
        """Embedded ids that two assets have, which so pair nothing, with their paths in theirs."""
        self._renames = RenamedAssets(self._sides, renames, self.shared_ids, read)
        self.uncompared = self._renames.uncompared
        """The new paths that were too many to be compared by similarity."""

    def assets(self, paths: Iterable[AssetPath]) -> list[AlignedAsset]:
        """The assets that these paths belong to on any side, and all that share a record with them.

        Sorted by anchor.
        """
        found: dict[AssetPath, AlignedAsset] = {}
        waiting = [anchor for path in paths for anchor in self._anchors(path)]
        while waiting:
            anchor = waiting.pop()
            if anchor in found or (asset := self._asset(anchor)) is None:
                continue
            found[anchor] = asset
            waiting.extend(self._related(asset))
        return [found[anchor] for anchor in sorted(found)]

    def asset_at(self, path: AssetPath) -> AlignedAsset | None:
        """Return the asset that is at a path in ours."""
        return self._asset(self._ours_anchor(path))

    def paths_of(self, record: AssetRecord) -> Iterator[AssetPath]:
        """Yield the paths under which a record takes part in alignment."""
        if record.ours is not None:
            yield record.ours.path
        if record.aligned_path is not None:
            yield record.aligned_path

    def _anchors(self, path: AssetPath) -> Iterator[AssetPath]:
        yield path
        yield self._ours_anchor(path)
        if (old := self._renames.theirs_old_path(path)) is not None:
            yield old

    def _ours_anchor(self, path: AssetPath) -> AssetPath:
        record = self._sides.ours_at(path)
        old = self._renames.ours_rename(record) if record is not None else None
        return path if old is None else old

    def _related(self, asset: AlignedAsset) -> Iterator[AssetPath]:
        """Yield the anchors of assets that share a record with this one."""
        for record in (asset.base_record, asset.ours_record):
            if record is not None:
                for path in self.paths_of(record):
                    yield from self._anchors(path)

    def _asset(self, anchor: AssetPath) -> AlignedAsset | None:
        if anchor not in self._assets:
            self._assets[anchor] = self._make_asset(anchor)
        return self._assets[anchor]

    def _make_asset(self, anchor: AssetPath) -> AlignedAsset | None:
        base = self._sides.aligned_at(anchor)
        ours = self._ours_record(anchor, base)
        theirs_path = self._theirs_path(anchor)
        theirs = self._sides.theirs_at(theirs_path) if theirs_path is not None else None
        if base is None and ours is None and theirs is None:
            return None
        remote = theirs if isinstance(theirs, RemoteAsset) else None
        # What left the scope was not deleted there: the repository no longer has any part in it.
        released = self._rescoped and theirs is None
        return AlignedAsset(
            id=self._id_for(base, ours, theirs_path or anchor),
            anchor=anchor,
            base=base.base if base is not None and not released else None,
            ours=ours.ours if ours is not None else None,
            theirs=remote.state if remote is not None else None,
            non_asset=theirs if isinstance(theirs, NonAsset) else None,
            changed=anchor in self._sides.changes or theirs_path in self._sides.changes,
            base_record=base,
            ours_record=ours,
            remote=remote,
        )

    def _ours_record(self, anchor: AssetPath, base: AssetRecord | None) -> AssetRecord | None:
        """Return the record of this anchor in ours: at that path, or renamed from it."""
        if base is not None and self._renames.ours_rename(base) == anchor:
            return base
        record = self._sides.ours_at(anchor)
        return record if record is not None and self._renames.ours_rename(record) is None else None

    def _theirs_path(self, anchor: AssetPath) -> AssetPath | None:
        """Where this anchor's asset is in theirs; None where a rename took the path elsewhere."""
        if (new := self._renames.theirs_rename(anchor)) is not None:
            return new
        return None if self._renames.theirs_old_path(anchor) is not None else anchor

    def _id_for(
        self, base: AssetRecord | None, ours: AssetRecord | None, path: AssetPath
    ) -> AssetId:
        """Ours' id at the path, else that of the asset deleted here or gone, else a planned one."""
        if ours is not None:
            return ours.id
        if base is not None and base.ours is None:
            return base.id
        former = self._ours.former_id(path)
        return planned_id(self._project, path, self._ours.is_used) if former is None else former
