"""Whole dialects, on each engine."""

from __future__ import annotations

import pytest

from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import Runner
from tests.server.runs.stepped_orchestrator import SteppedOrchestrator
from towline_server.runs.domain import BackendName


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
def sqlite_url(request: pytest.FixtureRequest, sqlite_url: str) -> str:
    """The database of the settings: each engine in turn."""
    if request.param == "sqlite":
        return sqlite_url
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def runner(tenant: GitTenant) -> Runner:
    """Runs of every backend, which wait until a test executes them."""
    names = (BackendName.TEMPORAL, BackendName.PREFECT)
    return Runner(tenant, orchestrators=[SteppedOrchestrator(name) for name in names])
