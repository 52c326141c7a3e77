"""No exception of a driver or of SQLAlchemy leaves the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from towline.errors import StoreBusy, StoreError
from towline_server.db.failures import FAILURES, is_busy, is_full, shown
from towline_server.errors import DiskFull


@contextmanager
def guarded(project_id: UUID) -> Iterator[None]:
    """Turn what the database raises into an error of towline's.

    Raises:
        StoreBusy: someone else held what was needed for too long.
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
