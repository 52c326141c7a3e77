"""Owns who may write to a project: its fence, its edition, and its row as the lock.

Every write begins with an UPDATE of the project's row, which PostgreSQL locks to the end of the
transaction (SQLite has one writer anyway). ``fence`` grows with each claim and each applied plan:
who holds an older value has lost the project, asleep or awake, and writes nothing. ``edition``
grows with every write: while it stands, what was checked before the transaction still holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from towline.errors import StoreBusy
from towline.plan import Plan, StoreState
from towline.stores.checks import check_state
from towline_server.errors import NotFound

from .heads import name_for_ids
from .rows import AnyRow, select_state, state_of
from .tables import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A project's row at one moment."""

    project: str
    """Its name for ids."""
    state: StoreState
    fence: int
    edition: int


def standing(session: Session, project_id: UUID, *, lock: bool = False) -> Standing:
    """How a project stands; ``lock`` holds it so to the end of the transaction.

    Raises:
        NotFound: there is no such project (any more).
    """
    found = select_state().add_columns(Project.fence, Project.edition, Project.ids_from)
    found = found.where(Project.id == project_id)
    row = session.execute(found.with_for_update() if lock else found).first()
    if row is None:
        raise NotFound(what="project")
    return Standing(
        project=name_for_ids(project_id, row.ids_from),
        state=state_of(row),
        fence=row.fence,
        edition=row.edition,
    )


def hold(session: Session, project_id: UUID) -> None:
    """Keep a project from being deleted to the end of the transaction, as rows that name it do.

    Raises:
        NotFound: there is no such project (any more).
    """
    found = select(Project.id).where(Project.id == project_id)
    if session.scalar(found.with_for_update(read=True, key_share=True)) is None:
        raise NotFound(what="project")


def claim(session: Session, project_id: UUID) -> int:
    """Take the project for one applied plan; whoever held it before has lost it.

    Raises:
        NotFound: there is no such project (any more).
    """
    taken = update(Project).where(Project.id == project_id).values(fence=Project.fence + 1)
    row = session.execute(taken.returning(Project.fence)).first()
    if row is None:
        raise NotFound(what="project")
    fence: int = row.fence
    return fence


def lock_for_edit(session: Session, project_id: UUID) -> None:
    """Hold the project for local edits, to the end of the transaction.

    Raises:
        NotFound: there is no such project (any more).
    """
    moved = update(Project).where(Project.id == project_id)
    moved = moved.values(edition=Project.edition + 1)
    if session.scalar(moved.returning(Project.edition)) is None:
        raise NotFound(what="project")


def check_fence(plan: Plan, now: Standing, mine: int) -> None:
    """Refuse a plan if the project moved on, or belongs to someone else.

    Raises:
        StalePlan: its recorded state is not what the plan started from.
        StoreBusy: someone else has claimed it.
    """
    check_state(plan, now.project, now.state)
    if now.fence != mine:
        raise StoreBusy(project=now.project)


def advance(session: Session, project_id: UUID, plan: Plan, mine: int) -> AnyRow:
    """Move the project to the plan's outcome, if it is still mine; the transaction's first write.

    Returns ``edition``, ``pulls`` (the plan's number) and ``keep``.

    Raises:
        StalePlan, StoreBusy: as `check_fence`.
    """
    moved = (
        update(Project)
        .where(Project.id == project_id, Project.fence == mine)
        .where(Project.base.is_not_distinct_from(plan.before.base))
        .values(
            fence=Project.fence + 1,
            edition=Project.edition + 1,
            pulls=Project.pulls + 1,
            base=plan.after.base,
            fingerprint=plan.after.fingerprint,
            scope=plan.after.scope,
            tracked=plan.after.tracked,
            tracked_bytes=plan.after.tracked_bytes,
        )
        .returning(Project.edition, Project.pulls, Project.keep)
    )
    row = session.execute(moved).first()
    if row is None:
        now = standing(session, project_id)
        check_fence(plan, now, mine)
        raise StoreBusy(project=now.project)
    return row
