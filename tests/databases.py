"""Databases for tests, migrated and empty: the fixture ``database`` is one on each engine.

Tests on PostgreSQL are marked ``services``; they share one database, and leave its tables as
they were made.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, delete, event, select, text
from sqlalchemy.orm import Session

from tests.postgres import PostgresServer, running_server
from towline.codec import encode
from towline.kinds import Kinds
from towline.names import NamePolicy
from towline_server.db import Database, make_engine, upgrade
from towline_server.projects.tables import ProjectRow, TenantRow
from towline_server.tables import Base


@dataclass
class DatabaseClock:
    """The database's clock; only a test moves it."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def __call__(self, _session: Session) -> datetime:
        return self.now

    def move(self, **much: float) -> None:
        self.now += timedelta(**much)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this session's own."""
    with running_server() as server:
        yield server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("database") / "template.sqlite"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_shared(postgres_server: PostgresServer) -> str:
    """A migrated PostgreSQL database for all tests in turn: making one takes longer than most."""
    url = postgres_server.create("towline_shared")
    _migrate(url)
    return url


def _migrate(url: str) -> None:
    engine = make_engine(url)
    upgrade(engine)
    engine.dispose()


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """The address of a migrated SQLite database."""
    path = tmp_path / "towline.sqlite"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres_shared: str) -> str:
    """The address of a migrated and empty PostgreSQL database."""
    engine = make_engine(postgres_shared)
    with Database(engine).writing() as session:
        # The audit log is append-only, as long as its triggers are heeded.
        session.execute(text("SET LOCAL session_replication_role = replica"))
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(delete(table))
    engine.dispose()
    return postgres_shared


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
def database_url(request: pytest.FixtureRequest) -> str:
    """The address of a migrated and empty database, on each engine in turn."""
    fixture = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    url: str = request.getfixturevalue(fixture)
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated and empty database, on each engine in turn. Who must wait for a lock fails."""
    database = open_database(database_url, lock_seconds=0.001)
    yield database
    database.close()


def open_database(
    url: str, *, lock_seconds: float = 60, idle_seconds: float | None = None
) -> Database:
    """A database of one test, which need not outlive a power cut."""
    engine = make_engine(url, lock_seconds=lock_seconds, idle_seconds=idle_seconds)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda each, _: each.execute("PRAGMA synchronous = OFF"))
    _refuse_second_connections(engine)
    return Database(engine)


def _refuse_second_connections(engine: Engine) -> None:
    """Fail a thread that asks for a connection while it holds one: with few, all could wait."""
    holders: dict[int, int] = {}

    def take(_connection: Any, record: Any, _proxy: Any) -> None:
        thread = threading.get_ident()
        if thread in holders.values():
            raise AssertionError("this thread holds a connection, and asks for another")
        holders[id(record)] = thread

    def give_back(_connection: Any, record: Any) -> None:
        holders.pop(id(record), None)

    event.listen(engine, "checkout", take)
    event.listen(engine, "checkin", give_back)


def add_project(
    database: Database,
    *,
    project: str | None = None,
    kinds: Kinds | None = None,
    names: NamePolicy = NamePolicy.EXACT,
    keep: int = 50,
) -> UUID:
    """A new project of a new tenant; ``project`` is its name for ids."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    tenant = TenantRow(id=uuid4(), name=uuid4().hex, created_at=now)
    row = ProjectRow(
        id=uuid4(),
        tenant_id=tenant.id,
        path=f"{tenant.name}/space/project",
        created_at=now,
        kinds=encode(kinds or Kinds()),
        names=str(names),
        ids_from=project,
        keep=keep,
    )
    project_id = row.id
    with database.writing() as session:
        session.add(tenant)
        session.flush()
        session.add(row)
    return project_id


def everything(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table: what an operation that failed must have left alone."""
    with database.reading() as session:
        return {
            table.name: sorted(map(tuple, session.execute(select(table))), key=repr)
            for table in Base.metadata.sorted_tables
        }
