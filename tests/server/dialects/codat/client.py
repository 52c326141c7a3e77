"""A client of these pages, which holds every answer against the schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx2

from tests.server.dialects.page_schema import PageSchema
from tests.server.dialects.tenant_client import TenantClient, basic
from towline_server.projects.domain import Project

SCHEMA = PageSchema("codat")
COMPLETE = {"status": "Complete", "isCompleted": True, "isErrored": False, "progress": 100}


@dataclass
class Codat:
    """One key's way to one company."""

    api: TenantClient
    project: Project
    key: str

    def ask(self, method: str, path: str, **query: Any) -> httpx2.Response:
        """The answer to a request below the company."""
        url = f"/companies/{self.project.id}{path}"
        answer: httpx2.Response = self.api.client.request(
            method, url, params=query, headers=basic(self.key)
        )
        if answer.status_code >= 400:
            SCHEMA.check("error", answer.json())
            assert answer.json()["statusCode"] == answer.status_code
        return answer

    def pull_all(self) -> None:
        answer = self.ask("POST", "/data/all")
        assert (answer.status_code, answer.content) == (204, b"")

    def queue(self, kind: str, **query: Any) -> dict[str, Any]:
        return self._seen("operation", self.ask("POST", f"/data/queue/{kind}", **query))

    def operation(self, operation_id: str) -> dict[str, Any]:
        return self._seen("operation", self.ask("GET", f"/data/history/{operation_id}"))

    def history(self, **query: Any) -> dict[str, Any]:
        return self._seen("operations", self.ask("GET", "/data/history", **query))

    def data_status(self) -> dict[str, Any]:
        return self._seen("data-status", self.ask("GET", "/dataStatus"))

    def connections(self, **query: Any) -> dict[str, Any]:
        return self._seen("connections", self.ask("GET", "/connections", **query))

    def _seen(self, schema: str, answer: httpx2.Response) -> dict[str, Any]:
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        SCHEMA.check(schema, found)
        return found
