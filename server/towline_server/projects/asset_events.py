"""The events of a project: each change that a pull made to an asset, appended once, in order.

They are written in the transaction of the pull, under the project's lock, and only for kinds that
are wanted. A kind is wanted as long as an owner, a sync, says so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select, union_all, update
from sqlalchemy.orm import Session

from towline.frozen import frozen
from towline.model import AssetId, AssetPath, AssetState, Digest, first_path
from towline.plan import Disposition, Edit, Item, Plan
from towline.records import AssetRecord
from towline_server.db.clock import database_now
from towline_server.db.statements import batches, insert_all
from towline_server.errors import existing

from .asset_tables import AssetEventRow, BlobRow
from .rows import AnyRow, state_of
from .tables import ProjectRow
from .transaction import SqlTransaction


class AssetChange(StrEnum):
    """What a pull did to an asset; the words of its report."""

    CREATED = "created"
    UPDATED = "updated"
    OVERWRITTEN = "overwritten"
    DELETED = "deleted"


@frozen(kw_only=True)
class EventSource:
    """The pull that makes events; ``at`` is None where its caller has no clock."""

    number: int
    run_id: UUID | None
    at: datetime | None


@frozen(kw_only=True)
class AssetEvent:
    """One change of one asset by one pull, with the asset's states around it."""

    sequence: int
    pull: int
    undoes: int | None
    """The number of the pull that this one took back."""
    run_id: UUID | None
    at: datetime
    asset_id: AssetId
    kind: str
    change: AssetChange
    path: AssetPath
    renamed_from: AssetPath | None
    merged: bool
    before: AssetState | None
    after: AssetState | None


@frozen(kw_only=True)
class EventFilter:
    """Which events are shown: those that fit every field that is set."""

    kind: str | None = None
    path: str | None = None
    """Where the asset is after the change, or was before it."""
    since: datetime | None = None

    def fits(self, event: AssetEvent) -> bool:
        """Whether an event is shown."""
        return (
            self.kind in (None, event.kind)
            and self.path in (None, event.path, event.renamed_from)
            and (self.since is None or event.at >= self.since)
        )

    def conditions(self, project_id: UUID) -> Iterator[ColumnElement[bool]]:
        """Yield the same as conditions on `AssetEventRow`."""
        row = AssetEventRow
        if self.kind is not None:
            yield row.kind == self.kind
        if self.path is not None:
            # Two statements in one: an OR of both would be answered by a walk over all events.
            here = [
                select(row.sequence).where(row.project_id == project_id, column == self.path)
                for column in (row.path, row.renamed_from)
            ]
            yield row.sequence.in_(union_all(*here))
        if self.since is not None:
            yield row.at >= self.since


@frozen(kw_only=True)
class EventPage:
    """Some events in their order: all that fit with a sequence above ``after``, up to ``last``."""

    after: int
    events: tuple[AssetEvent, ...]
    last: int
    has_next: bool = False


# --- write ------------------------------------------------------------------------------------


def append_events(
    session: Session, project_id: UUID, plan: Plan, pull: EventSource, row: AnyRow
) -> int:
    """Append what a plan changes of the kinds that are wanted; return the last event's sequence.

    ``row`` is the project's own, locked. The bytes of both states are stored by then.
    """
    last: int = row.events
    wanted = _wanted(row.event_kinds)
    changed = [edit for edit in plan.edits if _state(edit.before) != _state(edit.after)]
    if not changed or not wanted:
        return last
    items = {item.asset_id: item for item in plan.items}
    events = [
        event
        for edit in sorted(changed, key=_place)
        for event in _events_of(edit, items.get(edit.asset_id))
        if event["kind"] in wanted
    ]
    if not events:
        return last
    common = {
        "project_id": project_id,
        "pull": pull.number,
        "undoes": plan.undoes,
        "run_id": pull.run_id,
        "at": pull.at or database_now(session),
    }
    rows = [{**common, "sequence": last + each, **event} for each, event in enumerate(events, 1)]
    insert_all(session, AssetEventRow, rows)
    return last + len(rows)


def _place(edit: Edit) -> tuple[AssetPath, AssetId]:
    before, after = edit.ours
    return first_path(after, before), edit.asset_id


def _state(record: AssetRecord | None) -> tuple[str, AssetState] | None:
    """Return what a record has in the store, and of which kind."""
    if record is None or record.ours is None:
        return None
    return record.kind, record.ours


def _events_of(edit: Edit, item: Item | None) -> Iterator[dict[str, Any]]:
    """Yield the event of an edit; two where the asset leaves one kind for another."""
    old, new = _state(edit.before), _state(edit.after)
    if old is not None and new is not None and old[0] != new[0]:
        yield _event(edit.asset_id, old[0], old[1], None)
        yield _event(edit.asset_id, new[0], None, new[1])
        return
    known = new or old
    assert known is not None, "it has a state, as it changes"
    before, after = edit.ours
    # An id may move from one asset to another: then the item is about the asset, not the id.
    fits = item is not None and (item.before, item.after) == (before, after)
    yield _event(edit.asset_id, known[0], before, after, item if fits else None)


def _event(
    asset_id: AssetId,
    kind: str,
    before: AssetState | None,
    after: AssetState | None,
    item: Item | None = None,
) -> dict[str, Any]:
    known = after or before
    assert known is not None, "one of them is there"
    renamed = before is not None and before.path != known.path
    return {
        "asset_id": asset_id,
        "kind": kind,
        "change": str(_change(before, after, item)),
        "path": known.path,
        "renamed_from": before.path if before is not None and renamed else None,
        "merged": item is not None and item.merged,
        "before_digest": None if before is None else before.digest,
        "before_executable": before is not None and before.executable,
        "after_digest": None if after is None else after.digest,
        "after_executable": after is not None and after.executable,
    }


def _change(before: AssetState | None, after: AssetState | None, item: Item | None) -> AssetChange:
    if before is None:
        return AssetChange.CREATED
    if after is None:
        return AssetChange.DELETED
    overwritten = item is not None and item.disposition is Disposition.OVERWRITTEN
    return AssetChange.OVERWRITTEN if overwritten else AssetChange.UPDATED


# --- read -------------------------------------------------------------------------------------


class AssetEvents:
    """The events of one project, in a session."""

    def __init__(self, session: Session, project_id: UUID) -> None:
        self._session = session
        self._project_id = project_id
        self._mine = AssetEventRow.project_id == project_id

    def page(self, wanted: EventFilter, *, after: int, limit: int) -> EventPage:
        """Return the first events that fit of those with a sequence above ``after``.

        Raises:
            NotFound: there is no such project (any more).
        """
        last = select(ProjectRow.events).where(ProjectRow.id == self._project_id)
        newest = existing(self._session.scalar(last), "project")
        row = AssetEventRow
        found = select(row).where(
            self._mine, row.sequence > after, *wanted.conditions(self._project_id)
        )
        ordered = found.order_by(row.sequence).limit(limit + 1)
        events = tuple(map(_event_of, self._session.scalars(ordered)))
        if len(events) > limit:
            shown = events[:limit]
            return EventPage(after=after, events=shown, last=shown[-1].sequence, has_next=True)
        return EventPage(after=after, events=events, last=max(after, newest))

    def oldest(self) -> int | None:
        """Return the sequence of the oldest event that is stored."""
        return self._session.scalar(select(func.min(AssetEventRow.sequence)).where(self._mine))

    def appended(
        self, run_ids: Sequence[UUID], *, since: datetime, until: datetime | None
    ) -> tuple[int, int, int] | None:
        """Return how many events runs appended in a time, and the first and the last sequence."""
        row = AssetEventRow
        when = row.at >= since if until is None else row.at.between(since, until)
        sequences = func.count(), func.min(row.sequence), func.max(row.sequence)
        theirs = select(*sequences).where(self._mine, row.run_id.in_(run_ids), when)
        count, first, last = self._session.execute(theirs).one()
        return (count, first, last) if count else None

    def get(self, sequence: int) -> AssetEvent:
        """Return an event. Raises NotFound."""
        found = select(AssetEventRow).where(self._mine, AssetEventRow.sequence == sequence)
        return _event_of(existing(self._session.scalar(found), "event"))

    def content(self, digest: Digest) -> bytes:
        """Return the bytes of a state of an event. Raises NotFound: the event is gone by now."""
        found = select(BlobRow.content).where(
            BlobRow.project_id == self._project_id, BlobRow.digest == digest
        )
        return existing(self._session.scalar(found), "event")


def last_events(session: Session, project_ids: Collection[UUID]) -> dict[UUID, int]:
    """Return the sequence of the last event of each project that is there."""
    found: dict[UUID, int] = {}
    for some in batches(list(project_ids)):
        query = select(ProjectRow.id, ProjectRow.events).where(ProjectRow.id.in_(some))
        found.update((row.id, row.events) for row in session.execute(query))
    return found


def _event_of(row: AssetEventRow) -> AssetEvent:
    was_at = row.renamed_from or row.path
    return AssetEvent(
        sequence=row.sequence,
        pull=row.pull,
        undoes=row.undoes,
        run_id=row.run_id,
        at=row.at,
        asset_id=row.asset_id,
        kind=row.kind,
        change=AssetChange(row.change),
        path=row.path,
        renamed_from=row.renamed_from,
        merged=row.merged,
        before=state_of(was_at, row.before_digest, executable=row.before_executable),
        after=state_of(row.path, row.after_digest, executable=row.after_executable),
    )


# --- what is wanted ---------------------------------------------------------------------------


def want_events(
    session: Session, project_id: UUID, owner_id: UUID, kinds: Collection[str]
) -> list[str]:
    """Set the kinds that an owner wants; return those that none wants any more.

    The caller has locked the project against writers (`towline_server.projects.locking`), so that
    every pull after the transaction appends, and none that was under way.
    """
    mine = ProjectRow.id == project_id
    before = session.scalar(select(ProjectRow.event_kinds).where(mine)) or {}
    after = {owner: wanted for owner, wanted in before.items() if owner != str(owner_id)}
    if kinds:
        after[str(owner_id)] = sorted(set(kinds))
    if after != before:
        session.execute(update(ProjectRow).where(mine).values(event_kinds=after))
    return sorted(_wanted(before) - _wanted(after))


def _wanted(event_kinds: Mapping[str, Sequence[str]]) -> set[str]:
    return {kind for kinds in event_kinds.values() for kind in kinds}


# --- delete -----------------------------------------------------------------------------------


def delete_unwanted(session: Session, project_id: UUID, kind: str, limit: int) -> int:
    """Delete some events of a kind that no owner wants any more; return how many.

    Raises:
        NotFound: there is no such project (any more).
    """
    transaction = SqlTransaction(session, project_id, write=True)
    if kind in _wanted(transaction.row.event_kinds):
        return 0
    return _delete(transaction, [AssetEventRow.kind == kind], limit)


def delete_old(session: Session, before: datetime, limit: int) -> int:
    """Delete some events of one project that are older than a moment; return how many.

    Raises:
        NotFound: the project was deleted meanwhile, with its events.
    """
    row = AssetEventRow
    oldest = select(row.project_id).where(row.at < before).order_by(row.at).limit(1)
    project_id = session.scalar(oldest)
    if project_id is None:
        return 0
    transaction = SqlTransaction(session, project_id, write=True)
    return _delete(transaction, [row.at < before], limit)


def _delete(
    transaction: SqlTransaction, conditions: Sequence[ColumnElement[bool]], limit: int
) -> int:
    """Delete the first events that fit, and the bytes that nothing else names."""
    row, session = AssetEventRow, transaction.session
    mine = row.project_id == transaction.project_id
    first = select(row.sequence).where(mine, *conditions).order_by(row.sequence).limit(limit)
    gone = delete(row).where(mine, row.sequence.in_(session.scalars(first).all()))
    digests = session.execute(
        gone.returning(row.before_digest, row.after_digest),
        execution_options={"synchronize_session": False},
    ).all()
    transaction.remove_unused_blobs(
        digest for both in digests for digest in both if digest is not None
    )
    return len(digests)
