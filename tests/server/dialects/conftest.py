"""A control plane with a Git server behind it, called as its clients do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.server.dialects.shared_project import SharedProject
from tests.server.dialects.syncs.client import SyncsClient
from tests.server.dialects.tenant_client import TenantClient, client_of
from tests.server.runs.bench import Bench
from tests.server.runs.inline import open_inline
from tests.server.runs.world import World
from towline.remotes.url import Scheme
from towline.testing.git_server import GitServer
from towline_server.auth.roles import Role
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
def tenant(services: Services, world: World, bench: Bench, inline: Runs) -> Iterator[TenantClient]:
    """The control plane over runs that execute where they are asked for."""
    with client_of(services, bench, inline) as client:
        yield TenantClient(client=client, world=world, services=services)


@pytest.fixture
def queueing_tenant(services: Services, world: World, bench: Bench) -> Iterator[TenantClient]:
    """The same over runs that stay queued until the bench executes them."""
    with client_of(services, bench, bench.runs) as client:
        yield TenantClient(client=client, world=world, services=services)


@pytest.fixture
def shared(tenant: TenantClient, inline: Runs, bench: Bench) -> SharedProject:
    """The same with a project and people."""
    return SharedProject(tenant.client, tenant.world, tenant.services, inline, bench)


@pytest.fixture
def client(shared: SharedProject) -> TestClient:
    """The client of the shared project."""
    return shared.client


@pytest.fixture
def syncs(queueing_tenant: TenantClient, bench: Bench, world: World) -> SyncsClient:
    """A writer on the only project behind a connection, whose repository has two kinds."""
    world.commit(rules__a=b"1", tasks__b=b"1")
    project = world.project()
    return SyncsClient(queueing_tenant, bench, project, queueing_tenant.key(Role.WRITER, project))
