"""Checks and plans a request for a pull; used by runs and by stored plans.

``reset`` and ``clean`` of a request are part of the plan itself: they are done with the pull or not
at all, are in its report, and can be undone with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from typing import Any, cast

from towline.errors import NoRemoteVersion, NotAssociated, UnknownAssets
from towline.limits import Limits
from towline.model import AssetId, AssetPath, Revision
from towline.options import Comparison, OnConflict, PullOptions, Resolutions
from towline.plan import Disposition, Edit, Item, Plan
from towline.ports import Remote, Snapshot, Watch
from towline.pull import plan_at, plan_unchanged
from towline.records import AssetRecord, Occupant
from towline_server.errors import BoundElsewhere, UnknownKind
from towline_server.projects.domain import Project, PullSettings

from .domain import RunMode, RunRequest


def check_request(request: RunRequest, project: Project) -> None:
    """Refuse a request that does not fit its project.

    Raises:
        UnknownKind: it names a kind that the project does not have.
        NotAssociated: the project is bound to nothing.
        BoundElsewhere: the project is bound to something else than the run is for.
    """
    kind = request.kind
    if kind is not None and kind not in {each.name for each in project.kinds.kinds}:
        raise UnknownKind(kind=kind)
    if project.binding is None:
        raise NotAssociated(project=f"/{project.path}")
    if request.source is not None and not request.source.is_met_by(project.binding):
        raise BoundElsewhere(project=f"/{project.path}")


def settings_of(request: RunRequest, project: Project) -> PullSettings:
    """Return how a request's pull decides: as it says, else as its project does."""
    settings = project.settings
    return PullSettings(
        on_conflict=request.on_conflict or settings.on_conflict,
        content_merge=request.content_merge or settings.content_merge,
        renames=request.renames or settings.renames,
    )


def settings_left_to(project: Project, request: RunRequest) -> dict[str, str]:
    """Return the project's settings that a request leaves open, by name."""
    names = (each.name for each in fields(PullSettings))
    return {
        name: str(getattr(project.settings, name))
        for name in names
        if getattr(request, name) is None
    }


def options_of(request: RunRequest, project: Project, limits: Limits) -> PullOptions:
    """Return the options of a request's pull."""
    full = request.mode is RunMode.FULL_REFRESH
    settings = settings_of(request, project)
    return PullOptions(
        resolutions=request.resolutions,
        # What a reset discards is not retained by what was saved before it.
        use_saved=not request.reset,
        on_conflict=OnConflict.THEIRS if request.reset else settings.on_conflict,
        content_merge=settings.content_merge,
        renames=settings.renames,
        only=request.selection,
        limits=limits,
        allow_empty=request.allow_empty,
        comparison=Comparison.FULL if full else Comparison.INCREMENTAL,
    )


def plan_for(
    request: RunRequest,
    ours: Snapshot,
    remote: Remote,
    revision: Revision,
    options: PullOptions,
    watch: Watch = Watch(),
) -> Plan:
    """Plan the pull of a revision that is cached. Raises as `towline.pull.plan_at`."""

    def plan(options: PullOptions) -> Plan:
        if not request.clean:
            return plan_at(ours, remote, revision, options, watch=watch)
        tracked = cast(Snapshot, _Tracked(ours))
        plan = plan_at(tracked, remote, revision, options, watch=watch)
        return plan if plan.refused else _with_untracked_deleted(plan, ours)

    if not request.reset:
        return plan(options)
    named = frozenset(_changed_here(ours))
    while True:
        try:
            return plan(replace(options, resolutions=Resolutions(use_theirs=named)))
        except (NoRemoteVersion, UnknownAssets) as error:
            # Only the alignment finds that an asset whose place another one took is local, or is
            # no asset any more: there is no version to return it to.
            ids = error.asset_ids if isinstance(error, UnknownAssets) else (error.asset_id,)
            if not named.intersection(ids):
                raise
            named = named.difference(ids)


def summary_of(plan: Plan) -> str:
    """Return what a plan would do in a few words, for a run's log."""
    counts = Counter(str(item.disposition) for item in plan.items)
    found = ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "no change"
    refused = "; it is refused" if plan.refused else ""
    return f"planned: {found}; {len(plan.conflicts)} in conflict{refused}"


def unchanged_plan(
    request: RunRequest, ours: Snapshot, remote: Remote, revision: Revision, options: PullOptions
) -> Plan | None:
    """Return what `plan_for` returns where a pull finds nothing new; None: it has to compare."""
    if request.reset or request.clean:
        return None
    return plan_unchanged(ours, remote, revision, options)


def _changed_here(ours: Snapshot) -> Iterator[AssetId]:
    for record in ours.records():
        if record.local_only or record.ours == record.base:
            continue
        yield record.id
        # What took its place, if anything did, is the asset by which a plan knows the path.
        if record.aligned_path is not None and (there := ours.at(record.aligned_path)) is not None:
            yield there.id


def _with_untracked_deleted(plan: Plan, ours: Snapshot) -> Plan:
    gone = {record.id: record for record in ours.records() if record.local_only}
    # A new asset gets the id that is planned for its path: that of the one before it.
    edits = [replace(edit, before=gone.get(edit.asset_id, edit.before)) for edit in plan.edits]
    items = [_over(item, gone.get(item.asset_id)) if item.asset_id else item for item in plan.items]
    edited = {edit.asset_id for edit in edits}
    left = [record for asset_id, record in gone.items() if asset_id not in edited]
    edits += [Edit(before=record, after=None) for record in left]
    items += [_deleted(record) for record in left]
    items.sort(key=lambda item: (item.path, item.asset_id or ""))
    return replace(plan, edits=tuple(edits), items=tuple(items))


def _over(item: Item, before: AssetRecord | None) -> Item:
    """Return the item of a new asset that replaces a local-only one."""
    if before is None:
        return item
    if before.ours == item.after:
        return replace(item, disposition=Disposition.CONVERGED, before=before.ours)
    return replace(item, disposition=Disposition.OVERWRITTEN, before=before.ours, discarded=True)


def _deleted(record: AssetRecord) -> Item:
    assert record.ours is not None, "a local-only asset has a state in the store"
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
    """A project without its local-only assets."""

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
