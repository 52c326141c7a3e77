"""The database's own time: leases are judged by it, since servers' clocks differ."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, func, select, type_coerce
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from .base import UtcDateTime

DatabaseNow: TypeAlias = Callable[[Session], datetime]
"""Returns the time within a session."""

_SQLITE_NOW = "strftime('%Y-%m-%d %H:%M:%f', 'now')"


def clock(session: Session) -> ColumnElement[datetime]:
    """Return the time by the database's clock as an expression, to be stored or read."""
    if session.get_bind().dialect.name == "sqlite":
        # SQLite has milliseconds; what it stores of a moment has microseconds.
        return type_coerce(func.strftime("%Y-%m-%d %H:%M:%f000", "now"), UtcDateTime())
    return type_coerce(func.clock_timestamp(), UtcDateTime())


def database_now(session: Session) -> datetime:
    """Return the time by the database's clock."""
    return session.scalars(select(clock(session))).one()


class sql_now(FunctionElement[datetime]):  # noqa: N801 - a function of SQL
    """The same time within a statement."""

    name = "sql_now"
    type = UtcDateTime()
    inherit_cache = True


@compiles(sql_now)
def _postgresql_now(_element: sql_now, _compiler: SQLCompiler, **_options: Any) -> str:
    # That of the transaction, which begins with the statement, can be looked up in an index.
    return "now()"


@compiles(sql_now, "sqlite")
def _sqlite_now(_element: sql_now, _compiler: SQLCompiler, **_options: Any) -> str:
    return _SQLITE_NOW
