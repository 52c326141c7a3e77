"""What of a project is still in progress, one kind at a time."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from towline_server.projects.tables import Project

from . import tables
from .errors import KindInProgress
from .listing import RunFilter
from .states import TERMINAL


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
