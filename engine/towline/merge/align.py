"""Alignment: which states on the three sides are the same asset (docs/semantics.md).

Paths decide, ids follow. The sides are aligned by path, in this order:

1. Where ours and theirs agree at a path, that path is done.
2. A rename joins a path that vanished on one side with one that is new there. It holds only while
   nothing else claims the new path: not the base, and not the other side, unless that renamed the
   same asset to it. Assets that traded paths on one side are renamed too, where their embedded
   ids say which is which and the other side left them all where they were.
3. Everything else is compared path by path, as git does with renames off.

Each result is an `AlignedAsset`, anchored at its path in the recorded tree, or at its only path
where that tree has none; an asset that lags behind its deletion there is anchored at its local
path. They are made on demand, so only what a merge asks about is looked up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from towline.changes import Change, Changes, Coverage, RemoteAsset, RemoteEntry
from towline.merge.embedded import shared_ids
from towline.merge.similar import Candidate, are_too_many, similar_pairs
from towline.model import AssetId, AssetPath, AssetState, Digest, NonAsset, ThreeWay, planned_id
from towline.options import Renames
from towline.records import AssetLookup, AssetRecord


@dataclass(frozen=True, slots=True, kw_only=True)
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
        keeps_executable: bool = True,
        read: Callable[[Digest], bytes | None] | None = None,
    ) -> None:
        self._changes: dict[AssetPath, Change] = {item.path: item for item in changes.items}
        self._rescoped = changes.coverage is Coverage.RESCOPED
        self._ours = ours
        self._project = project
        self._renames = renames
        self._keeps_executable = keeps_executable
        self._read = read
        self._assets: dict[AssetPath, AlignedAsset | None] = {}
        self._aligned: dict[AssetPath, AssetRecord | None] = {}
        self._ours_by_path: dict[AssetPath, AssetRecord | None] = {}
        self.lagging = tuple(ours.lagging())
        """Every lagging asset, looked up once."""
        # The recorded tree has no path for these, and no other asset may take their place.
        self._lagging_deletions: dict[AssetPath, AssetRecord] = {
            record.ours.path: record
            for record in self.lagging
            if record.recorded is None and record.ours is not None
        }
        self.shared_ids = shared_ids(changes, ours)
        """Embedded ids that two assets have, which so pair nothing, with their paths in theirs."""
        self._traded: dict[AssetPath, AssetPath] = {}
        self._trades_here: dict[AssetId, bool] = {}
        self.uncompared: tuple[AssetPath, ...] = ()
        """The new paths that were too many to be compared by similarity."""
        self._claimed: dict[AssetPath, AssetPath] = self._pair_theirs()
        """Theirs' rename candidates, vanished path to new path."""
        self._claims = {new: old for old, new in self._claimed.items()}

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

    # --- the three sides at a path -----------------------------------------------------------

    def _aligned_at(self, path: AssetPath) -> AssetRecord | None:
        if path not in self._aligned:
            self._aligned[path] = self._ours.aligned_at(path) or self._lagging_deletions.get(path)
        return self._aligned[path]

    def _ours_at(self, path: AssetPath) -> AssetRecord | None:
        if path not in self._ours_by_path:
            self._ours_by_path[path] = self._with_executable(path, self._ours.at(path))
        return self._ours_by_path[path]

    def _with_executable(self, path: AssetPath, record: AssetRecord | None) -> AssetRecord | None:
        """Theirs' executable bit for what was never pulled, where files have none."""
        if self._keeps_executable or record is None or record.ours is None or record.base:
            return record
        theirs = self._theirs_at(path)
        if record.recorded is not None or not isinstance(theirs, RemoteAsset):
            return record
        return replace(record, ours=replace(record.ours, executable=theirs.state.executable))

    def _theirs_at(self, path: AssetPath) -> RemoteEntry | None:
        if (change := self._changes.get(path)) is not None:
            return change.after
        record = self._aligned_at(path)
        if record is None or record.recorded is None:
            return None
        if isinstance(record.recorded, NonAsset):
            return record.recorded
        return RemoteAsset(state=record.recorded, size=record.size, embedded_id=record.embedded_id)

    def _agree_at(self, path: AssetPath) -> bool:
        """Rule 1: whether ours and theirs agree at this path."""
        theirs, record = self._theirs_at(path), self._ours_at(path)
        return (
            isinstance(theirs, RemoteAsset) and record is not None and record.ours == theirs.state
        )

    # --- renames (rule 2) --------------------------------------------------------------------

    def _pair_theirs(self) -> dict[AssetPath, AssetPath]:
        """Pair what vanished with what is new in theirs: by id, equal or similar content."""
        if self._renames is Renames.OFF:
            return {}
        self._traded = self._trades()
        gone: list[tuple[AssetPath, AssetRecord]] = []
        new: list[tuple[AssetPath, RemoteAsset]] = []
        for change in self._changes.values():
            record = self._aligned_at(change.path)
            if isinstance(change.after, RemoteAsset):
                if record is None:
                    new.append((change.path, change.after))
            elif change.after is None and record is not None and record.base is not None:
                gone.append((change.path, record))
        pairs = self._traded | _unambiguous(
            [(path, self._own_id(record)) for path, record in gone if path not in self._traded],
            [(path, self._own_id(asset)) for path, asset in new],
        )
        taken = set(pairs.values())
        pairs |= _unambiguous(
            [(path, _digest(record)) for path, record in gone if path not in pairs],
            [(path, asset.state.digest) for path, asset in new if path not in taken],
        )
        taken = set(pairs.values())
        return pairs | self._pair_similar(
            [(path, record) for path, record in gone if path not in pairs],
            [(path, asset) for path, asset in new if path not in taken],
        )

    def _pair_similar(
        self, gone: list[tuple[AssetPath, AssetRecord]], new: list[tuple[AssetPath, RemoteAsset]]
    ) -> dict[AssetPath, AssetPath]:
        if self._renames is not Renames.SIMILAR or self._read is None:
            return {}
        sources = [
            Candidate(path, record.recorded.digest, record.size, self._own_id(record))
            for path, record in gone
            if isinstance(record.recorded, AssetState)
        ]
        targets = [
            Candidate(path, asset.state.digest, asset.size, self._own_id(asset))
            for path, asset in new
        ]
        if are_too_many(sources, targets):
            self.uncompared = tuple(path for path, _ in new)
            return {}
        return similar_pairs(sources, targets, self._read)

    def _own_id(self, holder: AssetRecord | RemoteAsset) -> str | None:
        """Return the embedded id, unless another asset has it too."""
        return None if holder.embedded_id in self.shared_ids else holder.embedded_id

    def _trades(self) -> dict[AssetPath, AssetPath]:
        """Pair, by embedded ids, the paths of assets that took one another's places in theirs.

        Such a pair leaves a path that vanished or that another one enters, and enters one that is
        new or that another one leaves.
        """
        arrivals = {
            own: change.path
            for change in self._changes.values()
            if isinstance(change.after, RemoteAsset) and (own := self._own_id(change.after))
        }
        pairs = {
            path: new
            for path in self._changes
            if (record := self._aligned_at(path)) is not None
            and (new := arrivals.get(self._own_id(record) or "")) not in (None, path)
            and self._is_unmoved(record, path)
            and not self._agree_at(new)
        }
        while True:
            entered = set(pairs.values())
            held = {
                old: new
                for old, new in pairs.items()
                if (old in entered or self._theirs_at(old) is None)
                and (new in pairs or not (self._aligned_at(new) or self._ours_at(new)))
            }
            if held == pairs:
                return {old: new for old, new in held.items() if old in entered or new in held}
            pairs = held

    def _is_unmoved(self, record: AssetRecord, path: AssetPath) -> bool:
        here = self._ours_at(path)
        return here is not None and here.id == record.id and record.base is not None

    def _theirs_rename(self, old: AssetPath) -> AssetPath | None:
        """Return the new path of what theirs renamed away from ``old``, if that holds."""
        new = self._claimed.get(old)
        if old in self._traded:
            return new
        if new is None or self._agree_at(new):
            return None
        occupant = self._ours_at(new)
        if occupant is None:
            return new
        return new if self._ours_candidate(occupant) == old else None

    def _ours_rename(self, record: AssetRecord) -> AssetPath | None:
        """Return the path in the recorded tree that ours renamed this asset from, if that holds."""
        if self._is_traded(record):
            return record.aligned_path
        old = self._ours_candidate(record)
        if old is None or record.ours is None or self._agree_at(record.ours.path):
            return None
        new = record.ours.path
        if isinstance(self._theirs_at(new), RemoteAsset) and self._claimed.get(old) != new:
            return None
        return old

    def _ours_candidate(self, record: AssetRecord) -> AssetPath | None:
        if self._renames is Renames.OFF or record.ours is None or record.base is None:
            return None
        old, new = record.aligned_path, record.ours.path
        if old is None or old == new or self._ours_at(old) or self._aligned_at(new):
            return None
        return old

    def _is_traded(self, record: AssetRecord) -> bool:
        """Whether ours let it trade paths with others, which theirs left where they were."""
        if record.id not in self._trades_here:
            members: dict[AssetId, AssetRecord] = {}
            waiting, holds = [record], self._renames is not Renames.OFF
            while waiting and holds:
                each = waiting.pop()
                if each.id not in members:
                    members[each.id] = each
                    holds = self._is_apart(each)
                    waiting += self._neighbours(each)
            self._trades_here |= dict.fromkeys([record.id, *members], holds and len(members) > 1)
        return self._trades_here[record.id]

    def _neighbours(self, record: AssetRecord) -> Iterator[AssetRecord]:
        """Yield the assets that are at its path in the recorded tree, and were at its path here."""
        if record.aligned_path is not None and (other := self._ours_at(record.aligned_path)):
            yield other
        if record.ours is not None and (other := self._aligned_at(record.ours.path)):
            yield other

    def _is_apart(self, record: AssetRecord) -> bool:
        """Whether it is elsewhere in ours, where theirs has nothing new, and is in its place there.

        The latter is what its embedded id says.
        """
        old = record.aligned_path
        if old is None or record.ours is None or record.base is None or record.embedded_id is None:
            return False
        theirs, new = self._theirs_at(old), record.ours.path
        return (
            old != new
            and isinstance(theirs, RemoteAsset)
            and theirs.embedded_id == record.embedded_id
            and not self._agree_at(new)
            and (self._aligned_at(new) is not None or self._theirs_at(new) is None)
        )

    # --- assets -------------------------------------------------------------------------------

    def _anchors(self, path: AssetPath) -> Iterator[AssetPath]:
        yield path
        yield self._ours_anchor(path)
        old = self._claims.get(path)
        if old is not None and self._theirs_rename(old) == path:
            yield old

    def _ours_anchor(self, path: AssetPath) -> AssetPath:
        record = self._ours_at(path)
        old = self._ours_rename(record) if record is not None else None
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
        base = self._aligned_at(anchor)
        ours = self._ours_record(anchor, base)
        theirs_path = self._theirs_path(anchor)
        theirs = self._theirs_at(theirs_path) if theirs_path is not None else None
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
            changed=anchor in self._changes or theirs_path in self._changes,
            base_record=base,
            ours_record=ours,
            remote=remote,
        )

    def _ours_record(self, anchor: AssetPath, base: AssetRecord | None) -> AssetRecord | None:
        """Return the record of this anchor in ours: at that path, or renamed from it."""
        if base is not None and self._ours_rename(base) == anchor:
            return base
        record = self._ours_at(anchor)
        return record if record is not None and self._ours_rename(record) is None else None

    def _theirs_path(self, anchor: AssetPath) -> AssetPath | None:
        """Where this anchor's asset is in theirs; None where a rename took the path elsewhere."""
        if (new := self._theirs_rename(anchor)) is not None:
            return new
        old = self._claims.get(anchor)
        return None if old is not None and self._theirs_rename(old) == anchor else anchor

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


def _digest(record: AssetRecord) -> str | None:
    return record.recorded.digest if isinstance(record.recorded, AssetState) else None


def _unambiguous(
    gone: list[tuple[AssetPath, str | None]], new: list[tuple[AssetPath, str | None]]
) -> dict[AssetPath, AssetPath]:
    """Return pairs of one gone and one new path under a mark that occurs once on each side."""
    gone_count = Counter(mark for _, mark in gone)
    by_mark = {mark: path for path, mark in new}
    new_count = Counter(mark for _, mark in new)
    return {
        path: by_mark[mark]
        for path, mark in gone
        if mark is not None and gone_count[mark] == 1 and new_count[mark] == 1
    }
