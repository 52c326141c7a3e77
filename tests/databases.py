"""Databases for tests, migrated and empty: the fixture ``database`` is one on each engine.

PostgreSQL's are marked ``services``.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from tests.postgres import PostgresServer, running_server
from towline.codec import encode
from towline.kinds import Kinds
from towline.names import NamePolicy
from towline_server.db import Database, make_engine, upgrade
from towline_server.projects.tables import Project, Tenant
from towline_server.tables import Base

_numbers = count(1)


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
def postgres_template(postgres_server: PostgresServer) -> str:
    """A migrated PostgreSQL database, to be copied."""
    _migrate(postgres_server.create("towline_template"))
    return "towline_template"


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
def postgres_url(postgres_server: PostgresServer, postgres_template: str) -> Iterator[str]:
    """The address of a migrated PostgreSQL database."""
    name = f"towline_{next(_numbers)}"
    yield postgres_server.create(name, template=postgres_template)
    postgres_server.drop(name)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
def database_url(request: pytest.FixtureRequest) -> str:
    """The address of a migrated database, on each engine in turn."""
    fixture = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    url: str = request.getfixturevalue(fixture)
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated database, on each engine in turn. Who must wait for a lock is told at once."""
    database = Database(make_engine(database_url, lock_seconds=0.001))
    yield database
    database.close()


def add_project(
    database: Database,
    *,
    kinds: Kinds | None = None,
    names: NamePolicy = NamePolicy.EXACT,
    keep: int = 50,
) -> UUID:
    """A new project of a new tenant."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    tenant = Tenant(id=uuid4(), name=uuid4().hex, created_at=now)
    project = Project(
        id=uuid4(),
        tenant_id=tenant.id,
        path=f"{tenant.name}/space/project",
        created_at=now,
        kinds=encode(kinds or Kinds()),
        names=str(names),
        keep=keep,
    )
    project_id = project.id
    with database.writing() as session:
        session.add(tenant)
        session.flush()
        session.add(project)
    return project_id


def everything(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table: what an operation that failed must have left alone."""
    with database.reading() as session:
        return {
            table.name: sorted(map(tuple, session.execute(select(table))), key=repr)
            for table in Base.metadata.sorted_tables
        }
