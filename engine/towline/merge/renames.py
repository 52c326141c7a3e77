"""Renames: which path that vanished on one side is which that is new there (docs/semantics.md).

A rename holds only while nothing else claims the new path: not the base, and not the other side,
unless that renamed the same asset to it. Assets that traded paths on one side are renamed too,
where their embedded ids say which is which and the other side left them all where they were.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from towline.changes import RemoteAsset
from towline.merge.pairs import RenameCandidate, pair_renames
from towline.merge.sides import Sides
from towline.model import AssetId, AssetPath, AssetState
from towline.options import Renames
from towline.records import AssetRecord, ReadContent


class RenamedAssets:
    """The renames of one merge, on both sides.

    ``shared_ids`` are the embedded ids that two assets have, which so pair nothing; ``read``
    returns contents, without which none are found by similarity.
    """

    def __init__(
        self,
        sides: Sides,
        mode: Renames,
        shared_ids: Collection[str],
        read: ReadContent | None,
    ) -> None:
        self._sides = sides
        self._mode = mode
        self._shared_ids = shared_ids
        self._read = read
        self._traded: dict[AssetPath, AssetPath] = {}
        self._trades_here: dict[AssetId, bool] = {}
        self.uncompared: tuple[AssetPath, ...] = ()
        """The new paths that were too many to be compared by similarity."""
        self._claimed: dict[AssetPath, AssetPath] = self._pair_theirs()
        """Theirs' rename candidates, vanished path to new path."""
        self._claims = {new: old for old, new in self._claimed.items()}

    def theirs_old_path(self, new: AssetPath) -> AssetPath | None:
        """Return the path that theirs renamed the asset at ``new`` from, if that holds."""
        old = self._claims.get(new)
        return old if old is not None and self.theirs_rename(old) == new else None

    def _pair_theirs(self) -> dict[AssetPath, AssetPath]:
        """Pair what vanished with what is new in theirs: by id, equal or similar content."""
        if self._mode is Renames.OFF:
            return {}
        self._traded = self._trades()
        taken = set(self._traded.values())
        gone: list[RenameCandidate] = []
        new: list[RenameCandidate] = []
        for change in self._sides.changes.values():
            path, after = change.path, change.after
            record = self._sides.aligned_at(path)
            if record is None:
                if isinstance(after, RemoteAsset) and path not in taken:
                    new.append(self._candidate(after.state, after))
                continue
            is_gone = after is None and record.base is not None and path not in self._traded
            if is_gone and isinstance(record.recorded, AssetState):
                gone.append(self._candidate(record.recorded, record))
        pairs, compared = pair_renames(gone, new, self._mode, self._read)
        if not compared:
            paired = set(pairs.values())
            self.uncompared = tuple(asset.path for asset in new if asset.path not in paired)
        return self._traded | pairs

    def _candidate(self, state: AssetState, holder: AssetRecord | RemoteAsset) -> RenameCandidate:
        return RenameCandidate(state.path, state.digest, holder.size, self._own_id(holder))

    def _own_id(self, holder: AssetRecord | RemoteAsset) -> str | None:
        """Return the embedded id, unless another asset has it too."""
        return None if holder.embedded_id in self._shared_ids else holder.embedded_id

    def _trades(self) -> dict[AssetPath, AssetPath]:
        """Pair, by embedded ids, the paths of assets that took one another's places in theirs.

        Such a pair leaves a path that vanished or that another one enters, and enters one that is
        new or that another one leaves.
        """
        arrivals = {
            own: change.path
            for change in self._sides.changes.values()
            if isinstance(change.after, RemoteAsset) and (own := self._own_id(change.after))
        }
        pairs = {
            path: new
            for path in self._sides.changes
            if (record := self._sides.aligned_at(path)) is not None
            and (new := arrivals.get(self._own_id(record) or "")) not in (None, path)
            and self._is_unmoved(record, path)
            and not self._sides.agree_at(new)
        }
        while True:
            entered = set(pairs.values())
            held = {
                old: new
                for old, new in pairs.items()
                if (old in entered or self._sides.theirs_at(old) is None)
                and (new in pairs or not (self._sides.aligned_at(new) or self._sides.ours_at(new)))
            }
            if held == pairs:
                return {old: new for old, new in held.items() if old in entered or new in held}
            pairs = held

    def _is_unmoved(self, record: AssetRecord, path: AssetPath) -> bool:
        here = self._sides.ours_at(path)
        return here is not None and here.id == record.id and record.base is not None

    def theirs_rename(self, old: AssetPath) -> AssetPath | None:
        """Return the new path of what theirs renamed away from ``old``, if that holds."""
        new = self._claimed.get(old)
        if old in self._traded:
            return new
        if new is None or self._sides.agree_at(new):
            return None
        occupant = self._sides.ours_at(new)
        if occupant is None:
            return new
        return new if self._ours_candidate(occupant) == old else None

    def ours_rename(self, record: AssetRecord) -> AssetPath | None:
        """Return the path in the recorded tree that ours renamed this asset from, if that holds."""
        if self._is_traded(record):
            return record.aligned_path
        old = self._ours_candidate(record)
        if old is None or record.ours is None or self._sides.agree_at(record.ours.path):
            return None
        new = record.ours.path
        if isinstance(self._sides.theirs_at(new), RemoteAsset) and self._claimed.get(old) != new:
            return None
        return old

    def _ours_candidate(self, record: AssetRecord) -> AssetPath | None:
        if self._mode is Renames.OFF or record.ours is None or record.base is None:
            return None
        old, new = record.aligned_path, record.ours.path
        if old is None or old == new or self._sides.ours_at(old) or self._sides.aligned_at(new):
            return None
        return old

    def _is_traded(self, record: AssetRecord) -> bool:
        """Whether ours let it trade paths with others, which theirs left where they were."""
        if record.id not in self._trades_here:
            members: dict[AssetId, AssetRecord] = {}
            waiting, holds = [record], self._mode is not Renames.OFF
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
        if record.aligned_path is not None and (other := self._sides.ours_at(record.aligned_path)):
            yield other
        if record.ours is not None and (other := self._sides.aligned_at(record.ours.path)):
            yield other

    def _is_apart(self, record: AssetRecord) -> bool:
        """Whether it is elsewhere in ours, where theirs has nothing new, and is in its place there.

        The latter is what its embedded id says.
        """
        old = record.aligned_path
        if old is None or record.ours is None or record.base is None or record.embedded_id is None:
            return False
        theirs, new = self._sides.theirs_at(old), record.ours.path
        return (
            old != new
            and isinstance(theirs, RemoteAsset)
            and theirs.embedded_id == record.embedded_id
            and not self._sides.agree_at(new)
            and (self._sides.aligned_at(new) is not None or self._sides.theirs_at(new) is None)
        )
