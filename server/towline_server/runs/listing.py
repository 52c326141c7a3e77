"""Which runs a list shows, and a page of it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from towline_server.errors import KindInProgress
from towline_server.projects.tables import Project

from . import tables
from .domain import Run, RunMode
from .rows import run_of
from .states import TERMINAL, RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs a list shows: those that fit every field that is set."""

    tenant_id: UUID | None = None
    project_id: UUID | None = None
    project_ids: tuple[UUID, ...] | None = None
    sync_id: UUID | None = None
    batch_id: UUID | None = None
    connection_id: UUID | None = None
    kind: str | None = None
    states: tuple[RunState, ...] | None = None
    of_one_kind: bool = False
    """Whether to leave out runs that are not limited to a kind, and dry ones: what is left are the
    pulls of APIs that know one operation a kind."""
    top_level: bool = False
    """Whether to leave out the children of runs that comprise others."""
    put_off: bool = True
    """Whether to show attempts that wait until they may be made."""
    latest_attempts: bool = False
    """Whether to leave out attempts that another one took the place of."""

    def conditions(self) -> list[ColumnElement[bool]]:
        """The same as conditions on `tables.Run`; a dialect may add its own."""
        run = tables.Run
        wanted = {
            run.tenant_id: self.tenant_id,
            run.project_id: self.project_id,
            run.sync_id: self.sync_id,
            run.batch_id: self.batch_id,
            run.connection_id: self.connection_id,
            run.kind: self.kind,
        }
        found: list[ColumnElement[bool]] = [
            column == value for column, value in wanted.items() if value is not None
        ]
        if self.project_ids is not None:
            found.append(run.project_id.in_(self.project_ids))
        if self.states is not None:
            found.append(run.state.in_(self.states))
        if self.of_one_kind:
            found += [run.kind.is_not(None), run.mode != RunMode.DRY_RUN]
        if self.top_level:
            found.append(run.parent_id.is_(None))
        if not self.put_off:
            found.append(or_(run.state != RunState.QUEUED, run.not_before.is_(None)))
        if self.latest_attempts:
            found.append(run.next_attempt_id.is_(None))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some of a list, and how long it is in all."""

    runs: tuple[Run, ...]
    total: int
    offset: int

    @property
    def has_next(self) -> bool:
        """Whether more follow."""
        return self.offset + len(self.runs) < self.total


def latest_of_kinds(
    session: Session, project_id: UUID, states: tuple[RunState, ...] | None = None
) -> dict[str, Run]:
    """The run of each kind that was asked for last, among those in these states."""
    run = tables.Run
    wanted = RunFilter(project_id=project_id, states=states, of_one_kind=True, put_off=False)
    newest = (run.created_at.desc(), run.position.desc(), run.id)
    rank = func.row_number().over(partition_by=run.kind, order_by=newest).label("rank")
    ranked = select(run.id, rank).where(*wanted.conditions()).subquery()
    query = select(run).join(ranked, run.id == ranked.c.id).where(ranked.c.rank == 1)
    found = (run_of(row) for row in session.scalars(query))
    return {each.request.kind: each for each in found if each.request.kind is not None}


def refuse_second(session: Session, project_id: UUID, kind: str) -> None:
    """Make sure that no run of one kind is in progress; nobody asks for one until we commit.

    Raises:
        KindInProgress: there is one.
    """
    run = tables.Run
    session.execute(select(Project.id).where(Project.id == project_id).with_for_update())
    same = RunFilter(project_id=project_id, kind=kind, of_one_kind=True, put_off=False).conditions()
    oldest = select(run.id).where(*same, run.state.not_in(TERMINAL))
    found = session.scalars(oldest.order_by(run.created_at, run.position, run.id).limit(1)).first()
    if found is not None:
        raise KindInProgress(kind=kind, run_id=str(found))
