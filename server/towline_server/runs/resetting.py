"""Giving up what was changed here: what `RunRequest.reset` and `RunRequest.clean` mean to a plan.

Both are part of the plan itself, so that they are done together with the pull or not at all, stand
in its report, and can be undone with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, cast

from towline.errors import NoRemoteVersion, UnknownAssets
from towline.model import AssetId, AssetPath
from towline.options import PullOptions, Resolutions
from towline.plan import Disposition, Edit, Item, Plan
from towline.ports import Snapshot
from towline.records import AssetRecord, Occupant

from .domain import RunRequest

Planned: TypeAlias = Callable[[Snapshot, PullOptions], Plan]
"""Makes the plan of a project at one moment; raises as `towline.pull.plan_at`."""


def plan_as_asked(
    ours: Snapshot, request: RunRequest, options: PullOptions, planned: Planned
) -> Plan:
    """Return the plan of a run's request. Raises as ``planned``."""

    def cleaned(options: PullOptions) -> Plan:
        if not request.clean:
            return planned(ours, options)
        return plan_clean(ours, lambda tracked: planned(tracked, options))

    if not request.reset:
        return cleaned(options)
    return plan_reset(ours, lambda resolutions: cleaned(replace(options, resolutions=resolutions)))


def plan_reset(ours: Snapshot, planned: Callable[[Resolutions], Plan]) -> Plan:
    """The plan in which every asset that was changed here becomes theirs.

    ``planned`` makes it, and raises what `towline.pull.plan_at` does.
    """
    named = frozenset(_changed_here(ours))
    while True:
        try:
            return planned(Resolutions(use_theirs=named))
        except (NoRemoteVersion, UnknownAssets) as error:
            # Only the alignment knows that an asset whose place another one took is nothing any
            # more, or a local one: there is nothing to return it to.
            ids = error.asset_ids if isinstance(error, UnknownAssets) else (error.asset_id,)
            if not named.intersection(ids):
                raise
            named = named.difference(ids)


def _changed_here(ours: Snapshot) -> Iterator[AssetId]:
    for record in ours.records():
        if record.local_only or record.ours == record.base:
            continue
        yield record.id
        # What took its place, if anything did, is the asset by which a plan knows the path.
        if record.aligned_path is not None and (there := ours.at(record.aligned_path)) is not None:
            yield there.id


def plan_clean(ours: Snapshot, planned: Callable[[Snapshot], Plan]) -> Plan:
    """The plan in which nothing stays that the repository does not track.

    ``planned`` makes it of a project without such assets. One in the way of theirs gives way.
    """
    plan = planned(cast(Snapshot, _Tracked(ours)))
    return plan if plan.refused else _with_untracked_deleted(plan, ours)


def _with_untracked_deleted(plan: Plan, ours: Snapshot) -> Plan:
    gone = {record.id: record for record in ours.records() if record.local_only}
    # A new asset has the id that is planned for its path, as the one that stood there had.
    edits = [replace(edit, before=gone.get(edit.asset_id, edit.before)) for edit in plan.edits]
    items = [_over(item, gone.get(item.asset_id)) if item.asset_id else item for item in plan.items]
    kept = {edit.asset_id for edit in edits}
    left = [record for asset_id, record in gone.items() if asset_id not in kept]
    edits += [Edit(before=record, after=None) for record in left]
    items += [_deleted(record) for record in left]
    items.sort(key=lambda item: (item.path, item.asset_id or ""))
    return replace(plan, edits=tuple(edits), items=tuple(items))


def _over(item: Item, before: AssetRecord | None) -> Item:
    """A new asset's item, where one that is given up stood already."""
    if before is None:
        return item
    if before.ours == item.after:
        return replace(item, disposition=Disposition.CONVERGED, before=before.ours)
    return replace(item, disposition=Disposition.OVERWRITTEN, before=before.ours, discarded=True)


def _deleted(record: AssetRecord) -> Item:
    assert record.ours is not None, "a local asset stands here, or is nowhere"
    return Item(
        disposition=Disposition.DELETED,
        asset_id=record.id,
        path=record.ours.path,
        kind=record.kind,
        rule=None,
        before=record.ours,
        after=None,
        discarded=True,
    )


class _Tracked:
    """A project as it would be without its local-only assets."""

    def __init__(self, whole: Snapshot) -> None:
        self._whole = whole

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole, name)

    def at(self, path: AssetPath) -> AssetRecord | None:
        return _tracked(self._whole.at(path))

    def with_id(self, asset_id: AssetId) -> AssetRecord | None:
        return _tracked(self._whole.with_id(asset_id))

    def occupants(self, path: AssetPath) -> Sequence[Occupant]:
        found = self._whole.occupants(path)
        return [each for each in found if not isinstance(each, AssetRecord) or _tracked(each)]

    def records(self) -> Iterator[AssetRecord]:
        return (record for record in self._whole.records() if not record.local_only)


def _tracked(record: AssetRecord | None) -> AssetRecord | None:
    return None if record is None or record.local_only else record
