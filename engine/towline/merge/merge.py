"""The merge: what the remote changed, and a lookup of ours, to a plan. Pure and deterministic.

It looks up the changed, the lagging and the named assets, and what they collide with, alone: it
costs what changed, never what the project holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from towline.changes import Changes
from towline.errors import ConflictingResolutions, UnknownAssets, UnselectedResolutions
from towline.merge.align import AlignedAsset, Alignment
from towline.merge.cases import Case, Resolver, Stage
from towline.merge.context import Context
from towline.merge.decide import digest_merge
from towline.merge.outcome import check_outcome, notes_of, plan_of
from towline.model import AssetId, AssetPath, AssetState
from towline.names import path_problem
from towline.options import Naming, PullOptions, Resolutions, Selection, Side
from towline.plan import Note, Plan
from towline.records import AssetLookup, ReadContent
from towline.resolutions import SavedResolution


def merge(
    changes: Changes,
    ours: AssetLookup,
    *,
    context: Context,
    options: PullOptions = PullOptions(),
    read: ReadContent | None = None,
) -> Plan:
    """Return what a pull of these changes would do to the project.

    ``read`` returns contents of either side, None where it has none; only with it is
    `PullOptions.content_merge` called, and are renames found by similarity.

    Raises:
        UnknownAssets, ConflictingResolutions, CollidingResolutions, NoRemoteVersion,
        UnselectedResolutions: the resolutions or the selection do not fit the project.
        AssetLimitExceeded, LimitExceeded, EmptyRemote: the outcome is refused.
        InvalidTree: the repository's content is refused.
    """
    alignment = Alignment(
        changes,
        ours,
        context.project,
        options.renames,
        keeps_executable=context.keeps_executable,
        read=read,
    )
    paths = [*_paths_to_look_at(changes, ours, alignment, options.resolutions)]
    paths += [path for saved in context.saved for path in _paths_of(saved, ours, alignment)]
    assets = alignment.assets(paths)
    chosen = _chosen_sides(assets, options.resolutions)
    resolver = Resolver(
        alignment=alignment,
        ours=ours,
        kinds=context.kinds,
        names=context.names,
        options=options,
        content_merge=digest_merge(options.content_merge, context.kinds, read),
        saved={saved.asset_id: saved for saved in context.saved},
    )
    resolver.add(assets, chosen)
    _check_selection(resolver.cases.values(), ours, options.only)
    conflicts = resolver.resolve()
    forgotten = [r for r in alignment.lagging if r.recorded is None and r.ours is None]
    plan = plan_of(changes, context, options.on_conflict, resolver.cases, conflicts, forgotten)
    cleared, lapsed = _ended(context.saved, resolver.cases.values())
    notes = (*notes_of(resolver.cases.values(), alignment), *lapsed)
    plan = replace(
        plan,
        notes=tuple(sorted(notes, key=lambda note: note.path)),
        cleared=tuple((saved.asset_id, saved.identity) for saved in cleared),
    )
    check_outcome(plan, context, options)
    return replace(plan, edits=()) if plan.refused else plan


# --- what to look at, and what the caller chose for it ------------------------------------------


def _paths_to_look_at(
    changes: Changes, ours: AssetLookup, alignment: Alignment, resolutions: Resolutions
) -> Iterator[AssetPath]:
    for change in changes.items:
        yield change.path
    records = list(alignment.lagging)
    for name, _ in resolutions.named():
        record = ours.with_id(AssetId(name)) if AssetId.allows(name) else None
        if record is not None:
            records.append(record)
        elif resolutions.naming is Naming.IDS_OR_PATHS and path_problem(name) is None:
            yield AssetPath(name)
    for record in records:
        yield from alignment.paths_of(record)


def _paths_of(
    saved: SavedResolution, ours: AssetLookup, alignment: Alignment
) -> Iterator[AssetPath]:
    if (record := ours.with_id(saved.asset_id)) is not None:
        yield from alignment.paths_of(record)


def _chosen_sides(assets: Iterable[AlignedAsset], resolutions: Resolutions) -> dict[AssetId, Side]:
    """Return the side of each resolved asset, by the id that it has in this merge."""
    by_name = _names(assets, resolutions.naming) if resolutions.named() else {}
    chosen: dict[AssetId, Side] = {}
    unknown: list[str] = []
    both: list[str] = []
    for name, side in resolutions.named():
        asset_id = by_name.get(name)
        if asset_id is None:
            unknown.append(name)
        elif chosen.setdefault(asset_id, side) is not side:
            both.append(name)
    if unknown:
        raise UnknownAssets(asset_ids=tuple(unknown))
    if both:
        raise ConflictingResolutions(asset_ids=tuple(both))
    return chosen


def _names(assets: Iterable[AlignedAsset], naming: Naming) -> dict[str, AssetId]:
    """What each asset can be called; an id goes before ours' path, and that before theirs'."""
    found: dict[str, AssetId] = {}
    assets = [asset for asset in assets if asset.base or asset.ours or asset.theirs]
    found.update((asset.id, asset.id) for asset in assets)
    if naming is Naming.IDS_OR_PATHS:
        for side in ("ours", "theirs", "base"):
            for asset in assets:
                state: AssetState | None = getattr(asset, side)
                if state is not None:
                    found.setdefault(state.path, asset.id)
    return found


def _check_selection(cases: Iterable[Case], ours: AssetLookup, only: Selection) -> None:
    cases = list(cases)
    outside = sorted(case.asset.id for case in cases if case.chosen and not case.selected)
    if outside:
        raise UnselectedResolutions(asset_ids=tuple(outside))
    known = {case.asset.id for case in cases}
    unknown = [
        asset_id
        for asset_id in sorted(only.ids)
        if asset_id not in known
        and not (AssetId.allows(asset_id) and ours.with_id(asset_id) is not None)
    ]
    if unknown:
        raise UnknownAssets(asset_ids=tuple(unknown))


# --- saved resolutions ------------------------------------------------------------------------


def _ended(
    saved: Iterable[SavedResolution], cases: Iterable[Case]
) -> tuple[list[SavedResolution], list[Note]]:
    """Return the saved resolutions that end with this merge, and a note for each that lapsed.

    One ends where it decides its asset, where the caller chose a side instead, and where it does
    not hold any more.
    """
    by_id = {case.asset.id: case for case in cases}
    cleared: list[SavedResolution] = []
    notes: list[Note] = []
    for each in saved:
        case = by_id.get(each.asset_id)
        if case is not None and not case.selected:
            continue
        if case is None or case.saved is None or not case.undecided:
            cleared.append(each)
        if (reason := _why_unused(each, case)) is not None:
            path = each.path if case is None else case.asset.path
            text = f"the saved resolution is not used: {reason}"
            notes.append(Note(asset_id=each.asset_id, path=path, text=text))
    return cleared, notes


def _why_unused(saved: SavedResolution, case: Case | None) -> str | None:
    """Return why a saved resolution does not decide its asset, unless the caller chose a side."""
    if case is None:
        return "the asset is gone"
    if case.chosen is not None or case.stage is Stage.BY_SAVED:
        return None
    if case.saved is not None:
        settled = case.stage is Stage.BY_TABLE
        return "the asset is not in conflict" if settled else "its path collides with another asset"
    if moved := saved.moved(case.asset.states):
        return f"{' and '.join(moved)} changed since"
    known = case.asset.non_asset is None
    return "the contents still conflict" if known else "theirs is no longer an asset"
