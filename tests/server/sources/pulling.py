"""Pulls from a source through the APIs of the control plane."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from fastapi.testclient import TestClient

from tests.control_plane import new_key
from tests.server.runs.runner import Runner
from towline_server.auth.roles import Role
from towline_server.services import Services

V1 = "/api/towline/v1"
SYNCS = "/api/v1/syncs"
KINDS = [{"name": "rule", "globs": ["**"]}]


@dataclass
class Puller:
    """An administrator of a tenant; runs are executed where they are asked for."""

    client: TestClient
    services: Services
    runner: Runner
    key: str = field(init=False)
    project: str = ""
    """The last project that was made."""

    def __post_init__(self) -> None:
        tenant_id = self.runner.tenant.tenant_id
        self.key = new_key(self.services.database, tenant_id, Role.ADMIN)

    def ask(self, method: str, url: str, status: int = 200, body: Any = None) -> Any:
        """Send a request, and return the answer, which must have a status."""
        answer = self.client.request(method, url, headers={"X-API-Key": self.key}, json=body)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    def bind(self, **connection: Any) -> str:
        """Make a project over a new connection, and return the connection's id."""
        made: str = self.ask("POST", f"{V1}/connections", 201, connection)["id"]
        body = {
            "path": f"acme/space/{uuid4().hex}",
            "kinds": KINDS,
            "binding": {"connection_id": made},
        }
        self.project = f"{V1}/projects/{self.ask('POST', f'{V1}/projects', 201, body)['id']}"
        return made

    def pull(self, **body: Any) -> Any:
        """Execute a run of the project."""
        asked = self.ask("POST", f"{self.project}/runs", 202, body)
        self.runner.worker().execute(UUID(asked["id"]))
        return self.ask("GET", f"{V1}/runs/{asked['id']}")

    def pull_by_sync(self, connection: str) -> Any:
        """Execute a run of a new sync of a connection, and return it as Syncs shows it."""
        body = {"connectionId": connection, "name": "rules", "status": "active"}
        sync = self.ask("POST", SYNCS, 201, body)
        asked = self.ask("POST", f"{SYNCS}/{sync['id']}/trigger", 200, {})
        self.runner.work()
        run = self.ask("GET", f"{SYNCS}/runs/{asked['id']}")
        return {"providerKey": sync["providerKey"], **run}

    def sync_changes(self, connection: str, provider: str, change: Callable[[], None]) -> None:
        """Pull by a sync, and again what was changed since; then there is nothing to pull."""
        first = self.pull_by_sync(connection)
        assert (first["providerKey"], first["status"]) == (provider, "succeeded")
        change()
        again = self.pull_by_sync(connection)
        assert (again["status"], again["resultClass"]) == ("succeeded", "success")
        assert self.pull_by_sync(connection)["resultClass"] == "no_change"

    def contents(self) -> dict[str, bytes]:
        """What the project has."""
        project = self.runner.repositories.project(UUID(self.project[-36:]))
        return self.runner.tenant.contents(project)

    def edit(self, path: str, content: bytes) -> None:
        """Change an asset here."""
        headers = {"X-API-Key": self.key}
        answer = self.client.put(f"{self.project}/content/{path}", headers=headers, content=content)
        assert answer.is_success, answer.text
