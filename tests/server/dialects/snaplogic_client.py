"""Requests to the SnapLogic dialect, their answers validated against its page."""

from __future__ import annotations

from typing import Any

from fastapi.testclient import TestClient

from tests.server.dialects.page_schema import PageSchema
from tests.server.dialects.shared_project import SharedProject, login
from towline_server.auth.roles import Role
from towline_server.projects.domain import Binding
from towline_server.projects.service import Projects

SCHEMA = PageSchema("snaplogic")
ROOT = "/api/1/rest/public/project"
PATH = "acme/space/project"
READER, WRITER, ADMIN = (login(f"{role}@acme.example") for role in Role)


def refused(answer: Any, status: int) -> list[str]:
    """The messages of a refusal with this status."""
    assert answer.status_code == status, answer.text
    SCHEMA.check("error", answer.json())
    assert answer.json()["http_status_code"] == status
    return [each["message"] for each in answer.json()["response_map"]["error_list"]]


def post(client: TestClient, operation: str, who: dict[str, str] = WRITER, **body: Any) -> Any:
    return client.post(f"{ROOT}/{operation}/{PATH}", headers=who, json=body)


def pulled(client: TestClient, **body: Any) -> dict[str, Any]:
    """The map of a pull."""
    return _map_of(post(client, "pull", **body))


def paths(found: dict[str, Any]) -> dict[str, list[str]]:
    """The paths in each list that is not empty; nothing if there was nothing to do."""
    lists = ("overwritten", "updated", "created", "deleted", "ignored")
    return {name: [each["path"] for each in found[name]] for name in lists if found.get(name)}


def done(answer: Any) -> dict[str, list[str]]:
    """The same of an answer."""
    return paths(_map_of(answer))


def _map_of(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["response_map"]
    definition = "updated" if found["status"] == "updated" else "up_to_date"
    SCHEMA.check(definition, answer.json())
    return found


def pull(client: TestClient) -> dict[str, list[str]]:
    return done(post(client, "pull"))


def binding(shared: SharedProject) -> Binding | None:
    with shared.services.database.reading() as session:
        project = Projects(session).get(shared.project.id)
    assert project is not None
    return project.binding
