"""What a database's own exceptions mean."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import SQLAlchemyError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

FAILURES = (SQLAlchemyError, sqlite3.Error)
"""What a session may raise; SQLAlchemy does not wrap what happens while a connection is set up."""

# serialization_failure, deadlock_detected, lock_not_available
_POSTGRESQL_BUSY = frozenset({"40001", "40P01", "55P03"})
_SQLITE_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


def is_busy(error: Exception) -> bool:
    """Whether it failed because someone else was there first; the same again may succeed."""
    if isinstance(error, PoolTimeout):
        return True
    original = _original(error)
    state = getattr(original, "sqlstate", None)
    # The low byte is the code, what is above tells its variants apart.
    code = getattr(original, "sqlite_errorcode", 0) & 0xFF
    return state in _POSTGRESQL_BUSY or code in _SQLITE_BUSY


def shown(error: Exception) -> str:
    """What went wrong, in one line, without the statement and its values."""
    original = _original(error)
    if isinstance(original, UnicodeError):
        return "text that is not Unicode"
    lines = str(original).splitlines()
    return f"{type(original).__name__}: {lines[0] if lines else ''}"[:200]


def _original(error: Exception) -> BaseException:
    if isinstance(error, StatementError) and error.orig is not None:
        return error.orig
    return error
