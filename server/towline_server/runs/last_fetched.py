"""Which revision was fetched last for a project, under the binding that it has: by a run, or not.

A run's row has what the run fetched; the binding's row what was fetched without one.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from towline.model import Revision
from towline_server.db.clock import database_now
from towline_server.projects.connection_tables import BindingRow
from towline_server.projects.domain import Project

from .tables import RunRow

_SKEW = timedelta(seconds=1)
"""Bindings are stamped by a server's clock, runs by the database's."""


def last_fetched(session: Session, project_id: UUID) -> Revision | None:
    """Return what was fetched last under a project's binding; None: nothing was."""
    run, bound = RunRow, session.get(BindingRow, project_id)
    if bound is None:
        return None
    at = func.coalesce(run.completed_at, run.updated_at).label("at")
    by_runs = select(run.target_revision, at).where(
        run.project_id == project_id,
        run.connection_id == bound.connection_id,
        run.target_revision.is_not(None),
        run.created_at >= bound.bound_at - _SKEW,
    )
    newest = by_runs.order_by(run.created_at.desc(), run.position.desc(), run.id).limit(1)
    row = session.execute(newest).first()
    if row is None or (bound.fetched_at is not None and row.at < bound.fetched_at):
        return bound.fetched_revision
    return Revision(row.target_revision)


def note_fetched(session: Session, project: Project, revision: Revision) -> None:
    """Record what was fetched without a run, unless the project has another binding by now."""
    bound = project.bound
    same = (
        BindingRow.project_id == project.id,
        BindingRow.connection_id == bound.connection_id,
        BindingRow.ref == bound.ref,
        BindingRow.scope == bound.scope,
    )
    values = {"fetched_revision": revision, "fetched_at": database_now(session)}
    session.execute(update(BindingRow).where(*same).values(**values))
