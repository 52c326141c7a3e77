"""The whole of Connections: every operation, status, field, word and null of its page."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.server.dialects.page_schema import PageSchema
from tests.server.dialects.pages.product_client import Answers, ProductClient
from tests.server.dialects.tenant_client import TenantClient, bearer
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import Runner
from towline.kinds import Kind, Kinds
from towline_server.auth.roles import Role
from towline_server.runs.domain import Trigger, TriggeredBy

pytestmark = pytest.mark.slow

BASE = "/v2/integrations"
SYNC = f"{BASE}/syncs"
ANSWERS: Answers = {
    f"POST {BASE}/connections/{{connection_id}}/sync": {
        200: "syncs",
        401: "problem",
        403: "problem",
        404: "problem",
    },
    f"GET {BASE}/connections/{{connection_id}}/syncs": {
        200: "syncs",
        401: "problem",
        404: "problem",
        422: "problem",
    },
    f"GET {SYNC}/{{sync_id}}": {200: "sync", 401: "problem", 404: "problem"},
    f"POST {SYNC}/{{sync_id}}/cancel": {
        200: "sync",
        401: "problem",
        403: "problem",
        404: "problem",
    },
}
NO_FILES = "this engine pulls neither single entities nor single files"
IMPOSSIBLE = {
    f"{where}.{field}: string": NO_FILES
    for where in ("sync", "syncs[]")
    for field in ("entity_id", "file_id")
} | {'sync.status: "scheduled"': "handed over by the time that anybody looks"}
PHASES = ("fetching", "comparing", "validating", "applying")
FILES = Kinds((Kind(name="file", globs=("**",)),))


@pytest.fixture
def product(queueing_api: TenantClient) -> ProductClient:
    made = ProductClient(
        queueing_api.client,
        PageSchema("connections"),
        "Connections",
        ANSWERS,
        errors_are="application/problem+json",
    )
    made.headers = bearer(queueing_api.key(Role.WRITER))
    return made


def test_the_whole_dialect(
    product: ProductClient, queueing_api: TenantClient, tenant: GitTenant, runner: Runner
):
    url = f"{BASE}/connections/{tenant.connection_id}"
    tenant.commit(a=b"1")
    project = tenant.project(name="a", kinds=FILES)  # the first behind its connection

    def look(sync: Any, status: str) -> None:
        """A sync has this status, by itself and in the list."""
        assert product.ask("GET", f"{SYNC}/{sync['id']}")["status"] == status
        listed = product.ask("GET", f"{url}/syncs", params={"limit": 100})
        assert [each["status"] for each in listed if each["id"] == sync["id"]] == [status]

    [first] = product.ask("POST", f"{url}/sync")
    assert (first["status"], first["is_initial_sync"]) == ("scheduled", True)
    look(first, "queued")
    run_id = runner.native.submitted[0]
    for phase in PHASES[:-1]:
        with runner.paused(run_id, phase):
            look(first, "running")
            runner.lose()
            look(first, "pending_retry")
        run_id = runner.native.submitted[-1]
    with runner.paused(run_id, PHASES[-1]):
        look(first, "running")
    look(first, "complete")

    runner.native.submitted.clear()
    [unsynced] = runner.runs.request_kinds(
        project.id, ["file"], trigger=Trigger(by=TriggeredBy.SCHEDULED, schedule_id=uuid4())
    )
    runner.runs.request(project.id)  # of every kind: no sync
    alone = runner.runs.request_only_one(tenant.project(name="b", kinds=FILES).id, "file")
    look({"id": str(unsynced.id)}, "queued")
    tenant.commit(a=b"2")
    runner.work()
    look({"id": str(unsynced.id)}, "complete")
    look({"id": str(alone.id)}, "complete")

    gone = tenant.project(name="c", ref="heads/none", kinds=FILES)
    [failed] = runner.runs.request_kinds(gone.id, ["file"])
    runner.work()
    look({"id": str(failed.id)}, "failed")
    waiting = product.ask("POST", f"{url}/sync")[0]
    assert product.ask("POST", f"{SYNC}/{waiting['id']}/cancel")["status"] == "cancelled"
    look(waiting, "cancelled")
    assert len(product.ask("GET", f"{url}/syncs", params={"limit": 1, "offset": 1})) == 1

    _refusals(product, queueing_api, url, UUID(first["id"]))
    for sync in _cancelled_at_every_phase(product, url, runner):
        look(sync, "cancelled")
    assert product.lacking(IMPOSSIBLE) == []


def _cancelled_at_every_phase(product: ProductClient, url: str, runner: Runner) -> list[Any]:
    """Syncs that were cancelled while they ran: the answer shows each phase."""
    found = []
    for phase in PHASES:
        runner.work()
        made = product.ask("POST", f"{url}/sync")[0]
        with runner.paused(UUID(made["id"]), phase):
            assert product.ask("POST", f"{SYNC}/{made['id']}/cancel")["status"] == "running"
        found.append(made)
    return found


def _refusals(product: ProductClient, api: TenantClient, url: str, sync_id: UUID) -> None:
    reader = bearer(api.key(Role.READER))
    operations = [
        ("POST", f"{url}/sync"),
        ("GET", f"{url}/syncs"),
        ("GET", f"{SYNC}/{sync_id}"),
        ("POST", f"{SYNC}/{sync_id}/cancel"),
    ]
    for method, path in operations:
        product.ask(method, path, 401, headers={"Authorization": "Bearer twl_wrong"})
        missing = path.replace(str(sync_id), str(uuid4()))
        missing = missing.replace(str(api.tenant.connection_id), str(uuid4()))
        product.ask(method, missing, 404)
        if method == "POST":
            product.ask(method, path, 403, headers=reader)
    for query in ({"limit": 0}, {"limit": 101}, {"limit": "x"}, {"offset": -1}):
        product.ask("GET", f"{url}/syncs", 422, params=query)
