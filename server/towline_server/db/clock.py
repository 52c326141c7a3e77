"""The database's own time: leases are judged by it, since servers' clocks differ."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

from sqlalchemy import text
from sqlalchemy.orm import Session

DatabaseNow: TypeAlias = Callable[[Session], datetime]
"""Returns the time within a session."""

_SQLITE = text("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')")
_POSTGRESQL = text("SELECT clock_timestamp()")


def database_now(session: Session) -> datetime:
    """Return the time by the database's clock."""
    if session.get_bind().dialect.name == "sqlite":
        found = session.scalar(_SQLITE)
        return datetime.fromisoformat(str(found)).replace(tzinfo=UTC)
    found = session.scalar(_POSTGRESQL)
    assert isinstance(found, datetime), "PostgreSQL returns the time"
    return found.astimezone(UTC)
