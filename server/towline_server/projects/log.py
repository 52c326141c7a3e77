"""The log of a project's pulls: written with each plan, and read as a list.

What undo reads of it is `SqlSnapshot.log`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.orm import Session, defer

from towline.frozen import frozen
from towline.model import Digest, Revision
from towline.plan import Plan
from towline.planfile import dump_plan
from towline.records import PlanKind
from towline.report import report_json, report_of
from towline.stores.checks import undo_needs, undone_by
from towline_server.db.statements import insert_all
from towline_server.errors import existing

from .asset_tables import PullRow, RetainedBlobRow


@frozen(kw_only=True)
class PastPull:
    """One applied plan, and the report of it."""

    number: int
    kind: PlanKind
    base: Revision | None
    revision: Revision | None
    at: datetime | None
    undoes: int | None
    undone: bool
    is_retained: bool
    """Whether it is within the log's bound, so that undoing it may be tried."""
    report: dict[str, Any] | None
    """None in a list."""


class History:
    """The pulls of one project, in a session."""

    def __init__(self, session: Session, project_id: UUID) -> None:
        self._session = session
        self._project_id = project_id

    def page(self, *, limit: int, offset: int = 0) -> tuple[Sequence[PastPull], int]:
        """Return some of the pulls, newest first, and how many there are."""
        mine = PullRow.project_id == self._project_id
        total = self._session.scalar(select(func.count()).select_from(PullRow).where(mine)) or 0
        found = self._pulls().options(defer(PullRow.report, raiseload=True))
        newest = found.order_by(PullRow.number.desc()).limit(limit).offset(offset)
        return [_past(*row) for row in self._session.execute(newest)], total

    def get(self, number: int) -> PastPull:
        """Return one pull. Raises NotFound."""
        row = self._session.execute(self._pulls().where(PullRow.number == number)).first()
        found = existing(row, "pull")
        return replace(_past(*found), report=found[0].report)

    def _pulls(self) -> Select[PullRow, bool]:
        # Not the plan itself: it is the larger part of a row, and no list shows it.
        return (
            select(PullRow, PullRow.plan.is_not(None))
            .options(defer(PullRow.plan, raiseload=True))
            .where(PullRow.project_id == self._project_id)
        )


def _past(row: PullRow, is_retained: bool) -> PastPull:  # noqa: FBT001 - a column's value
    return PastPull(
        number=row.number,
        kind=PlanKind(row.kind),
        base=row.base,
        revision=row.revision,
        at=row.at,
        undoes=row.undoes,
        undone=row.undone,
        is_retained=is_retained,
        report=None,
    )


def log_values(plan: Plan) -> dict[str, Any]:
    """Return what the log says of a plan; this may take long, so do it before a lock is held."""
    return {
        "kind": str(plan.kind),
        "base": plan.before.base,
        "revision": plan.revision,
        "undoes": plan.undoes,
        "undone": False,
        "plan": dump_plan(plan),
        "report": report_json(report_of(plan)),
    }


def write_log(
    session: Session,
    project_id: UUID,
    plan: Plan,
    values: dict[str, Any],
    *,
    number: int,
    at: datetime | None,
) -> None:
    """Write a plan's log entry, and which bytes undoing it needs."""
    mine, rows = PullRow.project_id == project_id, {"project_id": project_id, "pull": number}

    def undoes(each: int) -> int | None:
        return session.scalar(select(PullRow.undoes).where(mine, PullRow.number == each))

    for each, undone in undone_by(plan, undoes).items():
        session.execute(update(PullRow).where(mine, PullRow.number == each).values(undone=undone))
    pull = {"project_id": project_id, "number": number, "at": at, **values}
    insert_all(session, PullRow, [pull])
    digests = sorted(undo_needs(plan.edits))
    insert_all(session, RetainedBlobRow, [{**rows, "digest": digest} for digest in digests])


def drop_log(session: Session, project_id: UUID, newest: int) -> Iterable[Digest]:
    """Drop the plans up to this number from the log; return the digests that they retained."""
    if newest < 1:
        return ()
    passed = (PullRow.project_id == project_id, PullRow.number <= newest, PullRow.plan.is_not(None))
    session.execute(update(PullRow).where(*passed).values(plan=None))
    dropped = (RetainedBlobRow.project_id == project_id, RetainedBlobRow.pull <= newest)
    return session.scalars(
        delete(RetainedBlobRow).where(*dropped).returning(RetainedBlobRow.digest),
        execution_options={"synchronize_session": False},
    ).all()
