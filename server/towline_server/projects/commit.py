"""Writing a plan: everything that one applied plan changes, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from towline.model import Digest
from towline.names import NamePolicy
from towline.plan import Disposition, Item, Plan
from towline.planfile import dump_plan
from towline.report import report_json, report_of
from towline.stores.checks import undo_needs, undone_by
from towline_server.db.statements import batches, insert_all, insert_missing

from .asset_tables import Asset, AssetEvent, Pull, UsedId
from .contents import Contents
from .rows import row_of

_CHANGES = frozenset(
    {Disposition.OVERWRITTEN, Disposition.UPDATED, Disposition.CREATED, Disposition.DELETED}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """A plan with all that it needs, made ready before any lock is held."""

    project_id: UUID
    names: NamePolicy
    plan: Plan
    brought: Mapping[Digest, bytes]
    at: datetime | None
    document: str
    report: dict[str, Any]


def made_ready(
    project_id: UUID,
    names: NamePolicy,
    plan: Plan,
    brought: Mapping[Digest, bytes],
    at: datetime | None,
) -> Writing:
    """The same, with the plan and its report as the log keeps them."""
    return Writing(
        project_id=project_id,
        names=names,
        plan=plan,
        brought=brought,
        at=at,
        document=dump_plan(plan),
        report=report_json(report_of(plan)),
    )


def write(session: Session, writing: Writing, *, number: int, keep: int) -> None:
    """Contents, assets, log and events, once the project's row has moved (`locking.advance`)."""
    contents = Contents(session, writing.project_id)
    contents.hold(writing.brought)
    _write_assets(session, writing)
    _write_log(session, writing, number)
    contents.keep(number, undo_needs(writing.plan.edits))
    contents.sweep(_forget(session, writing.project_id, contents, number - keep))


def _write_assets(session: Session, writing: Writing) -> None:
    """Old rows out, then new ones in: assets may trade paths among themselves."""
    plan, project_id = writing.plan, writing.project_id
    leaving = [edit.before.id for edit in plan.edits if edit.before is not None]
    for some in batches(leaving):
        mine = (Asset.project_id == project_id, Asset.id.in_(some))
        session.execute(delete(Asset).where(*mine))
    arriving = [edit.after for edit in plan.edits if edit.after is not None]
    insert_all(session, Asset, [row_of(project_id, record, writing.names) for record in arriving])
    # Of known assets too: one that was local until now has its id for good.
    used = [{"project_id": project_id, "asset_id": edit.asset_id} for edit in plan.edits]
    insert_missing(session, UsedId, used)


def _write_log(session: Session, writing: Writing, number: int) -> None:
    plan, project_id = writing.plan, writing.project_id
    mine = Pull.project_id == project_id

    def undoes(each: int) -> int | None:
        return session.scalar(select(Pull.undoes).where(mine, Pull.number == each))

    for each, undone in undone_by(plan, undoes).items():
        session.execute(update(Pull).where(mine, Pull.number == each).values(undone=undone))
    pull = {
        "project_id": project_id,
        "number": number,
        "kind": str(plan.kind),
        "base": plan.before.base,
        "revision": plan.revision,
        "at": writing.at,
        "undoes": plan.undoes,
        "undone": False,
        "plan": writing.document,
        "report": writing.report,
    }
    insert_all(session, Pull, [pull])
    insert_all(session, AssetEvent, list(_events(writing, number)))


def _events(writing: Writing, number: int) -> Iterator[dict[str, Any]]:
    changes = [item for item in writing.plan.items if item.disposition in _CHANGES]
    for position, item in enumerate(changes):
        yield {
            "project_id": writing.project_id,
            "pull": number,
            "position": position,
            "at": writing.at,
            **_event(item),
        }


def _event(item: Item) -> dict[str, Any]:
    before, after = item.before, item.after
    return {
        "asset_id": item.asset_id,
        "kind": item.kind,
        "disposition": str(item.disposition),
        "path": item.path,
        "renamed_from": item.renamed_from,
        "before_digest": None if before is None else before.digest,
        "before_executable": before is not None and before.executable,
        "after_digest": None if after is None else after.digest,
        "after_executable": after is not None and after.executable,
        "merged": item.merged,
        "discarded": item.discarded,
    }


def _forget(
    session: Session, project_id: UUID, contents: Contents, newest: int
) -> Sequence[Digest]:
    """Let go of the plans beyond the log's bound; returns the bytes that they kept."""
    if newest < 1:
        return []
    passed = (Pull.project_id == project_id, Pull.number <= newest, Pull.plan.is_not(None))
    session.execute(update(Pull).where(*passed).values(plan=None))
    return contents.unkeep(newest)
