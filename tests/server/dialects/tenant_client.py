"""A client of the control plane, and the API keys of one tenant."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from fastapi.testclient import TestClient

from tests.control_plane import new_key
from tests.server.api.client import RunServices
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import Runner
from towline_server.app import create_app
from towline_server.auth.roles import Role
from towline_server.projects.domain import Project
from towline_server.runs.service import Runs
from towline_server.services import Services


def client_of(services: Services, runner: Runner, runs: Runs, **settings: Any) -> TestClient:
    """A client of the control plane over these runs, and with these settings set otherwise."""
    services = services.with_runtime(replace(RunServices.of(runner), runs=runs))
    if settings:
        services = replace(services, settings=services.settings.model_copy(update=settings))
    app = create_app(services.settings, services=services)
    return TestClient(app, raise_server_exceptions=False)


@dataclass
class TenantClient:
    """A client, and the tenant whose keys it sends."""

    client: TestClient
    tenant: GitTenant
    services: Services

    def key(
        self,
        role: Role | None = None,
        project: Project | None = None,
        tenant: GitTenant | None = None,
    ) -> str:
        """An API key of the tenant: with a role on the project, or on all of them."""
        return new_key(self.services.database, (tenant or self.tenant).tenant_id, role, project)

    def owner_of(self, key: str) -> UUID:
        """Return the id of the account that a key belongs to."""
        with self.services.database.reading() as session:
            found = self.services.identities(session).by_key(key)
        assert found is not None
        return found.id


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def basic(key: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(key.encode()).decode()}"}
