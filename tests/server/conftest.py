"""A Git server, and runs over what it serves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import open_database
from tests.server.runs.git_tenant import GitTenant
from towline.testing.git_server import GitServer
from towline_server.db import Database


@pytest.fixture
def git_server(tmp_path: Path) -> Iterator[GitServer]:
    """A Git server over an empty folder."""
    root = tmp_path / "repositories"
    root.mkdir()
    with GitServer(root) as server:
        yield server


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database on each engine; runs execute beside each other, and wait for locks."""
    database = open_database(database_url)
    yield database
    database.close()


@pytest.fixture
def tenant(database: Database, git_server: GitServer, tmp_path: Path) -> GitTenant:
    """A tenant, a connection, a repository."""
    return GitTenant(database, git_server, tmp_path)
