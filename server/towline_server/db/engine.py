"""Owns how a database is opened: what a connection runs before its first statement.

sqlite3 begins transactions by itself, late and only before a write, so that two reads may see two
moments. That is switched off here; SQLAlchemy's ``begin`` is a real BEGIN. One that is going to
write takes the lock at once (BEGIN IMMEDIATE): a reader that turns writer fails outright when
someone wrote meanwhile, whatever its time-out.

On PostgreSQL a transaction that writes holds locks that others wait for, even while its process is
stopped. So the database's server ends one that is idle (``idle_seconds``). It is a setting of the
connection, which costs no statement; what reads, and waits for a repository meanwhile, lifts it.

Errors show no values (``hide_parameters``): they hold users' bytes, and would reach the logs.
"""

from __future__ import annotations

import select
import sqlite3
import time
from functools import partial
from typing import Any

from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.exc import ArgumentError, DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

from towline.errors import InvalidValue
from towline_server import metrics, telemetry

WRITES = {"towline_access": "write"}
"""Execution options of a connection whose transactions write."""

WAITS = {"towline_idle": "unbounded"}
"""Execution options of a connection whose transactions only read, and may wait meanwhile."""

LOCK_SECONDS = "towline_lock_seconds"
"""Execution option of an engine that lets one write at a time: how long another waits for it."""

_IDLE = "idle_in_transaction_session_timeout"
_USED_AT = "towline_used_at"
_UNUSED_SECONDS = 30.0
"""After how long a connection that was not used is asked whether it is still there."""

_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA foreign_keys = ON",
    # A report that was sent must still be true after a power cut. NORMAL would flush the log at
    # checkpoints alone, and lose the last commits.
    "PRAGMA synchronous = FULL",
)


def make_engine(
    url: str | URL,
    *,
    lock_seconds: float = 5.0,
    idle_seconds: float | None = None,
    connections: int = 15,
) -> Engine:
    """An engine for a database; ``lock_seconds`` bounds how long it waits for a lock.

    It has as many ``connections`` at most (see `pools`). ``idle_seconds`` is after how long
    between two statements PostgreSQL ends a transaction, unless it `WAITS`; None: never.

    ``sqlite:///PATH`` (a file: a database in memory has no second connection), or
    ``postgresql://…``, which is spoken through psycopg 3.

    Raises:
        InvalidValue: the URL is of another database, or of none.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        engine = _sqlite(parsed, lock_seconds, connections)
    else:
        engine = _postgresql(parsed, lock_seconds, idle_seconds, connections)
    event.listen(engine, "before_cursor_execute", _begin_statement)
    event.listen(engine, "after_cursor_execute", _end_statement)
    event.listen(engine, "handle_error", _end_failed)
    return engine


def _begin_statement(connection: Connection, *about: Any) -> None:
    _, statement, _, context, _ = about
    context.towline_began = time.perf_counter()
    context.towline_span = telemetry.begin_statement(statement, connection.dialect.name)


def _end_statement(*about: Any) -> None:
    context = about[4]
    metrics.STATEMENT_SECONDS.observe(time.perf_counter() - context.towline_began)
    if context.towline_span is not None:
        context.towline_span.end()


def _end_failed(failure: ExceptionContext) -> None:
    span = getattr(failure.execution_context, "towline_span", None)
    if span is not None:
        span.record_exception(failure.original_exception)
        span.end()


def _parse(url: str | URL) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # The URL may hold a password: neither it nor the parser's words are passed on.
        raise InvalidValue(field="database URL", problem="is not a database URL") from None
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        if parsed.database in (None, "", ":memory:") or "mode=memory" in str(parsed.query):
            raise InvalidValue(field="database URL", problem="names no file for SQLite")
        return parsed.set(drivername="sqlite+pysqlite")
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    raise InvalidValue(field="database URL", problem=f"{backend!r} is not sqlite or postgresql")


def _sqlite(url: URL, lock_seconds: float, connections: int) -> Engine:
    engine = create_engine(
        url,
        connect_args={"timeout": lock_seconds},
        pool_size=connections,
        max_overflow=0,
        hide_parameters=True,
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    engine.update_execution_options(**{LOCK_SECONDS: lock_seconds})
    return engine


def _set_up_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(pragma).close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if _writes(connection) else "BEGIN")


def _writes(connection: Connection) -> bool:
    return WRITES.items() <= connection.get_execution_options().items()


def _postgresql(
    url: URL, lock_seconds: float, idle_seconds: float | None, connections: int
) -> Engine:
    options = f"-c lock_timeout={_milliseconds(lock_seconds)} -c timezone=UTC"
    if idle_seconds is not None:
        options += f" -c {_IDLE}={_milliseconds(idle_seconds)}"
    engine = create_engine(
        url,
        connect_args={"options": options},
        pool_size=connections,
        max_overflow=0,
        hide_parameters=True,
    )
    event.listen(engine, "begin", _begin_postgresql)
    event.listen(engine, "checkin", _note_use)
    event.listen(engine, "checkout", partial(_check_connected, engine.dialect))
    return engine


def _begin_postgresql(connection: Connection) -> None:
    if WAITS.items() <= connection.get_execution_options().items():
        connection.exec_driver_sql(f"SET LOCAL {_IDLE} = 0")


def _note_use(_driver: Any, record: ConnectionPoolEntry) -> None:
    record.info[_USED_AT] = time.monotonic()


def _check_connected(
    dialect: Dialect, driver: Any, record: ConnectionPoolEntry, _proxy: object
) -> None:
    """Have a connection replaced whose server has gone away, before it is used again.

    A server that ends a connection says so: there is something to read, though nothing was asked.
    One that was not used for long is asked, as a network may lose it without a word.
    """
    used_at = record.info.get(_USED_AT)
    if used_at is None:
        return  # it is new
    try:
        if _has_input(driver) or time.monotonic() - used_at > _UNUSED_SECONDS:
            dialect.do_ping(driver)
    except dialect.loaded_dbapi.Error as error:
        raise DisconnectionError from error


def _has_input(driver: Any) -> bool:
    polled = select.poll()
    polled.register(driver.fileno(), select.POLLIN)
    return bool(polled.poll(0))


def _milliseconds(seconds: float) -> int:
    """PostgreSQL takes 0 for "for ever"."""
    return max(1, int(seconds * 1000))
