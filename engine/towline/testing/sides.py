"""A small whole project on three sides, as a value, and what a merge of it takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field

from towline.asset_ids import planned_id
from towline.changes import Change, Changes, Coverage, RemoteAsset, RemoteEntry
from towline.frozen import frozen
from towline.kinds import Kind, Kinds
from towline.merge.context import Context
from towline.merge.index import AssetIndex
from towline.model import AssetId, AssetPath, AssetState, Revision
from towline.names import NamePolicy
from towline.plan import Plan
from towline.records import AssetRecord, StoreState

BASE = Revision("b" * 40)
THEIRS = Revision("7" * 40)
KINDS = Kinds((Kind(name="rule", globs=("*x",)), Kind(name="file", globs=("**",))))
"""Two kinds, so that a selection by kind can split a project."""


@frozen(kw_only=True)
class ThreeSides:
    """A project on three sides, every asset of it.

    ``base`` is the tree of the recorded revision, non-assets included; ``records`` are the store's,
    ``files`` the paths of what is in the store and is no asset.
    """

    records: tuple[AssetRecord, ...] = ()
    base: Mapping[AssetPath, RemoteEntry]
    theirs: Mapping[AssetPath, RemoteEntry]
    files: tuple[AssetPath, ...] = ()
    names: NamePolicy = NamePolicy.EXACT
    used: Mapping[AssetId, AssetPath | None] = field(default_factory=dict)
    """The ids of assets that are gone, each with the path at which it was last."""
    project: str = "project"

    def ours(self) -> AssetIndex:
        """Return the lookup that the merge asks."""
        return AssetIndex(self.records, files=self.files, names=self.names, used=self.used)

    def context(self) -> Context:
        """Return what a store says of itself."""
        return Context(
            project=self.project,
            state=state_of(self.records, BASE),
            kinds=KINDS,
            names=self.names,
        )

    def ids(self) -> list[AssetId]:
        """Return the id of every asset, planned ones of new assets included."""
        here = {record.ours.path for record in self.records if record.ours is not None}
        ours = self.ours()
        return [record.id for record in self.records] + [
            ours.former_id(path) or planned_id(self.project, path, ours.is_used)
            for path, entry in self.theirs.items()
            if isinstance(entry, RemoteAsset) and path not in here and path not in self.base
        ]

    def changes(self) -> Changes:
        """Return what differs between base and theirs, as a remote returns it."""
        paths = sorted(self.base.keys() | self.theirs.keys())
        return self._changes(p for p in paths if self.base.get(p) != self.theirs.get(p))

    def all_changes(self) -> Changes:
        """Return every asset of base and theirs, changed or not: a comparison that skips none."""
        unchanged = [
            path
            for path, entry in self.theirs.items()
            if isinstance(entry, RemoteAsset) and self.base.get(path) == entry
        ]
        changed = [change.path for change in self.changes().items]
        return self._changes(sorted(changed + unchanged))

    def _changes(self, paths: Iterable[AssetPath]) -> Changes:
        items = tuple(
            Change(path=p, before=self.base.get(p), after=self.theirs.get(p)) for p in paths
        )
        return Changes(base=BASE, revision=THEIRS, items=items, coverage=Coverage.BASE)


def state_of(records: Iterable[AssetRecord], revision: Revision | None) -> StoreState:
    """Return the summary that a store keeps of these records."""
    tracked = [record for record in records if isinstance(record.recorded, AssetState)]
    return StoreState(
        base=revision,
        fingerprint=KINDS.fingerprint,
        tracked=len(tracked),
        tracked_bytes=sum(record.size for record in tracked),
    )


def local_tree(records: Iterable[AssetRecord]) -> dict[AssetPath, AssetState]:
    """Return ours as a tree: what is in the store, by path."""
    return {record.ours.path: record.ours for record in records if record.ours is not None}


def records_after(records: Iterable[AssetRecord], plan: Plan) -> tuple[AssetRecord, ...]:
    """Return the records once a plan is applied, by id."""
    after = {record.id: record for record in records}
    for edit in plan.edits:
        if edit.after is None:
            del after[edit.asset_id]
        else:
            after[edit.asset_id] = edit.after
    return tuple(after[asset_id] for asset_id in sorted(after))


def can_coexist(names: NamePolicy, paths: Iterable[str]) -> bool:
    """Whether a store of this name policy can hold files at all of these paths."""
    keys: set[str] = set()
    for path in paths:
        key = names.key(path)
        if key in keys or names.problem(path) is not None:
            return False
        keys.add(key)
    return not any(folder in keys for key in keys for folder in AssetPath(key).folders)
