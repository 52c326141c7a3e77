"""The whole of Syncs: every operation, status, field, word and null of its page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, select

from tests.server.dialects.page_schema import PageSchema
from tests.server.dialects.pages.product_client import Answers, ProductClient
from tests.server.dialects.syncs.client import BASE, SyncsClient
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import Gate
from towline.kinds import Kind, Kinds
from towline.options import OnConflict
from towline.remotes.url import ALL_SCHEMES
from towline.testing.git_server import Answers as Trouble
from towline_server.auth.roles import Role
from towline_server.dialects.syncs.domain import ExecutionMode
from towline_server.projects.asset_tables import AssetRow
from towline_server.projects.connections import Connections
from towline_server.projects.domain import Project, Provider, PullSettings
from towline_server.projects.service import Projects
from towline_server.runs.domain import BackendName, Lease
from towline_server.runs.external import FAILURE_REASONS

pytestmark = pytest.mark.slow

ERRORS = dict.fromkeys((401, 404, 422), "refusal")
CHANGES = {**ERRORS, 403: "refusal"}
ANSWERS: Answers = {
    f"GET {BASE}": {200: "syncs", 401: "refusal", 422: "refusal"},
    f"POST {BASE}": {201: "sync", **dict.fromkeys((401, 403, 409, 422), "refusal")},
    f"GET {BASE}/{{sync_id}}": {200: "sync", **ERRORS},
    f"PATCH {BASE}/{{sync_id}}": {200: "sync", **CHANGES, 409: "refusal"},
    f"DELETE {BASE}/{{sync_id}}": {204: None, **CHANGES},
    f"POST {BASE}/{{sync_id}}/trigger": {200: "run", **CHANGES},
    f"GET {BASE}/{{sync_id}}/runs": {200: "runs", **ERRORS},
    f"GET {BASE}/runs/{{run_id}}": {200: "run", **ERRORS},
    f"POST {BASE}/runs/{{run_id}}/cancel": {200: "run", **CHANGES},
    f"POST {BASE}/runs/{{run_id}}/retry": {200: "run", **CHANGES, 409: "refusal"},
    f"GET {BASE}/providers/{{provider}}/catalog": {200: "catalog", **ERRORS},
}
ONE_RUN = ("run", "runs.runs[]")
IMPOSSIBLE = {
    'catalog.resources[].loadMode: "append_event"': "what a table contains if its owner says so",
    **{
        f'{where}.triggeredBy: "webhook"': "a push is the project's, no sync's" for where in ONE_RUN
    },
    "catalog.dynamicResources: false": "kinds are the projects' own",
    "catalog.resources[].defaultSelected: false": "a sync pulls every kind, unless it names some",
    "catalog.resources[].cursorField: null": "the changes of every kind may be appended",
    "catalog.resources[].dependsOn[]: present": "no kind needs another",
}
OTHER_STORAGE = {
    "sqlite": {'catalog.resources[].storageKind: "postgres"': "it is on SQLite"},
    "postgresql": {'catalog.resources[].storageKind: "sqlite"': "it is on PostgreSQL"},
}
EVERY = {"everySeconds": 60}


@pytest.fixture
def product(syncs: SyncsClient) -> ProductClient:
    made = ProductClient(syncs.api.client, PageSchema("syncs"), "Syncs", ANSWERS)
    syncs.key = syncs.api.key(Role.WRITER)
    made.headers = {"X-API-Key": syncs.key}
    return made


COUNTED = ("overwritten", "updated", "created", "deleted", "ignored", "conflicts")
"""The lists of a report whose lengths the list of runs shows."""


@dataclass
class SyncRuns:
    """Syncs and their runs, each looked at in every answer that has it."""

    product: ProductClient
    syncs: SyncsClient

    def create(self, project: Project | None = None, **fields: Any) -> str:
        named = {"project": str((project or self.syncs.project).id)}
        body = self.syncs.body(**{"destinationConfig": named, **fields})
        made: str = self.product.ask("POST", BASE, 201, json=body)["id"]
        return made

    def trigger(self, sync_id: str, **body: Any) -> str:
        made: str = self.product.ask("POST", f"{BASE}/{sync_id}/trigger", json=body)["id"]
        return made

    def look(self, run_id: str) -> Any:
        """A run, by itself and in the list of its sync."""
        found = self.product.ask("GET", f"{BASE}/runs/{run_id}")
        page = self.product.ask("GET", f"{BASE}/{found['syncId']}/runs", params={"limit": 100})
        counts = {name: len(found["summary"][name]) for name in COUNTED if found["summary"]}
        counts |= {
            name: found["summary"][name] for name in ("windows",) if name in found["summary"]
        }
        listed = [each for each in page["runs"] if each["id"] == run_id]
        assert listed == [{**found, "summary": counts}]
        return found

    def ends(self, sync_id: str, result: str, reason: str | None, **body: Any) -> str:
        """A run that ends so."""
        run_id = self.trigger(sync_id, **body)
        self.syncs.work()
        found = self.look(run_id)
        assert (found["resultClass"], found["resultReasonCode"]) == (result, reason)
        return run_id


def test_the_whole_dialect(product: ProductClient, syncs: SyncsClient):
    runs = SyncRuns(product, syncs)
    _definitions(runs)
    _orchestrated(runs)
    _good_ends(runs)
    _bad_ends(runs)
    _stops(runs)
    for sync in product.ask("GET", BASE, params={"limit": 100})["syncs"]:
        assert product.ask("GET", f"{BASE}/{sync['id']}") == sync
    product.ask("GET", BASE, params={"limit": 1})
    _catalogs(runs)
    _refusals(runs)
    engine = syncs.tenant.database.engine.dialect.name
    assert product.lacking(IMPOSSIBLE | OTHER_STORAGE[engine]) == []


HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA=="
SOURCES = {
    Provider.POSTGRES: ("postgresql://host/database", {"table": "rules"}),
    Provider.SFTP: ("sftp://host/folder", {"host_key": HOST_KEY}),
}
"""The addresses of providers that have none over HTTP."""


def _definitions(runs: SyncRuns) -> None:
    for status in ("draft", "active", "paused", "archived"):
        runs.create(status=status, freshnessSlaSeconds=0, name=status)
    for trigger in ("manual", "scheduled", "on_create"):
        runs.create(triggerMode=trigger, schedule=EVERY)
    runs.create(executionBackend="external", executionMode="fan_out_entity", entities=["rule"])
    runs.create(tableBindings=[{"entityKey": "rule", "cursorField": "at"}])
    runs.create(tableBindings=[{"entityKey": "rule", "loadMode": "append_event"}])
    tenant = runs.syncs.tenant
    for provider in Provider:
        url, config = SOURCES.get(provider, (f"{tenant.server.url}/x.git", {}))
        with tenant.database.writing() as session:
            connection = Connections(session, tenant.sealer, ALL_SCHEMES).create(
                tenant_id=tenant.tenant_id, url=url, provider=provider, config=config
            )
        runs.create(connectionId=str(connection.id), destinationConfig={})
    gone = runs.create()
    runs.product.ask("DELETE", f"{BASE}/{gone}", 204)


def _good_ends(runs: SyncRuns) -> None:
    syncs, sync = runs.syncs, runs.create(status="active")
    runs.ends(sync, "success", None, runMode="dry_run")
    runs.ends(sync, "success", None)
    runs.ends(sync, "no_change", None, runMode="full_refresh")
    for mode in ("fan_out_entity", "fan_out_window"):
        runs.ends(runs.create(executionMode=mode), "no_change", None)
    created = runs.create(status="active", triggerMode="on_create")
    scheduled = runs.create(status="active", triggerMode="scheduled", schedule=EVERY)
    syncs.fire()
    syncs.work()
    assert runs.product.ask("GET", f"{BASE}/{sync}/runs", params={"limit": 1})["hasNext"]
    for made in (scheduled, created):
        [run] = runs.product.ask("GET", f"{BASE}/{made}/runs")["runs"]
        runs.look(run["id"])
    tenant = syncs.tenant
    tenant.edit(syncs.project, "rules/a", b"ours")
    tenant.commit(rules__a=b"2", tasks__b=b"2")
    runs.ends(sync, "conflict", "unresolved_conflicts")
    runs.product.ask("PATCH", f"{BASE}/{sync}", json={"executionConfig": {"on_conflict": "skip"}})
    runs.ends(sync, "partial_success", None)
    tenant.server.trouble = Trouble(status=401)
    tenant.commit(rules__a=b"3", tasks__b=b"2")
    runs.ends(sync, "permanent_failure", "auth_error")


def _orchestrated(runs: SyncRuns) -> None:
    runner = runs.syncs.runner
    for backend in (BackendName.TEMPORAL, BackendName.PREFECT):
        for mode in ExecutionMode:
            project = runs.syncs.tenant.project()
            sync = runs.create(project, executionBackend=backend, executionMode=mode)
            run_id = runs.trigger(sync)
            runner.work_orchestrated()
            found = runs.look(run_id)
            assert (found["executionBackend"], found["resultClass"]) == (backend, "success")
            assert (found["backendRunUrl"] is None) is (mode is not ExecutionMode.SEQUENTIAL)


def _bad_ends(runs: SyncRuns) -> None:
    syncs, tenant = runs.syncs, runs.syncs.tenant
    sync = runs.create()
    for status, reason in ((429, "rate_limited"), (503, "remote_unreachable")):
        tenant.server.trouble = Trouble(status=status)
        runs.ends(sync, "retryable_failure", reason)
    tenant.server.trouble = None
    many = tenant.project(ref="heads/many")
    tenant.repository.commit({str(number): b"" for number in range(1001)}, ref="many")
    runs.ends(runs.create(many), "permanent_failure", "asset_limit_exceeded")
    none = runs.create(tenant.project(ref="heads/none"))
    runs.ends(none, "permanent_failure", "validation_failed")
    external = runs.create(executionBackend="external")
    for number, reason in enumerate(FAILURE_REASONS):
        run_id = runs.trigger(external)
        claim = syncs.runner.external.claim(str(number), tenant_id=tenant.tenant_id)
        assert claim is not None
        syncs.runner.external.fail(claim.run.id, claim.token, reason, "it failed")
        assert runs.look(run_id)["resultReasonCode"] == reason
    restless = tenant.project(settings=PullSettings(on_conflict=OnConflict.THEIRS))
    taken = runs.trigger(runs.create(restless))
    syncs.runner.native.submitted.clear()
    syncs.runner.worker(gate=_Changing(tenant, restless)).execute(UUID(taken))
    assert runs.look(taken)["resultReasonCode"] == "lease_lost"


class _Changing(Gate):
    """Changes the project whenever it is about to be written."""

    def __init__(self, tenant: GitTenant, project: Project) -> None:
        super().__init__("applying")
        self._tenant, self._project = tenant, project

    def __call__(self, _run_id: UUID, boundary: str) -> None:
        if boundary == self.name:
            with self._tenant.database.writing() as session:
                Projects(session).change(
                    self._project.id, settings=PullSettings(on_conflict=OnConflict.SKIP)
                )


def _stops(runs: SyncRuns) -> None:
    product, syncs, sync = runs.product, runs.syncs, runs.create()
    waiting = runs.trigger(sync)
    assert runs.look(waiting)["status"] == "pending"
    product.ask("POST", f"{BASE}/runs/{waiting}/retry", 409)
    product.ask("POST", f"{BASE}/runs/{waiting}/cancel", json={"reason": "not now"})
    assert runs.look(waiting)["status"] == "cancelled"
    again = product.ask("POST", f"{BASE}/runs/{waiting}/retry")
    assert (runs.look(again["id"])["triggeredBy"], again["attemptNumber"]) == ("retry", 2)
    syncs.runner.native.submitted.clear()
    with syncs.runner.paused(UUID(again["id"]), "comparing"):
        assert runs.look(again["id"])["status"] == "running"
        product.ask("POST", f"{BASE}/runs/{again['id']}/cancel", json={})
        assert runs.look(again["id"])["status"] == "cancelling"
    assert runs.look(again["id"])["resultReasonCode"] == "user_cancelled"
    lost = runs.trigger(sync)
    assert isinstance(syncs.runner.leases.take(UUID(lost), "lost"), Lease)
    syncs.runner.lose()
    following = runs.look(lost)["nextAttemptRunId"]
    assert runs.look(lost)["resultReasonCode"] == "heartbeat_timeout"
    assert runs.look(following)["triggeredBy"] == "auto_resume"
    syncs.work()


SIZES = {"xs": 10, "s": 100, "m": 1_000, "l": 10_000, "xl": 10_001}


def _catalogs(runs: SyncRuns) -> None:
    """Catalogs of every host; on one of them kinds of every size."""
    tenant = runs.syncs.tenant
    kinds = Kinds(tuple(Kind(name=size, globs=(f"{size}/*",)) for size in SIZES))
    project = tenant.project(kinds=kinds)
    tenant.edit(project, "xs/0", b"1")
    with tenant.database.writing() as session:
        of_project = select(AssetRow.__table__).where(AssetRow.project_id == project.id)
        one = dict(session.execute(of_project).mappings().one())
        rows = [
            {**one, "project_id": project.id, "kind": size, "id": f"{number:024x}"}
            | dict.fromkeys(("path", "path_key"), f"{size}/{number}")
            for number, size in enumerate(size for size, many in SIZES.items() for _ in range(many))
        ]
        session.execute(insert(AssetRow), rows[1:])
    for provider in Provider:
        found = runs.product.ask("GET", f"{BASE}/providers/{provider}/catalog")
        sizes = {each["entityKey"]: each["sizeClass"] for each in found["resources"]}
        if provider is Provider.GIT:
            assert {size: sizes[size] for size in SIZES} == {size: size for size in SIZES}


def _refusals(runs: SyncRuns) -> None:
    product, syncs = runs.product, runs.syncs
    sync = runs.create(slug="taken")
    run = runs.trigger(sync)
    archived = runs.create(status="archived")
    reader = {"X-API-Key": syncs.api.key(Role.READER)}
    body, change = syncs.body(), {"name": "x"}
    where = f"{BASE}/{sync}"
    operations: list[tuple[str, str, Any]] = [
        ("GET", where, None),
        ("PATCH", where, change),
        ("DELETE", where, None),
        ("POST", f"{where}/trigger", {}),
        ("GET", f"{where}/runs", None),
        ("GET", f"{BASE}/runs/{run}", None),
        ("POST", f"{BASE}/runs/{run}/cancel", {}),
        ("POST", f"{BASE}/runs/{run}/retry", {}),
    ]
    wrong = {"X-API-Key": "twl_wrong"}
    for method, url, given in operations:
        product.ask(method, url, 401, json=given, headers=wrong)
        if method != "GET":
            product.ask(method, url, 403, json=given, headers=reader)
        known = run if run in url else sync
        product.ask(method, url.replace(known, str(uuid4())), 404, json=given)
        product.ask(method, url.replace(known, "none"), 422, json=given)
    product.ask("POST", f"{BASE}/{archived}/trigger", 422)
    product.ask("GET", BASE, 401, headers=wrong)
    product.ask("GET", BASE, 422, params={"limit": 0})
    product.ask("POST", BASE, 401, json=body, headers=wrong)
    product.ask("POST", BASE, 403, json=body, headers=reader)
    product.ask("POST", BASE, 422, json={**body, "connectionId": str(uuid4())})
    named = {"project": str(syncs.project.id)}
    unknown = {**body, "entities": ["rule", "none"], "destinationConfig": named}
    product.ask("POST", BASE, 422, json=unknown)
    product.ask("POST", BASE, 409, json={**body, "slug": "taken"})
    product.ask("PATCH", f"{BASE}/{archived}", 409, json={"slug": "taken"})
    for provider, status in (("shopify", 404), ("none", 422)):
        product.ask("GET", f"{BASE}/providers/{provider}/catalog", status)
    product.ask("GET", f"{BASE}/providers/git/catalog", 401, headers=wrong)
