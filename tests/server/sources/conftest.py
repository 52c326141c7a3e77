"""A control plane whose runs fetch from sources, in a child process as a server's do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.dialects.tenant_client import client_of
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import Runner
from tests.server.sources.list_server import ListServer, list_server
from tests.server.sources.pulling import Puller
from tests.server.sources.reading import LOOPBACK
from towline.remotes.url import Scheme
from towline.testing.git_server import GitServer
from towline_server.runs.fetch_process import FetchProcess
from towline_server.services import Services
from towline_server.settings import Settings


@pytest.fixture
def server() -> Iterator[ListServer]:
    """A list over HTTP."""
    with list_server() as served:
        yield served


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings that allow every source."""
    schemes = frozenset({Scheme.HTTP, Scheme.SFTP, Scheme.POSTGRESQL})
    return settings.model_copy(update={"remote_schemes": schemes})


@pytest.fixture
def puller(services: Services, git_server: GitServer, tmp_path: Path) -> Iterator[Puller]:
    """A tenant's administrator."""
    tenant = GitTenant(services.database, git_server, tmp_path, sealer=services.sealer, name="acme")
    runner = Runner(tenant, FetchProcess(networks=LOOPBACK))
    with client_of(services, runner, runner.runs) as client:
        yield Puller(client, services, runner)
