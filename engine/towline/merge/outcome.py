"""The outcome of a merge: from decided cases to the plan, and what makes it refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from towline.changes import Changes
from towline.conflicts import Conflict
from towline.errors import BrokenLimit, EmptyRemote, InvalidTree
from towline.kinds import Kinds
from towline.limits import limits_exceeded
from towline.merge.align import AlignedAsset, Alignment
from towline.merge.cases import Case, Stage
from towline.merge.context import Context
from towline.model import AssetId, AssetPath, AssetState, Digest, NonAsset, NonAssetReason
from towline.names import NamePolicy
from towline.options import OnConflict, PullOptions
from towline.plan import BehindReason, Disposition, Edit, IgnoredReason, Item, Note, Plan
from towline.records import AssetRecord, StoreState


def plan_of(
    changes: Changes,
    context: Context,
    on_conflict: OnConflict,
    cases: dict[AssetPath, Case],
    conflicts: list[Conflict],
    forgotten: list[AssetRecord],
) -> Plan:
    """Return the plan of decided cases; ``forgotten`` is as in `_edits`."""
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
    in_conflict = case.undecided or (not case.selected and case.decision.conflict is not None)
    return BehindReason.CONFLICT if in_conflict else BehindReason.LEFT_OUT


def notes_of(cases: Iterable[Case], alignment: Alignment) -> tuple[Note, ...]:
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


_SHARED = "its id {!r} is in {} too: it cannot be used to detect renames of these assets"
_UNCOMPARED = "one of {} new assets, too many or too large to detect renames by similar content"


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


def check_outcome(plan: Plan, context: Context, options: PullOptions) -> None:
    """Refuse a plan whose outcome the limits, the options or the store do not allow.

    Raises:
        AssetLimitExceeded, LimitExceeded, EmptyRemote, InvalidTree: it is refused.
    """
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
