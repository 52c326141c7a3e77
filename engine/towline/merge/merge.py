"""The merge: what the remote changed, and a lookup of ours, to a plan. Pure and deterministic.

It looks up the changed, the lagging and the named assets, and what they collide with, alone: it
costs what changed, never what the project holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from towline.changes import Changes
from towline.conflicts import Conflict
from towline.errors import (
    BrokenLimit,
    ConflictingResolutions,
    EmptyRemote,
    InvalidTree,
    UnknownAssets,
    UnselectedResolutions,
)
from towline.kinds import Kinds
from towline.limits import limits_exceeded
from towline.merge.align import AlignedAsset, Alignment
from towline.merge.decide import ReadContent, digest_merge
from towline.merge.resolve import Case, Resolver, Stage
from towline.model import AssetId, AssetPath, AssetState, Digest, NonAsset, NonAssetReason
from towline.names import NamePolicy, path_problem
from towline.options import (
    Naming,
    OnConflict,
    PullOptions,
    Resolutions,
    Selection,
    Side,
)
from towline.plan import (
    BehindReason,
    Disposition,
    Edit,
    IgnoredReason,
    Item,
    Note,
    Plan,
    StoreState,
)
from towline.records import AssetLookup, AssetRecord
from towline.resolutions import SavedResolution


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a merge must know of the project besides its assets."""

    project: str
    state: StoreState
    kinds: Kinds = Kinds()
    names: NamePolicy = NamePolicy.EXACT
    keeps_executable: bool = True
    """Whether the store knows the executable bit of an asset that was never pulled."""
    scope: str = ""
    saved: tuple[SavedResolution, ...] = ()
    """The project's saved resolutions; `PullOptions.resolutions` go before them."""


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
    plan = _plan(changes, context, options.on_conflict, resolver.cases, conflicts, forgotten)
    cleared, lapsed = _ended(context.saved, resolver.cases.values())
    notes = (*_notes(resolver.cases.values(), alignment), *lapsed)
    plan = replace(
        plan,
        notes=tuple(sorted(notes, key=lambda note: note.path)),
        cleared=tuple((saved.asset_id, saved.identity) for saved in cleared),
    )
    _check_outcome(plan, context, options)
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
        return "the asset is in no conflict" if settled else "its path collides with another asset"
    if moved := saved.moved(case.asset.states):
        return f"{' and '.join(moved)} changed since"
    known = case.asset.non_asset is None
    return "the contents still conflict" if known else "theirs is no asset any more"


# --- the plan ---------------------------------------------------------------------------------


def _plan(
    changes: Changes,
    context: Context,
    on_conflict: OnConflict,
    cases: dict[AssetPath, Case],
    conflicts: list[Conflict],
    forgotten: list[AssetRecord],
) -> Plan:
    refused = bool(conflicts) and on_conflict is not OnConflict.SKIP
    ordered = [cases[anchor] for anchor in sorted(cases)]
    records = {case.asset.anchor: _record_after(case, context.kinds) for case in ordered}
    left = Disposition.CONFLICT if refused else Disposition.IGNORED
    items = [_item(case, records[case.asset.anchor], left) for case in ordered]
    return Plan(
        project=context.project,
        revision=changes.revision,
        before=context.state,
        after=_state_after(changes, context, ordered, records),
        items=tuple(sorted(items, key=lambda item: (item.path, item.asset_id or ""))),
        conflicts=tuple(conflicts),
        edits=_edits(ordered, records, forgotten),
        on_conflict=on_conflict,
        refused=refused,
        history_rewritten=changes.history_rewritten,
        merged=_merged_contents(ordered),
        content_rules=context.kinds.content_fingerprint,
    )


def _record_after(case: Case, kinds: Kinds) -> AssetRecord | None:
    """Return the record after the pull; None where the store drops it."""
    asset = case.asset
    base: AssetState | None = asset.theirs
    recorded: AssetState | NonAsset | None = asset.theirs
    ours = case.decision.outcome
    if asset.non_asset is not None and asset.non_asset.reason is NonAssetReason.OUTSIDE_KINDS:
        # It left the kinds: no longer tracked, and not deleted.
        base, recorded = None, None
    elif asset.non_asset is not None:
        base, recorded = asset.base, asset.non_asset if asset.base is not None else None
    elif asset.theirs is None and asset.ours is None:
        return None
    elif case.undecided or not case.selected:
        base, ours = asset.base, asset.ours
    if base is None and recorded is None and ours is None:
        return None
    return _described(asset, case.kind, kinds, base, ours, recorded)


def _described(
    asset: AlignedAsset,
    kind: str,
    kinds: Kinds,
    base: AssetState | None,
    ours: AssetState | None,
    recorded: AssetState | NonAsset | None,
) -> AssetRecord:
    known = ours or recorded or base
    found = kinds.of(known.path) if known is not None else None
    size, embedded_id = 0, None
    if isinstance(recorded, AssetState):
        if asset.remote is not None:
            size, embedded_id = asset.remote.size, asset.remote.embedded_id
    elif asset.base_record is not None and recorded is not None:
        size, embedded_id = asset.base_record.size, asset.base_record.embedded_id
    return AssetRecord(
        id=asset.id,
        kind=found.name if found is not None else kind,
        base=base,
        ours=ours,
        recorded=recorded,
        size=size,
        embedded_id=embedded_id,
    )


def _edits(
    cases: list[Case],
    records: dict[AssetPath, AssetRecord | None],
    forgotten: list[AssetRecord],
) -> tuple[Edit, ...]:
    """Return what changes in the store, by id: an id may move from one asset to another.

    ``forgotten`` are assets that lag behind their deletion, and were deleted here by now.
    """
    before: dict[AssetId, AssetRecord] = {record.id: record for record in forgotten}
    after: dict[AssetId, AssetRecord] = {}
    for case in cases:
        for record in (case.asset.base_record, case.asset.ours_record):
            if record is not None:
                before[record.id] = record
        if (made := records[case.asset.anchor]) is not None:
            after[made.id] = made
    return tuple(
        Edit(before=before.get(asset_id), after=after.get(asset_id))
        for asset_id in sorted(before.keys() | after.keys())
        if before.get(asset_id) != after.get(asset_id)
    )


def _item(case: Case, record: AssetRecord | None, open_as: Disposition) -> Item:
    asset, decision = case.asset, case.decision
    before, after = asset.ours, decision.outcome
    disposition, reason = decision.disposition, decision.reason
    if case.undecided:
        disposition, after = open_as, asset.ours
        reason = IgnoredReason.CONFLICT if open_as is Disposition.IGNORED else None
    known = asset.base or asset.ours or asset.theirs
    renamed = before is not None and after is not None and before.path != after.path
    merged = decision.merged and not case.undecided
    return Item(
        disposition=disposition,
        asset_id=asset.id if known else None,
        path=after.path if after is not None else asset.path,
        kind=case.kind,
        rule=decision.rule,
        before=before,
        after=after,
        renamed_from=before.path if renamed and before is not None else None,
        merged=merged,
        merged_by=decision.content.by if merged and decision.content is not None else None,
        discarded=decision.discarded and not case.undecided,
        resolved=case.stage is Stage.BY_SAVED,
        reason=reason,
        behind=_behind(case, record),
    )


def _behind(case: Case, record: AssetRecord | None) -> BehindReason | None:
    """Return why the asset lags after the pull, where it does."""
    if record is None or not record.lagging:
        return None
    if case.asset.non_asset is not None:
        return BehindReason(case.asset.non_asset.reason.value)
    return BehindReason.CONFLICT if case.undecided else BehindReason.LEFT_OUT


def _notes(cases: Iterable[Case], alignment: Alignment) -> tuple[Note, ...]:
    """Return what is wrong with contents that the repository changed, by path.

    What a selection leaves out has no notes.
    """
    ids: dict[AssetPath, AssetId] = {}
    found: list[tuple[AssetPath, str]] = []
    of_kinds: dict[tuple[str, str], list[AssetPath]] = {}
    for case in cases:
        if (remote := case.asset.remote) is None or not case.selected:
            continue
        ids[remote.path] = case.asset.id
        if (problem := remote.id_problem) is not None:
            if problem.of_kind:
                of_kinds.setdefault((case.kind, problem.text), []).append(remote.path)
            else:
                found.append((remote.path, problem.text))
    for (kind, text), paths in of_kinds.items():
        more = f", in {len(paths)} new or changed assets of the kind {kind}"
        found.append((min(paths), text + (more if len(paths) > 1 else "")))
    for embedded_id, holders in alignment.shared_ids.items():
        first = next((path for path in holders if path in ids), None)
        if first is not None and len(holders) > 1:
            others = [path for path in holders if path != first]
            found.append((first, _SHARED.format(embedded_id, _some(others))))
    # One note covers all that were not compared.
    new = alignment.uncompared
    found += [(path, _UNCOMPARED.format(len(new))) for path in new[:1] if path in ids]
    return tuple(Note(asset_id=ids[path], path=path, text=text) for path, text in sorted(found))


def _some(paths: list[AssetPath]) -> str:
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(paths[:3]) + more


_SHARED = "its id {!r} is in {} too: renames of these assets are not found by it"
_UNCOMPARED = "one of {} new assets, too many to look for renames by similar content"


def _merged_contents(cases: list[Case]) -> tuple[tuple[Digest, bytes], ...]:
    made = {
        Digest.of(content.content): content.content
        for case in cases
        if (content := case.decision.content) is not None and not case.undecided
    }
    return tuple(sorted(made.items()))


def _state_after(
    changes: Changes,
    context: Context,
    cases: list[Case],
    records: dict[AssetPath, AssetRecord | None],
) -> StoreState:
    count, size = context.state.tracked, context.state.tracked_bytes
    for case in cases:
        based, after = case.asset.base_record, records[case.asset.anchor]
        if based is not None and isinstance(based.recorded, AssetState):
            count, size = count - 1, size - based.size
        if after is not None and isinstance(after.recorded, AssetState):
            count, size = count + 1, size + after.size
    return StoreState(
        base=changes.revision,
        fingerprint=context.kinds.fingerprint,
        scope=context.scope,
        tracked=count,
        tracked_bytes=size,
    )


def _check_outcome(plan: Plan, context: Context, options: PullOptions) -> None:
    limits = options.limits
    counts = Counter(item.disposition for item in plan.items)
    before, after = plan.before, plan.after
    if not plan.edits:
        return
    figures = {
        "assets": (after.tracked, limits.assets),
        "project_bytes": (after.tracked_bytes, limits.project_bytes),
        "deletes": (counts[Disposition.DELETED], limits.deletes),
    }
    broken = [
        BrokenLimit(limit=limit, allowed=allowed, found=found)
        for limit, (found, allowed) in figures.items()
        if allowed is not None and found > allowed
    ]
    if broken:
        raise limits_exceeded(broken)
    emptied = before.tracked and not after.tracked and any(map(_is_lost, plan.edits))
    if emptied and not options.allow_empty:
        raise EmptyRemote(revision=plan.revision or "", tracked=before.tracked)
    _check_names(plan, context.names)


def _is_lost(edit: Edit) -> bool:
    """Whether the repository had the asset, and has nothing at all of it now."""
    had = edit.before is not None and isinstance(edit.before.recorded, AssetState)
    return had and (edit.after is None or edit.after.recorded is None)


def _check_names(plan: Plan, names: NamePolicy) -> None:
    """Refuse new paths that the store cannot hold."""
    problems = [
        f"{item.after.path}: {problem}"
        for item in plan.items
        if item.after is not None
        and (item.before is None or item.before.path != item.after.path)
        and (problem := names.problem(item.after.path))
    ]
    if problems:
        raise InvalidTree(problems=tuple(sorted(problems)))
