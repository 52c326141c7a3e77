"""A control plane with a Git server behind it, spoken to as its clients do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.server.dialects.desk import Desk, client_of
from tests.server.dialects.scene import Scene
from tests.server.dialects.syncs.office import Office
from tests.server.runs.bench import Bench
from tests.server.runs.world import World
from towline.remotes.url import Scheme
from towline.testing.git_server import GitServer
from towline_server.auth.roles import Role
from towline_server.runs.runtime import open_inline
from towline_server.runs.service import Runs
from towline_server.services import Services
from towline_server.settings import Settings


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings that allow the Git server of the tests."""
    return settings.model_copy(update={"remote_schemes": frozenset({Scheme.HTTP})})


@pytest.fixture
def world(services: Services, git_server: GitServer) -> World:
    """A tenant, a connection, a repository."""
    folder = services.settings.data_dir
    return World(services.database, git_server, folder, sealer=services.sealer, name="acme")


@pytest.fixture
def stranger(services: Services, git_server: GitServer, tmp_path: Path) -> World:
    """Another tenant, of which the first must learn nothing."""
    folder = tmp_path / "stranger"
    return World(services.database, git_server, folder, sealer=services.sealer, name="other")


@pytest.fixture
def inline(world: World) -> Runs:
    """Runs that have ended when they were asked for."""
    return open_inline(world.database, world.sealer, world.cache_dir)


@pytest.fixture
def bench(world: World) -> Bench:
    """Runs that wait until a test executes them, step by step."""
    return Bench(world)


@pytest.fixture
def desk(services: Services, world: World, bench: Bench, inline: Runs) -> Iterator[Desk]:
    """The control plane over runs that execute where they are asked for."""
    with client_of(services, bench, inline) as client:
        yield Desk(client=client, world=world, services=services)


@pytest.fixture
def slow_desk(services: Services, world: World, bench: Bench) -> Iterator[Desk]:
    """The control plane over the runs of the bench."""
    with client_of(services, bench, bench.runs) as client:
        yield Desk(client=client, world=world, services=services)


@pytest.fixture
def scene(desk: Desk, inline: Runs, bench: Bench) -> Scene:
    """The same with a project and people."""
    return Scene(desk.client, desk.world, desk.services, inline, bench)


@pytest.fixture
def client(scene: Scene) -> TestClient:
    """The client of the scene."""
    return scene.client


@pytest.fixture
def office(slow_desk: Desk, bench: Bench, world: World) -> Office:
    """A writer on the only project behind a connection, whose repository has two kinds."""
    world.commit(rules__a=b"1", tasks__b=b"1")
    project = world.project()
    return Office(slow_desk, bench, project, slow_desk.key(Role.WRITER, project))
