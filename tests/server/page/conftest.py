"""The page over runs that a test executes itself, and browsers without scripts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.server.api.client import RunServices
from tests.server.page.browser import PageClient
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import Runner
from towline.testing.git_server import GitServer
from towline_server.app import create_app
from towline_server.auth.roles import Role
from towline_server.services import Services
from towline_server.settings import Settings


@pytest.fixture
def tenant(services: Services, git_server: GitServer, tmp_path: Path) -> GitTenant:
    """A tenant, a connection, a repository."""
    return GitTenant(services.database, git_server, tmp_path, sealer=services.sealer)


@pytest.fixture
def site(settings: Settings, services: Services, tenant: GitTenant) -> Iterator[PageClient]:
    """The page, and a project of the tenant with a caller of each role."""
    runner = Runner(tenant)
    working = services.with_runtime(RunServices.of(runner))
    app = create_app(settings, services=working)
    with TestClient(app, follow_redirects=False) as client:
        yield PageClient(runner=runner, services=working, client=client)


@pytest.fixture
def admin(site: PageClient) -> PageClient:
    """A browser in which an administrator of the tenant is signed in."""
    site.sign_in(site.key(Role.ADMIN, name="the administrator"))
    return site
