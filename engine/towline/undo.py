"""Undo: a plan like any other, made from the log.

Undoing the last pull returns contents, base and lagging entries, so that the next pull offers the
same again. Undoing an older one changes contents alone. Neither tramples later edits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .apply import apply
from .errors import UndoBlocked, UnknownPull
from .model import AssetId, AssetPath, AssetState, first_path
from .plan import Disposition, Edit, Item, Plan, PlanKind
from .ports import AssetStore, LoggedPull, Watch
from .records import AssetRecord, LocalFile
from .report import Report


def undo(store: AssetStore, pull: int | None = None, *, watch: Watch = Watch()) -> Report:
    """Take back a pull: the last one that is not undone yet, or the one of this number.

    Raises as `plan_undo` and `apply`.
    """
    return apply(plan_undo(store, pull), store, watch=watch)


def plan_undo(store: AssetStore, pull: int | None = None) -> Plan:
    """What undoing a pull would do.

    Raises:
        UnknownPull: the log has none such, or it is undone already.
        UndoBlocked: what it changed was edited since, or something stands in the way.
    """
    entry, is_last = _find(store, pull)
    plan, state = entry.plan, store.state()
    whole = is_last and state == plan.after
    turned = list(_turned(store, entry, whole=whole))
    edits = [edit for edit in turned if edit.before != edit.after]
    _check_way(store, entry.number, edits)
    return Plan(
        kind=PlanKind.UNDO,
        project=store.project,
        revision=plan.before.base if whole else state.base,
        before=state,
        after=plan.before if whole else state,
        items=tuple(sorted(_items(edits), key=lambda item: (item.path, item.asset_id or ""))),
        edits=tuple(edits),
        undoes=entry.number,
    )


def _find(store: AssetStore, pull: int | None) -> tuple[LoggedPull, bool]:
    """The log's entry, and whether it is the last that stands."""
    standing = [
        entry for entry in store.log() if entry.plan.kind is PlanKind.PULL and not entry.undone
    ]
    for entry in standing:
        if pull is None or entry.number == pull:
            return entry, entry is standing[0]
    raise UnknownPull(pull=pull)


def _turned(store: AssetStore, entry: LoggedPull, *, whole: bool) -> Iterator[Edit]:
    """Each edit of the pull, turned round, from what the store holds now."""
    edited: list[AssetPath] = []
    for edit in entry.plan.edits:
        before, after = edit.ours
        now = store.with_id(edit.asset_id)
        standing = now.ours if now is not None else None
        changed = before != after
        if changed and standing != after:
            edited.append(first_path(standing, after, before))
        elif whole:
            ours = before if changed else standing
            yield Edit(before=now, after=_restored(edit.before, ours))
        elif changed:
            yield Edit(before=now, after=_with_ours(now or edit.before, before, known=now))
    if edited:
        raise UndoBlocked(pull=entry.number, paths=tuple(sorted(edited)))


def _restored(record: AssetRecord | None, ours: AssetState | None) -> AssetRecord | None:
    """The record as it was before the pull; edits that the pull left alone stay."""
    return None if record is None else replace(record, ours=ours)


def _with_ours(
    record: AssetRecord | None, ours: AssetState | None, *, known: AssetRecord | None
) -> AssetRecord | None:
    """The record of now, with other content; one that was forgotten returns as local-only."""
    if record is None or (known is None and ours is None):
        return None
    if known is None:
        record = replace(record, base=None, seen=None, size=0, embedded_id=None)
    if ours is None and record.local_only:
        return None
    return replace(record, ours=ours)


def _check_way(store: AssetStore, number: int, edits: list[Edit]) -> None:
    """Nothing but what this undo moves away itself may stand where it puts an asset."""
    moving: set[AssetId] = {edit.asset_id for edit in edits}
    in_the_way: set[AssetPath] = set()
    for edit in edits:
        before, after = edit.ours
        if after is None or (before is not None and before.path == after.path):
            continue
        for occupant in store.occupants(after.path):
            if isinstance(occupant, LocalFile):
                in_the_way.add(occupant.path)
            elif occupant.id not in moving and occupant.ours is not None:
                in_the_way.add(occupant.ours.path)
    if in_the_way:
        raise UndoBlocked(pull=number, paths=tuple(sorted(in_the_way)))


def _items(edits: list[Edit]) -> Iterator[Item]:
    for edit in edits:
        before, after = edit.ours
        record = edit.after or edit.before
        if before == after or record is None:
            continue
        if before is None:
            disposition = Disposition.CREATED
        else:
            disposition = Disposition.DELETED if after is None else Disposition.UPDATED
        moved = before is not None and after is not None and before.path != after.path
        yield Item(
            disposition=disposition,
            asset_id=edit.asset_id,
            path=first_path(after, before),
            kind=record.kind,
            rule=None,
            before=before,
            after=after,
            renamed_from=before.path if moved and before is not None else None,
        )
