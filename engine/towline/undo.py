"""Undo: a plan like any other, made from the log.

Undoing the last pull restores contents, base and lagging entries, so that the next pull offers the
same again. Undoing an older one changes contents alone. Undoing an undo repeats the pull. None
overwrites a later change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from towline.apply import apply
from towline.errors import UndoBlocked, UnknownPull
from towline.model import AssetId, AssetPath, AssetState, first_path
from towline.plan import Disposition, Edit, Item, Plan
from towline.ports import AssetStore, LoggedPull, Snapshot, Watch
from towline.records import AssetRecord, PlanKind, paths_in_the_way
from towline.report import Report


def undo(store: AssetStore, pull: int | None = None, *, watch: Watch = Watch()) -> Report:
    """Take back a pull: the last one that is not undone yet, or the pull or undo of this number.

    Raises as `plan_undo` and `apply`.
    """
    return apply(plan_undo(store, pull), store, watch=watch)


def plan_undo(store: AssetStore, pull: int | None = None) -> Plan:
    """Return the plan of undoing a pull.

    Raises:
        UnknownPull: the log has none such, or it is undone already.
        UndoBlocked: what it changed has changed since, or another file is in the way.
    """
    with store.snapshot() as snapshot:
        return _plan(snapshot, pull)


def _plan(snapshot: Snapshot, pull: int | None) -> Plan:
    entry, is_last = _find(snapshot, pull)
    plan, state = entry.plan, snapshot.state()
    whole = is_last and state == plan.after
    edits = [edit for edit in _reverse(snapshot, entry, whole=whole) if edit.before != edit.after]
    _check_free(snapshot, entry.number, edits)
    return Plan(
        kind=PlanKind.UNDO,
        project=snapshot.project,
        revision=plan.before.base if whole else state.base,
        before=state,
        after=plan.before if whole else state,
        items=tuple(sorted(_items(edits), key=lambda item: (item.path, item.asset_id or ""))),
        edits=tuple(edits),
        undoes=entry.number,
    )


def _find(snapshot: Snapshot, pull: int | None) -> tuple[LoggedPull, bool]:
    """Return the log's entry, and whether it is the last in effect: for an undo, of undos too."""
    entries = [entry for entry in snapshot.log() if not entry.undone]
    pulls = [entry for entry in entries if entry.summary.kind is PlanKind.PULL]
    for entry in pulls if pull is None else entries:
        if pull is None or entry.number == pull:
            last = (pulls if entry.summary.kind is PlanKind.PULL else entries)[0]
            return entry, entry is last
    raise UnknownPull(pull=pull)


def _reverse(snapshot: Snapshot, entry: LoggedPull, *, whole: bool) -> Iterator[Edit]:
    """Reverse each edit of the pull, starting from the records as they are now."""
    changed_since: dict[AssetId, tuple[AssetPath, AssetState | None]] = {}
    for edit in entry.plan.edits:
        before, after = edit.ours
        now = snapshot.with_id(edit.asset_id)
        current = now.ours if now is not None else None
        changed = before != after
        if changed and current != after:
            changed_since[edit.asset_id] = first_path(current, after, before), current
        elif whole:
            # Edits that the pull left alone stay.
            ours = before if changed else current
            yield Edit(before=now, after=edit.before and _record_with(edit.before, ours))
        elif changed:
            yield Edit(before=now, after=_with_ours(now or edit.before, before, known=now))
    if changed_since:
        raise _blocked(snapshot, entry, changed_since)


def _blocked(
    snapshot: Snapshot,
    entry: LoggedPull,
    changed_since: dict[AssetId, tuple[AssetPath, AssetState | None]],
) -> UndoBlocked:
    """Return the error that names the later pulls, or else the edits, that changed these assets."""
    pulls: dict[AssetId, int] = {}
    for later in snapshot.log():
        if later.undone or later.number <= entry.number:
            continue
        for edit in later.plan.edits:
            _, current = changed_since.get(edit.asset_id, (None, None))
            before, after = edit.ours
            if edit.asset_id in changed_since and before != after and after == current:
                pulls.setdefault(edit.asset_id, later.number)
    blamed = pulls or changed_since
    named = [path for asset_id, (path, _) in changed_since.items() if asset_id in blamed]
    return UndoBlocked(
        pull=entry.number, paths=tuple(sorted(named)), pulls=tuple(sorted(set(pulls.values())))
    )


def _with_ours(
    record: AssetRecord | None, ours: AssetState | None, *, known: AssetRecord | None
) -> AssetRecord | None:
    """Return the current record with other content; a forgotten one is local-only again."""
    if record is None or (known is None and ours is None):
        return None
    if known is None:
        record = replace(record, base=None, recorded=None, size=0, embedded_id=None)
    return _record_with(record, ours)


def _record_with(record: AssetRecord, ours: AssetState | None) -> AssetRecord | None:
    """Return a record with this state; None where it was local-only, and has none any more."""
    return None if ours is None and record.local_only else replace(record, ours=ours)


def _check_free(snapshot: Snapshot, number: int, edits: list[Edit]) -> None:
    """Refuse an undo where something else is at the new path of an asset."""
    moved = {edit.asset_id for edit in edits}
    in_the_way: set[AssetPath] = set()
    for edit in edits:
        if (path := edit.arrival) is not None:
            in_the_way.update(paths_in_the_way(snapshot.occupants(path), moved))
    if in_the_way:
        raise UndoBlocked(pull=number, paths=tuple(sorted(in_the_way)), in_the_way=True)


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
