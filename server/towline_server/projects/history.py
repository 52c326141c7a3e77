"""The log of a project's pulls as a list; `SqlStore.log` is what undoing reads of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, defer

from towline.model import Revision
from towline.plan import PlanKind
from towline_server.errors import NotFound

from .asset_tables import Pull


@dataclass(frozen=True, slots=True, kw_only=True)
class PastPull:
    """One applied plan, and the report of it."""

    number: int
    kind: PlanKind
    base: Revision | None
    revision: Revision | None
    at: datetime | None
    undoes: int | None
    undone: bool
    is_saved_edit: bool
    """Whether it stands within the log's bound, so that undoing it may be tried."""
    report: dict[str, Any]


class History:
    """The pulls of one project, in a session."""

    def __init__(self, session: Session, project_id: UUID) -> None:
        self._session = session
        self._project_id = project_id

    def page(self, *, limit: int, offset: int = 0) -> tuple[Sequence[PastPull], int]:
        """Some of the pulls, newest first, and how many there are."""
        mine = Pull.project_id == self._project_id
        total = self._session.scalar(select(func.count()).select_from(Pull).where(mine)) or 0
        found = self._pulls().order_by(Pull.number.desc()).limit(limit).offset(offset)
        return [_past(*row) for row in self._session.execute(found)], total

    def get(self, number: int) -> PastPull:
        """One pull. Raises NotFound."""
        row = self._session.execute(self._pulls().where(Pull.number == number)).first()
        if row is None:
            raise NotFound(what="pull")
        return _past(*row)

    def _pulls(self) -> Select[Pull, bool]:
        # Not the plan itself: it is the larger part of a row, and nobody here reads it.
        kept = Pull.plan.is_not(None)
        return (
            select(Pull, kept)
            .options(defer(Pull.plan, raiseload=True))
            .where(Pull.project_id == self._project_id)
        )


def _past(row: Pull, is_saved_edit: bool) -> PastPull:  # noqa: FBT001 - a column's value
    return PastPull(
        number=row.number,
        kind=PlanKind(row.kind),
        base=row.base,
        revision=row.revision,
        at=row.at,
        undoes=row.undoes,
        undone=row.undone,
        is_saved_edit=is_saved_edit,
        report=row.report,
    )
