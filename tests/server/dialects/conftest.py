"""A control plane with a Git server behind it, spoken to as its clients do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.databases import open_database
from tests.server.dialects.desk import Desk, Executing
from tests.server.dialects.scene import Scene
from tests.server.runs.bench import Bench
from tests.server.runs.world import World
from towline.remotes.url import Scheme
from towline.testing.git_server import GitServer
from towline_server.app import create_app
from towline_server.runs.runtime import open_inline
from towline_server.runs.service import Runs
from towline_server.services import Services
from towline_server.settings import Settings


@pytest.fixture
def world(services: Services, git_server: GitServer, tmp_path: Path) -> World:
    """A tenant, a connection, a repository."""
    return World(services.database, git_server, tmp_path, sealer=services.sealer)


@pytest.fixture
def stranger(services: Services, git_server: GitServer, tmp_path: Path) -> World:
    """Another tenant, of which the first must learn nothing."""
    return World(services.database, git_server, tmp_path / "stranger", sealer=services.sealer)


@pytest.fixture
def inline(world: World) -> Runs:
    """Runs that have ended when they were asked for."""
    return open_inline(world.database, world.sealer, world.cache_dir)


@pytest.fixture
def desk(settings: Settings, services: Services, world: World, inline: Runs) -> Iterator[Desk]:
    """The control plane over runs that execute where they are asked for."""
    app = create_app(settings, services=services.executing(Executing(inline)))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Desk(client=client, world=world, services=services)


@pytest.fixture
def bench(world: World) -> Bench:
    """Runs that wait until a test executes them, step by step."""
    return Bench(world)


@pytest.fixture
def slow_desk(settings: Settings, services: Services, world: World, bench: Bench) -> Iterator[Desk]:
    """The control plane over the runs of the bench."""
    app = create_app(settings, services=services.executing(Executing(bench.runs)))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Desk(client=client, world=world, services=services)


@pytest.fixture
def scene(settings: Settings, sqlite_url: str, git_server: GitServer) -> Iterator[Scene]:
    """A tenant with users of each role and a project, a repository, and the control plane."""
    reaching = settings.model_copy(update={"remote_schemes": frozenset({Scheme.HTTP})})
    database = open_database(sqlite_url)
    yield Scene(reaching, database, git_server)
    database.close()
