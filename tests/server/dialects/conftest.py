"""A control plane with a Git server behind it, called as its clients do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.server.dialects.shared_project import SharedProject
from tests.server.dialects.syncs.client import SyncsClient
from tests.server.dialects.tenant_client import TenantClient, client_of
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.inline import open_inline
from tests.server.runs.runner import Runner
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
def tenant(services: Services, git_server: GitServer) -> GitTenant:
    """A tenant, a connection, a repository."""
    folder = services.settings.data_dir
    return GitTenant(services.database, git_server, folder, sealer=services.sealer, name="acme")


@pytest.fixture
def stranger(services: Services, git_server: GitServer, tmp_path: Path) -> GitTenant:
    """Another tenant, of which the first must learn nothing."""
    folder = tmp_path / "stranger"
    return GitTenant(services.database, git_server, folder, sealer=services.sealer, name="other")


@pytest.fixture
def inline(tenant: GitTenant) -> Runs:
    """Runs that have ended when they were asked for."""
    return open_inline(tenant.database, tenant.sealer, tenant.cache_dir)


@pytest.fixture
def runner(tenant: GitTenant) -> Runner:
    """Runs that wait until a test executes them, step by step."""
    return Runner(tenant)


@pytest.fixture
def api(
    services: Services, tenant: GitTenant, runner: Runner, inline: Runs
) -> Iterator[TenantClient]:
    """The control plane over runs that execute where they are asked for."""
    with client_of(services, runner, inline) as client:
        yield TenantClient(client=client, tenant=tenant, services=services)


@pytest.fixture
def queueing_api(services: Services, tenant: GitTenant, runner: Runner) -> Iterator[TenantClient]:
    """The same over runs that stay queued until the runner executes them."""
    with client_of(services, runner, runner.runs) as client:
        yield TenantClient(client=client, tenant=tenant, services=services)


@pytest.fixture
def shared(api: TenantClient, inline: Runs, runner: Runner) -> SharedProject:
    """The same with a project and people."""
    return SharedProject(api.client, api.tenant, api.services, inline, runner)


@pytest.fixture
def client(shared: SharedProject) -> TestClient:
    """The client of the shared project."""
    return shared.client


@pytest.fixture
def syncs(queueing_api: TenantClient, runner: Runner, tenant: GitTenant) -> SyncsClient:
    """A writer on the only project behind a connection, whose repository has two kinds."""
    tenant.commit(rules__a=b"1", tasks__b=b"1")
    project = tenant.project()
    return SyncsClient(queueing_api, runner, project, queueing_api.key(Role.WRITER, project))
