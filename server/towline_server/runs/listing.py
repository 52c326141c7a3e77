"""Lists of runs: what they leave out, a page at a time."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from towline.frozen import frozen

from . import domain
from .states import RunState
from .tables import RunRow, list_runs


@frozen(kw_only=True)
class RunFilter:
    """Which runs a list shows: those that match every field that is set."""

    tenant_id: UUID | None = None
    project_id: UUID | None = None
    project_ids: tuple[UUID, ...] | None = None
    sync_id: UUID | None = None
    connection_id: UUID | None = None
    kind: str | None = None
    states: tuple[RunState, ...] | None = None
    of_one_kind: bool = False
    """Leave out dry runs and runs of several kinds, for APIs that know one operation a kind."""
    top_level: bool = False
    """Leave out the children of parents."""
    put_off: bool = True
    """Show attempts that may not begin yet."""
    latest_attempts: bool = False
    """Leave out attempts that were followed by another."""

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the filter as conditions on `RunRow`; a dialect may add its own."""
        equal = ("tenant_id", "project_id", "sync_id", "connection_id", "kind")
        found: list[ColumnElement[bool]] = [
            getattr(RunRow, name) == value
            for name in equal
            if (value := getattr(self, name)) is not None
        ]
        if self.project_ids is not None:
            found.append(RunRow.project_id.in_(self.project_ids))
        if self.states is not None:
            found.append(RunRow.state.in_(self.states))
        if self.of_one_kind:
            found += [RunRow.kind.is_not(None), RunRow.mode != domain.RunMode.DRY_RUN]
        if self.top_level:
            found.append(RunRow.parent_id.is_(None))
        if not self.put_off:
            found.append(or_(RunRow.state != RunState.QUEUED, RunRow.not_before.is_(None)))
        if self.latest_attempts:
            found.append(RunRow.next_attempt_id.is_(None))
        return found


@frozen(kw_only=True)
class RunPage:
    """A part of a list, and the length of the whole."""

    runs: tuple[domain.Run, ...]
    total: int
    offset: int

    @property
    def has_next(self) -> bool:
        """Whether more follow."""
        return self.offset + len(self.runs) < self.total


def latest_of_kinds(
    session: Session, project_id: UUID, states: tuple[RunState, ...] | None = None
) -> dict[str, domain.Run]:
    """Return the newest run of each kind, of those in these states."""
    wanted = RunFilter(project_id=project_id, states=states, of_one_kind=True, put_off=False)
    newest = (RunRow.created_at.desc(), RunRow.position.desc(), RunRow.id)
    rank = func.row_number().over(partition_by=RunRow.kind, order_by=newest).label("rank")
    ranked = select(RunRow.id, rank).where(*wanted.conditions()).subquery()
    query = select(RunRow).join(ranked, RunRow.id == ranked.c.id).where(ranked.c.rank == 1)
    found = list_runs(session, query)
    return {each.request.kind: each for each in found if each.request.kind is not None}
