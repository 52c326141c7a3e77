"""Owns who may write to a project: the lock on its row, and its fence.

Every write begins with an UPDATE of the project's row, which PostgreSQL locks to the end of the
transaction (SQLite has one writer anyway). ``fence`` grows with each claim and each applied plan:
a writer with an older one has lost the project, asleep or awake, and writes nothing. ``edition``
grows with every write: while it is the same, what was checked before the transaction still holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from towline.errors import StoreBusy, StoreError
from towline.frozen import frozen
from towline.model import Revision
from towline_server.db.failures import FAILURES, is_busy, is_full, shown
from towline_server.errors import DiskFull, existing

from .tables import ProjectRow


def hold(session: Session, project_id: UUID) -> None:
    """Lock a project against deletion to the end of the transaction, as a row that names it does.

    Raises:
        NotFound: there is no such project (any more).
    """
    found = select(ProjectRow.id).where(ProjectRow.id == project_id)
    existing(session.scalar(found.with_for_update(read=True, key_share=True)), "project")


def hold_writers(session: Session, project_id: UUID) -> None:
    """Lock a project against writers, too, such as pulls; rows may still name it. Raises as `hold`.

    A writer that waits for it sees what the transaction wrote.
    """
    found = select(ProjectRow.id).where(ProjectRow.id == project_id)
    existing(session.scalar(found.with_for_update(key_share=True)), "project")


@frozen(kw_only=True)
class Fenced:
    """A new fence of a project, and the revision that the project has."""

    fence: int
    base: Revision | None


def claim(session: Session, project_id: UUID) -> Fenced:
    """Return a new fence for one applied plan; the writer that had an older one has lost it.

    Raises:
        NotFound: there is no such project (any more).
    """
    row = ProjectRow
    raised = update(row).where(row.id == project_id).values(fence=row.fence + 1)
    unread = raised.execution_options(synchronize_session=False)
    found = session.execute(unread.returning(row.fence, row.base)).first()
    taken, base = existing(found, "project")
    return Fenced(fence=taken, base=base)


@contextmanager
def store_errors(project_id: UUID) -> Iterator[None]:
    """Turn what the database raises into an error of towline's.

    Raises:
        StoreBusy: another writer held a lock for too long.
        DiskFull: the disk is full.
        StoreError: anything else.
    """
    try:
        yield
    except FAILURES as error:
        project = str(project_id)
        if is_busy(error):
            raise StoreBusy(project=project) from error
        if is_full(error):
            raise DiskFull(project=project, problem=shown(error)) from error
        raise StoreError(project=project, problem=shown(error)) from error
