"""A tenant's queue that is full: 429 with Retry-After, in the envelope of each API."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from tests.server.dialects.page_schema import PageSchema
from tests.server.dialects.shared_project import SharedProject, login
from tests.server.dialects.tenant_client import basic, bearer
from tests.server.runs.git_tenant import GitTenant
from towline_server.auth.roles import Role
from towline_server.dialects.syncs.tables import SyncRow
from towline_server.errors import QueueFull
from towline_server.runs.domain import BackendName
from towline_server.runs.service import Runs

NATIVE = "/api/towline/v1"


class Full:
    """A client of a tenant of which two runs wait, as many as may."""

    def __init__(self, shared: SharedProject, runs: Runs, client: TestClient) -> None:
        self.shared, self.runs, self.client = shared, runs, client
        self.key = shared.key(Role.WRITER)
        self.project = shared.project.id
        self.connection = shared.tenant.connection_id
        self.ended = shared.inline.request(self.project).id
        other = shared.tenant.project()
        self.waiting = [runs.request(other.id).id for _ in range(2)]


@pytest.fixture
def full(shared: SharedProject) -> Iterator[Full]:
    shared.commit({"a": b"1"})
    runs = Runs(shared.services.database, shared.runner.backends, most_waiting=2)
    with shared.over(runs, wait_seconds=0) as client:
        yield Full(shared, runs, client)


Request: TypeAlias = Callable[[Full], tuple[str, Mapping[str, str], Any]]

REQUESTS: Mapping[str, tuple[str, str, Request]] = {
    "native, a run": (
        "native",
        "",
        lambda full: (f"{NATIVE}/projects/{full.project}/runs", bearer(full.key), {}),
    ),
    "native, a retry": (
        "native",
        "",
        lambda full: (f"{NATIVE}/runs/{full.ended}/retry", bearer(full.key), None),
    ),
    "SnapLogic": (
        "snaplogic",
        "error",
        lambda full: (
            f"/api/1/rest/public/project/pull/{full.shared.project.path}",
            login(full.shared.emails[Role.WRITER]),
            {},
        ),
    ),
    "Nected": (
        "nected",
        "error",
        lambda full: (
            "/dev/remote/pull",
            {"Nected-API-Key": full.key, "Nected-Branch": "main"},
            None,
        ),
    ),
    "Codat": (
        "codat",
        "error",
        lambda full: (f"/companies/{full.project}/data/all", basic(f"{full.key}:"), None),
    ),
    "Codat, a kind": (
        "codat",
        "error",
        lambda full: (f"/companies/{full.project}/data/queue/file", basic(f"{full.key}:"), None),
    ),
    "Syncs, on creation": (
        "syncs",
        "refusal",
        lambda full: (
            "/api/v1/syncs",
            {"X-API-Key": full.key},
            {
                "connectionId": str(full.connection),
                "name": "all",
                "destinationConfig": {"project": str(full.project)},
                "status": "active",
                "triggerMode": "on_create",
            },
        ),
    ),
    "Connections": (
        "connections",
        "problem",
        lambda full: (
            f"/v2/integrations/connections/{full.connection}/sync",
            bearer(full.key),
            None,
        ),
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_full_queue_is_429_with_retry_after(full: Full, name: str):
    page, definition, of = REQUESTS[name]
    url, headers, body = of(full)
    answer = full.client.post(url, headers=headers, json=body)
    assert answer.status_code == 429, answer.text
    assert int(answer.headers["retry-after"]) > 0
    assert "waiting already" in answer.text
    if page == "native":
        assert answer.json()["code"] == "queue_full"
    else:
        PageSchema(page).check(definition, answer.json())
    with full.shared.services.database.reading() as session:
        assert session.scalars(select(SyncRow)).all() == []


def test_a_request_that_was_made_before_is_answered(full: Full):
    headers = {**bearer(full.key), "Idempotency-Key": "once"}
    url = f"{NATIVE}/projects/{full.project}/runs"
    full.runs.cancel(full.waiting[0])
    first = full.client.post(url, headers=headers, json={})
    again = full.client.post(url, headers=headers, json={})
    assert (first.status_code, again.json()) == (202, first.json())


def test_the_queue_of_another_tenant_or_executor_has_room(full: Full, stranger: GitTenant):
    stranger.commit(a=b"1")
    project: UUID = stranger.project().id
    full.runs.request(project)
    full.runs.request(full.project, backend=BackendName.EXTERNAL)
    with pytest.raises(QueueFull):
        full.runs.request(full.project)
