"""The whole of Codat: every operation, status, field, word and null of its page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from tests.control_plane import cheap_passwords
from tests.databases import open_database
from tests.server.dialects.page_schema import PageSchema
from tests.server.dialects.pages.product_client import Answers, ProductClient
from tests.server.dialects.tenant_client import TenantClient, basic, client_of
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import CallingSignal, Gate, Runner
from towline.options import OnConflict
from towline.testing.git_server import Answers as Trouble
from towline_server.auth.roles import Role
from towline_server.projects.domain import Project, PullSettings
from towline_server.runs.domain import Lease
from towline_server.services import assemble

pytestmark = pytest.mark.slow

BASE = "/companies"
COMPANY = f"{BASE}/{{companyId}}"
UNKNOWN = {401: "error", 404: "error"}
ANSWERS: Answers = {
    f"GET {BASE}": {200: "companies", 400: "error", 401: "error", 500: "error"},
    f"GET {COMPANY}": {200: "company", **UNKNOWN},
    f"GET {COMPANY}/connections": {200: "connections", 400: "error", **UNKNOWN},
    f"GET {COMPANY}/connections/{{connectionId}}": {200: "connection", **UNKNOWN},
    f"GET {COMPANY}/dataStatus": {200: "data-status", **UNKNOWN},
    f"POST {COMPANY}/data/all": {204: None, 403: "error", **UNKNOWN},
    f"POST {COMPANY}/data/queue/{{dataType}}": {
        200: "operation",
        400: "error",
        403: "error",
        **UNKNOWN,
    },
    f"GET {COMPANY}/data/history": {200: "operations", 400: "error", **UNKNOWN},
    f"GET {COMPANY}/data/history/{{datasetId}}": {200: "operation", **UNKNOWN},
}
IMPOSSIBLE = {
    "connections._links.next: present": "a company has one connection",
    "error.validation.warnings[]: present": "what is not refused is not remarked upon",
    'data-status.*.currentStatus: "NotSupported"': "the list has the company's own kinds alone",
    'operations.results[].status: "Initial"': "handed over by the time that anybody looks",
} | {
    f"{where}.{field}: absent": "it is null where there is nothing to say"
    for where in ("operation", "operations.results[]")
    for field in ("errorMessage", "statusDescription")
}
WHILE_RUNNING = {
    "Fetching",
    "MapQueued",
    "Mapping",
    "ValidationQueued",
    "Validating",
    "ProcessingQueued",
    "Processing",
}


@pytest.fixture
def product(queueing_api: TenantClient) -> ProductClient:
    made = ProductClient(queueing_api.client, PageSchema("codat"), "Codat", ANSWERS)
    made.headers = basic(queueing_api.key(Role.WRITER))
    return made


@dataclass
class Company:
    """One company's operations, each looked at in every answer that has it."""

    product: ProductClient
    runner: Runner
    project: Project

    @property
    def url(self) -> str:
        return f"{BASE}/{self.project.id}"

    def queue(self, kind: str = "file") -> str:
        made: str = self.product.ask("POST", f"{self.url}/data/queue/{kind}")["id"]
        return made

    def look(self, operation_id: str) -> str:
        """The status of an operation: by itself, in the history, and of its kind."""
        found = self.product.ask("GET", f"{self.url}/data/history/{operation_id}")
        query = f"id={operation_id} && status={found['status']}"
        page = self.product.ask("GET", f"{self.url}/data/history", params={"query": query})
        assert page["results"] == [found]
        of_kind = self.product.ask("GET", f"{self.url}/dataStatus").get(found["dataType"])
        assert of_kind is None or of_kind["currentStatus"] == found["status"]
        status: str = found["status"]
        return status

    def ends(self, status: str, kind: str = "file") -> None:
        operation_id = self.queue(kind)
        self.runner.work()
        assert self.look(operation_id) == status


def test_the_whole_dialect(
    product: ProductClient,
    queueing_api: TenantClient,
    tenant: GitTenant,
    runner: Runner,
    tmp_path: Path,
):
    tenant.commit(a=b"1")
    company = Company(product, runner, tenant.project())
    assert set(product.ask("GET", f"{company.url}/dataStatus")) == {"rule", "task", "file"}
    _running(company)
    _failing(company, tenant)
    _stopped(company, tenant)
    _pages(product, company.url)
    _refusals(product, queueing_api, company)
    empty = open_database(f"sqlite:///{tmp_path}/empty.sqlite")
    broken = assemble(queueing_api.services.settings, empty, cheap_passwords())
    with client_of(broken, runner, runner.runs) as client:
        product.ask("GET", BASE, 500, client=client)
    empty.close()
    assert product.lacking(IMPOSSIBLE) == []


def _running(company: Company) -> None:
    """Every status on the way to a good end."""
    asked = company.queue()
    assert company.look(asked) == "Queued"
    seen: set[str] = set()
    before = company.runner.changes
    company.runner.changes = CallingSignal(lambda: seen.add(company.look(asked)))
    company.runner.work()
    company.runner.changes = before
    assert seen == {*WHILE_RUNNING, "Complete"}


def _failing(company: Company, tenant: GitTenant) -> None:
    """What the company, its repository and its remote can be at fault of."""
    company.ends("NotSupported", "invoices")
    Company(company.product, company.runner, tenant.project(bound=False)).ends("PrerequisiteNotMet")
    for answer, status in ((401, "Auth"), (403, "Permissions"), (429, "RateLimit"), (500, "Fetch")):
        tenant.commit(a=str(answer).encode())
        tenant.server.trouble = Trouble(status=answer)
        company.ends(f"{status}Error")
    tenant.server.trouble = None
    tenant.repository.commit({".git/config": b"1"})
    company.ends("MapError")
    tenant.commit(a=b"theirs")
    tenant.edit(company.project, "a", b"ours")
    company.ends("ValidationError")


def _stopped(company: Company, tenant: GitTenant) -> None:
    """Cancelled, edited all the time, or without any executor left."""
    runner = company.runner
    cancelled = company.queue()
    runner.runs.cancel(UUID(cancelled), reason="not now")
    assert company.look(cancelled) == "Cancelled"
    restless = Company(
        company.product,
        runner,
        tenant.project(settings=PullSettings(on_conflict=OnConflict.THEIRS)),
    )
    asked = restless.queue()
    runner.worker(gate=_Editing(tenant, restless.project)).execute(UUID(asked))
    assert restless.look(asked) == "ProcessingError"
    lost = company.queue()
    for number in range(4):
        assert isinstance(runner.leases.take(runner.native.submitted[-1], str(number)), Lease)
        runner.lose()
    assert company.look(lost) == "InternalError"
    runner.native.submitted.clear()


class _Editing(Gate):
    """Edits what is about to be written, each time."""

    def __init__(self, tenant: GitTenant, project: Project) -> None:
        super().__init__("applying")
        self._tenant, self._project, self._times = tenant, project, 0

    def __call__(self, _run_id: UUID, boundary: str) -> None:
        if boundary == self.name:
            self._times += 1
            self._tenant.edit(self._project, "a", str(self._times).encode())


def _pages(product: ProductClient, url: str) -> None:
    product.ask("POST", f"{url}/data/all", 204)
    for path in (BASE, f"{url}/connections", f"{url}/data/history"):
        for part in ({}, {"page": 1, "pageSize": 1}, {"page": 2, "pageSize": 1}):
            product.ask("GET", path, params=part)


def _refusals(product: ProductClient, api: TenantClient, company: Company) -> None:
    url = company.url
    [known] = product.ask("GET", f"{url}/data/history", params={"pageSize": 1})["results"]
    reader = basic(api.key(Role.READER))
    [connection] = product.ask("GET", f"{url}/connections")["results"]
    operations = [
        ("GET", ""),
        ("GET", "/connections"),
        ("GET", f"/connections/{connection['id']}"),
        ("GET", "/dataStatus"),
        ("POST", "/data/all"),
        ("POST", "/data/queue/task"),
        ("GET", "/data/history"),
        ("GET", f"/data/history/{known['id']}"),
    ]
    for method, path in operations:
        wrong = basic("twl_wrong")
        product.ask(method, url + path, 401, headers=wrong)
        product.ask(method, f"{BASE}/{uuid4()}{path}", 404)
        product.ask(method, f"{BASE}/none{path}", 404)
        if method == "POST":
            product.ask(method, url + path, 403, headers=reader)
    for path in ("", f"/connections/{connection['id']}"):
        product.ask("GET", url + path)
    product.ask("GET", f"{url}/connections/{uuid4()}", 404)
    for path in ("/connections", "/data/history"):
        product.ask("GET", url + path, 400, params={"page": 0})
    product.ask("POST", f"{url}/data/queue/task", 400, params={"connectionId": "x"})
    product.ask("GET", BASE, 401, headers=basic("twl_wrong"))
    product.ask("GET", BASE, 400, params={"query": "name"})
    # All were just asked for: one of a kind is in progress.
    of_kind = product.ask("POST", f"{url}/data/queue/file", 400)
    assert of_kind["canBeRetried"] == "Yes"
