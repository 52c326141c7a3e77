"""Create and change syncs; every answer is validated against the schema of the product's page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from httpx2 import Response
from sqlalchemy import update

from tests.server.dialects.page_schema import PageSchema
from tests.server.dialects.tenant_client import TenantClient
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import Runner
from towline_server.db.clock import database_now
from towline_server.projects.domain import Project
from towline_server.runs.firing import Schedules
from towline_server.runs.schedule_tables import ScheduleRow

SCHEMA = PageSchema("syncs")
BASE = "/api/v1/syncs"

Found = Mapping[str, Any]


@dataclass
class SyncsClient:
    """One caller's client of a tenant's syncs, and the worker of its runs."""

    api: TenantClient
    runner: Runner
    project: Project
    key: str

    @property
    def tenant(self) -> GitTenant:
        return self.api.tenant

    def as_key(self, key: str) -> SyncsClient:
        """The same for another caller."""
        return SyncsClient(self.api, self.runner, self.project, key)

    def send(self, method: str, path: str = "", **options: Any) -> Response:
        headers = {"X-API-Key": self.key, **options.pop("headers", {})}
        return self.api.client.request(method, BASE + path, headers=headers, **options)

    # --- requests and their expected answers ------------------------------------------------------

    def ask(
        self, schema: str, method: str, path: str = "", status: int = 200, **options: Any
    ) -> Found:
        answer = self.send(method, path, **options)
        assert answer.status_code == status, answer.text
        SCHEMA.check(schema, answer.json())
        found: Found = answer.json()
        return found

    def refused(
        self, status: int, method: str, path: str = "", **options: Any
    ) -> list[tuple[list[str | int], str]]:
        """Where a request is wrong, and why."""
        answer = self.ask("refusal", method, path, status, **options)
        return [(each["loc"], each["msg"]) for each in answer["detail"]]

    def refused_fields(self, **body: Any) -> list[list[str | int]]:
        """What is wrong with a sync that cannot be created."""
        return [loc for loc, _ in self.refused(422, "POST", json=self.body(**body))]

    def body(self, **fields: Any) -> dict[str, Any]:
        return {"connectionId": str(self.tenant.connection_id), "name": "Daily rules", **fields}

    def create(self, **fields: Any) -> Found:
        return self.ask("sync", "POST", status=201, json=self.body(**fields))

    def get(self, sync: Found) -> Found:
        return self.ask("sync", "GET", f"/{sync['id']}")

    def patch(self, sync: Found, **changes: Any) -> Found:
        return self.ask("sync", "PATCH", f"/{sync['id']}", json=changes)

    def page(self, **query: Any) -> Found:
        return self.ask("syncs", "GET", params=query)

    def names(self, **query: Any) -> list[str]:
        return [sync["name"] for sync in self.page(**query)["syncs"]]

    # --- runs ---------------------------------------------------------------------------------

    def trigger(self, sync: Found, **body: Any) -> Found:
        return self.ask("run", "POST", f"/{sync['id']}/trigger", json=body)

    def run(self, run: Found) -> Found:
        return self.ask("run", "GET", f"/runs/{run['id']}")

    def runs(self, sync: Found, **query: Any) -> Found:
        return self.ask("runs", "GET", f"/{sync['id']}/runs", params=query)

    def work(self) -> None:
        """Execute every run that waits."""
        self.runner.work()

    def done(self, sync: Found, **body: Any) -> Found:
        """A run of a sync once it has ended."""
        run = self.trigger(sync, **body)
        self.work()
        return self.run(run)

    def due_at(self, sync: Found) -> datetime | None:
        """When a sync's schedule fires next."""
        with self.tenant.database.reading() as session:
            return session.get_one(ScheduleRow, UUID(sync["id"])).due_at

    def fire(self) -> None:
        """Fire every schedule, as if its time had come."""
        with self.tenant.database.writing() as session:
            now = database_now(session)
            session.execute(
                update(ScheduleRow).where(ScheduleRow.due_at.is_not(None)).values(due_at=now)
            )
        Schedules(self.tenant.database, self.runner.runs).fire()
