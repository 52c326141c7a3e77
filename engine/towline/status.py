"""The status of every asset against the last fetched revision, without the network.

The pull itself plans what it would do (`towline.resolve.plan_conflicts`); the assets that it does
not look at have not changed at the remote, so their local state is their status.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from towline.errors import (
    ContentMissing,
    InvalidTree,
    LimitExceeded,
    RemoteError,
)
from towline.frozen import frozen
from towline.model import (
    AssetId,
    AssetPath,
    AssetState,
    Digest,
    NonAsset,
    Revision,
    ThreeWay,
    first_path,
)
from towline.options import PullOptions, Resolutions, Selection
from towline.plan import BehindReason, Disposition, IgnoredReason, Item, Note, Plan
from towline.ports import AssetStore, Remote, Snapshot, Watch
from towline.records import AssetRecord, ReadContent
from towline.resolutions import SavedResolution
from towline.up_to_date import is_up_to_date

if TYPE_CHECKING:
    from towline.resolve import PlannedConflicts


class State(StrEnum):
    """The state of one asset."""

    UNCHANGED = "unchanged"
    MODIFIED_HERE = "modified-here"
    MODIFIED_THERE = "modified-there"
    """A pull updates it; a local edit that does not clash stays."""
    CONFLICT = "conflict"
    LOCAL_ONLY = "local-only"
    ADDED_THERE = "added-there"
    DELETED_HERE = "deleted-here"
    DELETED_THERE = "deleted-there"
    BEHIND = "behind"
    """Not as the last pulled revision has it, and in no conflict; `AssetStatus.behind` says why."""


@frozen(kw_only=True)
class AssetStatus:
    """One asset: its state, and what it is on the three sides.

    An asset that was added there has the id that a pull would give it. ``behind`` is why it is
    behind the last pulled revision, if it is; then ``state`` is ``behind`` or ``conflict``.
    ``settled``: whether the next pull settles its conflict, by its ``resolution``, which is saved,
    or by those of others.
    """

    asset_id: AssetId
    kind: str
    state: State
    states: ThreeWay[AssetState | None]
    behind: BehindReason | None = None
    resolution: SavedResolution | None = None
    settled: bool = False

    @property
    def path(self) -> AssetPath:
        """Its path here, else there, else in base."""
        return first_path(self.states.ours, self.states.theirs, self.states.base)

    @property
    def is_edited_here(self) -> bool:
        """Whether it was pulled, and changed here since."""
        return self.states.base is not None and self.states.ours != self.states.base

    @property
    def is_rewritten_here(self) -> bool:
        """Whether it was pulled, and its content changed here since."""
        base, ours = self.states.base, self.states.ours
        return base is not None and ours is not None and base.digest != ours.digest

    @property
    def renamed_from(self) -> AssetPath | None:
        """Its path in base, where it has another one here."""
        base, ours = self.states.base, self.states.ours
        return base.path if base and ours and base.path != ours.path else None

    @property
    def renamed_there(self) -> tuple[AssetPath, AssetPath] | None:
        """Its paths in base and there, where these differ."""
        base, theirs = self.states.base, self.states.theirs
        return (base.path, theirs.path) if base and theirs and base.path != theirs.path else None


class Listed(StrEnum):
    """Which assets a status lists."""

    ALL = "all"
    CHANGED = "changed"
    """Those that are not `State.UNCHANGED`; of the others only their number is found."""


@frozen(kw_only=True)
class ProjectStatus:
    """The assets of a project, sorted by path; ``left_out`` is how many unchanged ones are not.

    ``revision`` is the last one fetched; ``unused`` says which saved resolutions settle no conflict
    with it, and why. If there is a ``problem``, it could not be compared, and the states are those
    of local changes alone.
    """

    base: Revision | None
    revision: Revision | None
    assets: tuple[AssetStatus, ...]
    left_out: int = 0
    unused: tuple[Note, ...] = ()
    problem: str = ""


def status(
    store: AssetStore,
    remote: Remote | None,
    revision: Revision | None,
    *,
    options: PullOptions = PullOptions(),
    listed: Listed = Listed.ALL,
    watch: Watch = Watch(),
) -> ProjectStatus:
    """Return the state of every asset against a fetched revision, without the network.

    ``remote`` is asked only for what it has here. ``options`` are those of the pull: how it merges
    contents and finds renames; what would stop it, or leave assets out, does not count. This walks
    the whole project.
    """
    with store.snapshot() as snapshot:
        base = snapshot.state().base
        if base is not None and remote is not None:
            snapshot.find_renames(options.renames, _recorded_contents(snapshot, remote))
        found, problem = _conflicts(snapshot, remote, revision, options, watch)
        plan = None if found is None else found.plan
        records, left_out = _records(snapshot, plan, listed)
        assets = sorted(
            _assets(snapshot, plan, records), key=lambda asset: (asset.path, asset.asset_id)
        )
    if found is not None:
        saved = {asset_id: found.saved.get(asset_id) for asset_id in found.settled}
        for index, each in enumerate(assets):
            if each.asset_id in saved:
                assets[index] = replace(each, settled=True, resolution=saved[each.asset_id])
    if listed is Listed.CHANGED:
        changed = [asset for asset in assets if asset.state is not State.UNCHANGED]
        assets, left_out = changed, left_out + len(assets) - len(changed)
    return ProjectStatus(
        base=base,
        revision=revision,
        assets=tuple(assets),
        left_out=left_out,
        unused=() if found is None else found.unused,
        problem=problem,
    )


def status_json(status: ProjectStatus) -> dict[str, object]:
    """Return a status in JSON form (the shape is part of the interface)."""
    return {
        "base": status.base,
        "revision": status.revision,
        "assets": [
            {
                "asset_id": asset.asset_id,
                "path": asset.path,
                "name": asset.path.name,
                "kind": asset.kind,
                "state": str(asset.state),
                "resolved": asset.settled,
                "renamed_from": asset.renamed_from,
                "renamed_there": asset.renamed_there and asset.renamed_there[1],
                "behind": None if asset.behind is None else str(asset.behind),
            }
            for asset in status.assets
        ],
        "unused": [asdict(note) for note in status.unused],
    }


def _conflicts(
    snapshot: Snapshot,
    remote: Remote | None,
    revision: Revision | None,
    options: PullOptions,
    watch: Watch,
) -> tuple[PlannedConflicts | None, str]:
    """Return the conflicts with the revision, with a plan of it, or why there is none.

    Where the revision is the last pulled one, most often, there is neither.
    """
    if remote is None or revision is None:
        return None, "nothing has been fetched yet"
    options = replace(
        options,
        use_saved=True,
        resolutions=Resolutions(),
        only=Selection(),
        limits=options.limits.without_project_bounds(),
        allow_empty=True,
    )
    if is_up_to_date(snapshot, remote, snapshot.state(), revision, options):
        return None, ""  # without a look at what was fetched
    if not remote.has(revision):
        return None, f"the fetched revision {revision[:12]} is no longer in the cache"
    from towline.resolve import plan_conflicts

    try:
        return plan_conflicts(snapshot, remote, revision, options, watch=watch), ""
    except (InvalidTree, LimitExceeded, ContentMissing, RemoteError) as error:
        return None, error.message


def _recorded_contents(snapshot: Snapshot, remote: Remote) -> ReadContent:
    def read(digest: Digest) -> bytes | None:
        # Most statuses find no rename to look at.
        from towline.pull import recorded_contents

        return recorded_contents(snapshot, remote)(digest)

    return read


def _records(
    snapshot: Snapshot, plan: Plan | None, listed: Listed
) -> tuple[dict[AssetId, AssetRecord], int]:
    """Return the records to look at, by id, and how many others there are, all unchanged."""
    if listed is Listed.ALL:
        return {record.id: record for record in snapshot.records()}, 0
    found = snapshot.changed_records()
    records, left_out = {record.id: record for record in found.records}, found.unchanged
    for item in plan.items if plan is not None else ():
        if item.asset_id is None or item.asset_id in records:
            continue
        # One that is as last pulled here, and was changed there.
        record = snapshot.with_id(item.asset_id) if item.before is not None else None
        if record is not None:
            records[record.id] = record
            left_out -= 1
    return records, left_out


def _assets(
    snapshot: Snapshot, plan: Plan | None, records: dict[AssetId, AssetRecord]
) -> Iterator[AssetStatus]:
    items = {item.asset_id: item for item in plan.items} if plan is not None else {}
    after = {edit.asset_id: edit.after for edit in plan.edits} if plan is not None else {}
    for record in records.values():
        item = items.get(record.id)
        if item is None and _is_replaced(record, snapshot):
            continue
        if record.ours is None and after.get(record.id, record) is None:
            continue  # Gone on both sides.
        theirs = _theirs(after.get(record.id, record))
        behind = _behind(record, item, theirs)
        state = _state(record, item, snapshot)
        if behind is not None:
            state = State.CONFLICT if behind is BehindReason.CONFLICT else State.BEHIND
        if state is not None:
            yield AssetStatus(
                asset_id=record.id,
                kind=record.kind,
                state=state,
                states=ThreeWay(record.base, record.ours, theirs),
                behind=behind,
            )
    for asset_id, item in items.items():
        if asset_id is None or asset_id in records:
            continue
        state = _decided(item)
        theirs = _theirs(after.get(asset_id)) or item.after
        if state is not None and theirs is not None:
            states = ThreeWay(None, None, theirs)
            yield AssetStatus(asset_id=asset_id, kind=item.kind, state=state, states=states)


def _theirs(record: AssetRecord | None) -> AssetState | None:
    """Return the asset at the revision; ``recorded`` is that, for a lagging one too."""
    recorded = record.recorded if record is not None else None
    return recorded if isinstance(recorded, AssetState) else None


def _is_replaced(record: AssetRecord, snapshot: Snapshot) -> bool:
    """Whether it was deleted here, and another asset at its path is shown instead."""
    if record.ours is not None or record.aligned_path is None:
        return False
    return snapshot.at(record.aligned_path) is not None


def _state(record: AssetRecord, item: Item | None, snapshot: Snapshot) -> State | None:
    decided = _decided(item) if item is not None else None
    if decided is not None:
        return decided
    if item is not None and item.rule == 7:
        return State.UNCHANGED if record.ours is not None else None
    if record.ours is None:
        return State.DELETED_HERE
    base = record.base
    if base is None and (replaced := snapshot.aligned_at(record.ours.path)) is not None:
        base = replaced.base
    if base is None:
        # What was released because the kinds changed is no asset any more.
        return State.LOCAL_ONLY if snapshot.kinds.of(record.ours.path) else None
    return State.UNCHANGED if record.ours == base else State.MODIFIED_HERE


def behind_reason(record: AssetRecord) -> BehindReason | None:
    """Return why an asset is behind the recorded revision, by its record alone.

    None where it is not, or where ours is what that revision has.
    """
    if not record.lagging or record.ours == record.recorded:
        return None
    if isinstance(record.recorded, NonAsset):
        return BehindReason(record.recorded.reason.value)
    from towline.merge.decide import CONFLICT_RULES, rule_of

    rule = rule_of(ThreeWay(record.base, record.ours, record.recorded))
    return BehindReason.CONFLICT if rule in CONFLICT_RULES else BehindReason.LEFT_OUT


def _behind(
    record: AssetRecord, item: Item | None, theirs: AssetState | None
) -> BehindReason | None:
    """Return why an asset is behind, also by what a pull decides for it, if that is known."""
    reason = behind_reason(record)
    if reason is None or item is None:
        return reason
    if item.behind is not None:
        return item.behind
    # Where the repository has ended a conflict, or has an asset again, it is any other update.
    ended = reason is BehindReason.CONFLICT and theirs != record.recorded
    is_updated = _decided(item) is not None and not isinstance(record.recorded, NonAsset)
    return BehindReason.LEFT_OUT if is_updated and not ended else None


def _decided(item: Item) -> State | None:
    """Return the state that a pull decides; None where the local state is the whole answer."""
    return (
        State.CONFLICT if item.reason is IgnoredReason.CONFLICT else _STATES.get(item.disposition)
    )


_STATES = {
    Disposition.CONFLICT: State.CONFLICT,
    Disposition.UPDATED: State.MODIFIED_THERE,
    Disposition.DELETED: State.DELETED_THERE,
    Disposition.CREATED: State.ADDED_THERE,
}
