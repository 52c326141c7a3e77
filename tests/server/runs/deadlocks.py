"""Makes two transactions wait for each other on PostgreSQL, and finds their deadlocks."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from sqlalchemy import Select, event, select, text

from towline_server.db import Database
from towline_server.errors import LeaseLost, NotFound
from towline_server.projects.domain import Project
from towline_server.projects.service import Projects
from towline_server.projects.tables import ProjectRow

LONG = 60
"""Seconds after which a test fails that waits in vain."""


def deadlocks_in(database: Database) -> list[Any]:
    """The deadlocks that the database ends from now on."""
    found: list[Any] = []

    def note(context: Any) -> None:
        if getattr(context.original_exception, "sqlstate", None) == "40P01":
            found.append(context.original_exception)

    event.listen(database.engine, "handle_error", note)
    return found


def delete_behind(
    database: Database, project: Project, row: Select[Any], act: Callable[[], Any]
) -> None:
    """Delete a project, which has to wait for a row, and act while it waits."""

    def delete() -> None:
        with database.writing() as session:
            Projects(session).delete(project.id)

    def acting() -> None:
        with suppress(NotFound, LeaseLost):  # gone with its project
            act()

    with ThreadPoolExecutor() as pool:
        with database.writing() as session:
            session.execute(row.with_for_update())
            deleting = pool.submit(delete)
            await_waiters(database, 1)
            acted = pool.submit(acting)
            await_waiters(database, 2)
        deleting.result(LONG)
        acted.result(LONG)


def await_waiters(database: Database, count: int) -> None:
    """Return once so many wait for a lock; looked for from another thread than the caller's."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(_await_waiters, database, count).result()


def _await_waiters(database: Database, count: int) -> None:
    ends_at = time.monotonic() + LONG
    waiting = 0
    # The caller's thread holds a connection, and may not ask for another.
    with ThreadPoolExecutor(1) as pool:
        while waiting < count:
            assert time.monotonic() < ends_at, f"{waiting} wait"
            waiting = pool.submit(_waiters, database).result()


def _waiters(database: Database) -> int:
    with database.reading() as session:
        found = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        return session.scalar(text(found)) or 0


def of_project(project: Project) -> Select[Any]:
    return select(ProjectRow.id).where(ProjectRow.id == project.id)
