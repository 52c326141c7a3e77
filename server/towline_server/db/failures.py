"""What a database's own exceptions mean."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

# serialization_failure, deadlock_detected, lock_not_available
_POSTGRESQL_BUSY = frozenset({"40001", "40P01", "55P03"})
_SQLITE_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


def is_busy(error: SQLAlchemyError) -> bool:
    """Whether it failed because someone else was there first; the same again may succeed."""
    if isinstance(error, PoolTimeout):
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None)
    # The low byte is the code, what is above tells its variants apart.
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    return state in _POSTGRESQL_BUSY or code in _SQLITE_BUSY


def shown(error: SQLAlchemyError) -> str:
    """What went wrong, in one line, without the statement and its values."""
    original = error.orig if isinstance(error, DBAPIError) and error.orig else error
    lines = str(original).splitlines()
    return f"{type(original).__name__}: {lines[0] if lines else ''}"[:200]
