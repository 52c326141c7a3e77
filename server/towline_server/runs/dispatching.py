"""Hands runs to their backends; what was handed over and got lost is handed over again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, case, exists, or_, select, update
from sqlalchemy.orm import aliased

from towline_server.db.clock import DatabaseNow, database_now
from towline_server.db.session import Database

from . import tables
from .backends import Backend, Dispatch
from .domain import TriggeredBy
from .rows import hold_projects
from .states import ACTIVE, RunState

_LOG = logging.getLogger("towline.runs")


def dispatch(
    database: Database,
    backend: Backend,
    run_ids: Sequence[UUID],
    now: DatabaseNow = database_now,
) -> None:
    """Hand runs that wait to their backend, in this order."""
    if not run_ids:
        return
    run = tables.Run
    # What its backend may still know keeps its name there: it is executed once.
    again = case((run.dispatched_at.is_(None), 1), else_=0)
    with database.writing() as session:
        hold_projects(session, run_ids)
        at = now(session)
        waiting = (
            update(run)
            .where(run.id.in_(run_ids), run.state == RunState.QUEUED)
            .values(dispatches=run.dispatches + again, dispatched_at=at)
            .returning(run.id, run.project_id, run.dispatches)
            .execution_options(synchronize_session=False)
        )
        taken = {row.id: row for row in session.execute(waiting).all()}
        dispatches = [
            Dispatch(
                run_id=run_id,
                project_id=taken[run_id].project_id,
                ref=f"{run_id}-{taken[run_id].dispatches}",
            )
            for run_id in run_ids
            if run_id in taken
        ]
        for each in dispatches:
            session.execute(
                update(run)
                .where(run.id == each.run_id)
                .values(backend_ref=each.ref)
                .execution_options(synchronize_session=False)
            )
    _submit(database, backend, dispatches)


def _submit(database: Database, backend: Backend, dispatches: Sequence[Dispatch]) -> None:
    """Hand over; what a backend cannot take now waits for the reaper, as asked for it is."""
    try:
        backend.submit(dispatches)
    except Exception:  # noqa: BLE001 - the runs exist, whatever the backend says
        _LOG.exception("the %s backend took no runs; they are handed over again", backend.name)
        for each in dispatches:
            give_back(database, each.run_id)


def give_back(database: Database, run_id: UUID) -> None:
    """Note that a backend let go of a run which could not begin: another works on its project."""
    _give_back(database, tables.Run.id == run_id)


def _give_back(database: Database, those: ColumnElement[bool]) -> None:
    run = tables.Run
    with database.writing() as session:
        session.execute(
            update(run)
            .where(those, run.state == RunState.QUEUED)
            .values(dispatched_at=None)
            .execution_options(synchronize_session=False)
        )


def recall(
    database: Database, backend: Backend, seconds: float, now: DatabaseNow = database_now
) -> None:
    """Take back what a backend will never execute, so that it can be handed over anew.

    An executor that is gone may still hold there a run that never began, or one that has ended:
    its project's next ones wait behind it. A run in a phase is the lease's affair.
    """
    with database.reading() as session:
        long_ago = now(session) - timedelta(seconds=seconds)
    orphans = _orphans(database, backend.held_elsewhere(long_ago), long_ago)
    # Before they are forgotten: whoever is killed between the two is followed by another.
    if refs := orphans | _failed_on_the_way(database, backend, long_ago):
        _give_back(database, tables.Run.backend_ref.in_(refs))
    for ref in sorted(orphans):
        backend.forget(ref)


def _orphans(database: Database, held: Sequence[str], long_ago: datetime) -> set[str]:
    """Those of what is held by processes elsewhere that no living one will end."""
    run = tables.Run
    alive = or_(run.state.in_(ACTIVE), run.updated_at > long_ago)
    if not held:
        return set()
    with database.reading() as session:
        found = select(run.backend_ref).where(run.backend_ref.in_(held), alive)
        return set(held) - set(session.scalars(found))


def _failed_on_the_way(database: Database, backend: Backend, long_ago: datetime) -> set[str]:
    """What was handed over long ago, waits here, and waits there no more."""
    run = tables.Run
    with database.reading() as session:
        found = select(run.backend_ref).where(
            run.state == RunState.QUEUED,
            run.backend == backend.name,
            run.gathers.is_(False),
            run.dispatched_at < long_ago,
        )
        waiting = [ref for ref in session.scalars(found) if ref is not None]
    return set(waiting) - set(backend.still_has(waiting)) if waiting else set()


def lost_dispatches(
    database: Database, backend: Backend, seconds: float, now: DatabaseNow = database_now
) -> list[UUID]:
    """Runs that wait, and that nobody may know of: let go, or handed over long ago.

    A backend that knows them still does no harm in getting them twice.
    """
    run, other = tables.Run, aliased(tables.Run)
    # Handing over what cannot begin yet would only make it come back.
    busy = exists().where(
        other.project_id == run.project_id, other.state.in_(ACTIVE), other.gathers.is_(False)
    )
    with database.reading() as session:
        long_ago = now(session) - timedelta(seconds=seconds)
        forgotten = or_(run.dispatched_at.is_(None), run.dispatched_at < long_ago)
        waiting = select(run.id).where(
            run.state == RunState.QUEUED,
            run.gathers.is_(False),
            run.backend == backend.name,
            ~busy,
            # What was just asked for is about to be handed over by whoever asked; nobody asked
            # for an attempt that takes the place of a lost one.
            or_(
                run.dispatches > 0,
                run.triggered_by == TriggeredBy.AUTO_RESUME,
                run.created_at < long_ago,
            ),
            forgotten,
        )
        return list(session.scalars(waiting.order_by(run.created_at, run.position, run.id)))
