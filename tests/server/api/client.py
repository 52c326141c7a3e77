"""A client of the native API: the application in this process over a real Git server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

from fastapi.testclient import TestClient
from httpx2 import Response

from tests.control_plane import new_key
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import Runner
from towline_server.auth.roles import Role
from towline_server.projects.domain import Project
from towline_server.runs.event_followers import EventFollowers
from towline_server.runs.external import ExternalWork
from towline_server.runs.followers import Followers
from towline_server.runs.plans import Plans
from towline_server.runs.runtime import Runtime
from towline_server.runs.service import Runs
from towline_server.services import Services

V1 = "/api/towline/v1"


@dataclass(frozen=True)
class RunServices:
    """The services' runs, none of which is executed unless a test says so."""

    runs: Runs
    external: ExternalWork
    plans: Plans
    followers: Followers
    event_followers: EventFollowers

    @classmethod
    def of(cls, runner: Runner) -> Runtime:
        database = runner.tenant.database
        plans = Plans(database, runner.repositories, runner.fetches)
        followers = Followers(database, runner.changes)
        of_events = EventFollowers(database, runner.changes)
        return cast(Runtime, cls(runner.runs, runner.external, plans, followers, of_events))

    def stalled(self) -> list[str]:
        return []


@dataclass
class ApiClient:
    """A tenant with a project and a caller of each role, and a client."""

    runner: Runner
    services: Services
    client: TestClient
    project: Project = field(init=False)
    keys: dict[Role | None, str] = field(init=False)
    """API keys by their role on the project alone; that of None has no role at all."""
    tenant_keys: dict[Role, str] = field(init=False)
    """API keys by their role on the whole tenant."""

    def __post_init__(self) -> None:
        self.project = self.tenant.project()
        whose = (self.services.database, self.tenant.tenant_id)
        self.keys = {role: new_key(*whose, role, self.project) for role in (None, *Role)}
        self.tenant_keys = {role: new_key(*whose, role) for role in Role}

    @property
    def tenant(self) -> GitTenant:
        return self.runner.tenant

    @property
    def url(self) -> str:
        """The project's address."""
        return f"{V1}/projects/{self.project.id}"

    def ask(
        self, method: str, url: str, *, key: str | None = None, headers: Any = None, **rest: Any
    ) -> Response:
        """Send a request, as the project's administrator if no key is given."""
        given = {"X-API-Key": key or self.keys[Role.ADMIN], **(headers or {})}
        return self.client.request(method, url, headers=given, **rest)

    def get(self, url: str, **rest: Any) -> Any:
        """The JSON of an answer that must be good."""
        answer = self.ask("GET", url, **rest)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def pull(self, **body: Any) -> dict[str, Any]:
        """Request a run, execute it, and return how it ended."""
        asked = self.ask("POST", f"{self.url}/runs", json=body)
        assert asked.status_code == 202, asked.text
        self.runner.worker().execute(UUID(asked.json()["id"]))
        ended: dict[str, Any] = self.get(f"{V1}/runs/{asked.json()['id']}")
        return ended

    def put(self, path: str, content: bytes, **rest: Any) -> Response:
        return self.ask("PUT", f"{self.url}/content/{path}", content=content, **rest)


def code_of(answer: Response) -> tuple[int, str]:
    """The status and the error code of a refusal."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["code"]
