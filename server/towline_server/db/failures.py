"""What a database's own exceptions mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from sqlalchemy.exc import DBAPIError, SQLAlchemyError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

FAILURES = (SQLAlchemyError, sqlite3.Error)
"""What a session may raise; SQLAlchemy does not wrap what happens while a connection is set up."""

# serialization_failure, deadlock_detected, lock_not_available
_POSTGRESQL_BUSY = frozenset({"40001", "40P01", "55P03"})
# admin_shutdown, crash_shutdown, cannot_connect_now, too_many_connections, idle_session_timeout
_POSTGRESQL_AWAY = frozenset({"57P01", "57P02", "57P03", "53300", "25P03"})
_SQLITE_AWAY = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})
_SQLITE_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


def is_busy(error: BaseException) -> bool:
    """Whether it failed because someone else was there first; the same again may succeed."""
    if isinstance(error, PoolTimeout):
        return True
    original = _original(error)
    state = getattr(original, "sqlstate", None)
    # The low byte is the code, what is above are its variants.
    code = getattr(original, "sqlite_errorcode", 0) & 0xFF
    return state in _POSTGRESQL_BUSY or code in _SQLITE_BUSY


def is_full(error: BaseException) -> bool:
    """Whether the database's disk is full."""
    original = _original(error)
    code = getattr(original, "sqlite_errorcode", 0) & 0xFF
    return code == sqlite3.SQLITE_FULL or getattr(original, "sqlstate", None) == "53100"


def is_away(error: BaseException) -> bool:
    """Whether the database cannot be reached or used now: it restarts, or its disk fails."""
    original = _original(error)
    if getattr(original, "sqlite_errorcode", 0) & 0xFF in _SQLITE_AWAY:
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    state = getattr(original, "sqlstate", None)
    if state is None:
        # psycopg gives none to a connection that cannot be made, or that was cut.
        return type(original).__name__ == "OperationalError" and not _is_sqlite(original)
    return state in _POSTGRESQL_AWAY or state.startswith("08")


def passes(error: BaseException) -> bool:
    """Whether the same again may succeed before long."""
    return isinstance(error, FAILURES) and (is_busy(error) or is_away(error) or is_full(error))


def _is_sqlite(error: BaseException) -> bool:
    return isinstance(error, sqlite3.Error)


def shown(error: BaseException) -> str:
    """What went wrong, in one line, without the statement and its values."""
    original = _original(error)
    if isinstance(original, UnicodeError):
        return "text that is not Unicode"
    lines = str(original).splitlines()
    return f"{type(original).__name__}: {lines[0] if lines else ''}"[:200]


def _original(error: BaseException) -> BaseException:
    if isinstance(error, StatementError) and error.orig is not None:
        return error.orig
    return error


def pauses(seconds: float | None) -> Iterator[float | None]:
    """Yield pauses of so many seconds in all (None: without end), and None at the end."""
    pause, waited = 0.1, 0.0
    while seconds is None or waited < seconds:
        yield pause
        waited += pause
        pause = min(2 * pause, 5.0)
    yield None
