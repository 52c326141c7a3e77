"""A runner of runs, and a project that was never pulled."""

from __future__ import annotations

import pytest

from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import Runner
from towline_server.projects.domain import Project


@pytest.fixture
def runner(tenant: GitTenant) -> Runner:
    """Runs of the tenant, which a test executes step by step."""
    return Runner(tenant)


@pytest.fixture
def project(tenant: GitTenant) -> Project:
    """A project of two assets, never pulled."""
    tenant.commit(a=b"1", b=b"1")
    return tenant.project()
