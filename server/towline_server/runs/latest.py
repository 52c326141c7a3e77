"""The last run of each kind of a project."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from . import tables
from .domain import Run
from .listing import RunFilter
from .rows import run_of
from .states import RunState


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
