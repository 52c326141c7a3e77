"""Codat pull operations: every answer is validated against the schema of the product's page."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.server.dialects.codat.client import COMPLETE, SCHEMA, Codat
from tests.server.dialects.tenant_client import TenantClient, basic, client_of
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import CallingSignal, Runner
from towline.kinds import Kind, Kinds
from towline.options import OnConflict
from towline.testing.git_server import Answers, GitServer
from towline_server.auth.roles import Role
from towline_server.projects.domain import Binding, Project, PullSettings
from towline_server.projects.service import Projects
from towline_server.runs.domain import RunMode, RunRequest
from towline_server.runs.service import Runs
from towline_server.runs.states import Fault
from towline_server.runs.tables import RunRow


def _codat(api: TenantClient, project: Project, role: Role = Role.WRITER) -> Codat:
    return Codat(api, project, api.key(role, project))


def _subset(operation: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    return {name: operation[name] for name in wanted}


# --- asking for operations --------------------------------------------------------------------


def test_all_is_one_operation_a_kind_of_one_revision(
    api: TenantClient, tenant: GitTenant, inline: Runs
):
    tenant.commit(rules__a=b"1", tasks__b=b"1", c=b"1")
    project = tenant.project()
    codat = _codat(api, project)
    codat.pull_all()
    page = codat.history()
    assert [each["dataType"] for each in page["results"]] == ["rule", "task", "file"]
    assert all(_subset(each, COMPLETE) == COMPLETE for each in page["results"])
    assert tenant.contents(project) == {"rules/a": b"1", "tasks/b": b"1", "c": b"1"}
    runs = [inline.get(UUID(each["id"])) for each in page["results"]]
    assert {run.target_revision for run in runs} == {tenant.repository.tip("main")}
    assert len({run.batch_id for run in runs}) == 1


def test_a_queued_operation(api: TenantClient, tenant: GitTenant):
    tenant.commit(rules__a=b"1", tasks__b=b"1")
    project = tenant.project()
    codat = _codat(api, project)
    asked = codat.queue("rule")
    assert "completed" not in asked
    wanted = {
        "companyId": str(project.id),
        "connectionId": str(tenant.connection_id),
        "dataType": "rule",
        "status": "Initial",
        "statusDescription": None,
        "errorMessage": None,
        "progress": 0,
        "isCompleted": False,
        "isErrored": False,
    }
    assert _subset(asked, wanted) == wanted
    ended = codat.operation(asked["id"])
    assert _subset(ended, COMPLETE) == COMPLETE
    assert ended["requested"] == asked["requested"] <= ended["completed"]
    assert tenant.contents(project) == {"rules/a": b"1"}


def test_one_operation_of_a_kind_at_a_time(
    queueing_api: TenantClient, tenant: GitTenant, runner: Runner
):
    tenant.commit(a=b"1")
    codat = _codat(queueing_api, tenant.project())
    first = codat.queue("rule")
    refused = codat.ask("POST", "/data/queue/rule")
    assert refused.status_code == 400
    assert first["id"] in refused.json()["error"]
    assert refused.json()["canBeRetried"] == "Yes"
    assert codat.queue("task")["id"] != first["id"]
    runner.work()
    assert codat.queue("rule")["id"] != first["id"]


def test_the_connection_may_be_named(api: TenantClient, tenant: GitTenant, stranger: GitTenant):
    tenant.commit(a=b"1")
    codat = _codat(api, tenant.project())
    other = tenant.connect(f"{tenant.server.url}/repo.git")
    assert codat.queue("rule", connectionId=str(tenant.connection_id))
    errors = []
    for wrong in (other, stranger.connection_id, uuid4()):
        answer = codat.ask("POST", "/data/queue/task", connectionId=str(wrong))
        errors.append((answer.status_code, answer.json()["error"]))
    assert errors == [(404, "no such connection")] * 3
    assert codat.ask("POST", "/data/queue/task", connectionId="x").status_code == 400


def test_an_operation_keeps_the_connection_it_had(api: TenantClient, tenant: GitTenant):
    tenant.commit(a=b"1")
    project = tenant.project()
    codat = _codat(api, project)
    asked = codat.queue("rule")
    other = tenant.connect(f"{tenant.server.url}/repo.git")
    with tenant.database.writing() as session:
        Projects(session).bind(project.id, Binding(connection_id=other))
    assert codat.operation(asked["id"])["connectionId"] == str(tenant.connection_id)
    assert codat.queue("rule")["connectionId"] == str(other)


# --- statuses ---------------------------------------------------------------------------------

PHASES = [
    "Fetching",
    "MapQueued",
    "Mapping",
    "ValidationQueued",
    "Validating",
    "ProcessingQueued",
    "Processing",
]


def test_statuses_follow_the_phases_and_progress_never_falls(
    queueing_api: TenantClient, tenant: GitTenant, runner: Runner
):
    tenant.commit(a=b"1")
    codat = _codat(queueing_api, tenant.project())
    seen = [codat.queue("file")]
    seen.append(codat.operation(seen[0]["id"]))
    runner.changes = CallingSignal(lambda: seen.append(codat.operation(seen[0]["id"])))
    runner.worker().execute(runner.native.submitted[0])
    seen.append(codat.operation(seen[0]["id"]))
    statuses = [each["status"] for each in seen]
    assert list(dict.fromkeys(statuses)) == ["Initial", "Queued", *PHASES, "Complete"]
    progress = [each["progress"] for each in seen]
    assert progress == sorted(progress)
    for each in seen:
        assert ("completed" in each) is each["isCompleted"] is (each["status"] == "Complete")


def _write(tenant: GitTenant, run_id: str, **values: Any) -> None:
    with tenant.database.writing() as session:
        row = session.get(RunRow, UUID(run_id))
        for name, value in values.items():
            setattr(row, name, value)


FAULTS = {
    Fault.REMOTE: "FetchError",
    Fault.CREDENTIAL: "AuthError",
    Fault.PERMISSION: "PermissionsError",
    Fault.RATE_LIMIT: "RateLimitError",
    Fault.CONTENT: "MapError",
    Fault.CONFLICT: "ValidationError",
    Fault.LIMIT: "ValidationError",
    Fault.REQUEST: "ValidationError",
    Fault.STORE: "ProcessingError",
    Fault.PREREQUISITE: "PrerequisiteNotMet",
    Fault.UNSUPPORTED: "NotSupported",
    Fault.EXECUTOR: "InternalError",
    Fault.CALLER: "Cancelled",
    Fault.INTERNAL: "InternalError",
}


def test_every_fault_has_a_status(queueing_api: TenantClient, tenant: GitTenant):
    codat = _codat(queueing_api, tenant.project())
    asked = codat.queue("file")
    found = {}
    for fault in Fault:
        failed = {"state": "failed", "fault": fault, "error_code": "x", "error_message": "why"}
        _write(tenant, asked["id"], **failed)
        operation = codat.operation(asked["id"])
        found[fault] = operation["status"]
        assert operation["errorMessage"] == "why"
        errs = operation["status"].endswith("Error") or operation["status"] == "PrerequisiteNotMet"
        assert (operation["isErrored"], operation["isCompleted"]) == (errs, False)
    assert found == FAULTS


def test_a_kind_that_the_company_lacks_is_not_supported(api: TenantClient, tenant: GitTenant):
    tenant.commit(a=b"1")
    codat = _codat(api, tenant.project())
    ended = codat.operation(codat.queue("invoices")["id"])
    assert (ended["status"], ended["isErrored"]) == ("NotSupported", False)
    assert "invoices" in ended["errorMessage"]
    for unprintable in ("%00", "%0A", "x" * 256):
        assert codat.ask("POST", f"/data/queue/{unprintable}").status_code == 400


def test_what_a_kind_may_be_called_may_be_queued(api: TenantClient, tenant: GitTenant):
    codat = _codat(api, tenant.project(kinds=Kinds((Kind(name="zero\u200bwidth", globs=("*",)),))))
    tenant.commit(a=b"1")
    ended = codat.operation(codat.queue("zero%E2%80%8Bwidth")["id"])
    assert (ended["dataType"], ended["status"]) == ("zero\u200bwidth", "Complete")


def test_a_company_without_a_repository(api: TenantClient, tenant: GitTenant):
    codat = _codat(api, tenant.project(bound=False))
    codat.pull_all()
    results = codat.history()["results"]
    found = [(each["status"], each["isErrored"], each["connectionId"]) for each in results]
    assert found == [("PrerequisiteNotMet", True, str(UUID(int=0)))] * 3
    assert codat.connections()["results"] == []


def test_conflicts_follow_the_policy_of_the_company(api: TenantClient, tenant: GitTenant):
    found = {}
    for policy in (OnConflict.REFUSE, OnConflict.SKIP):
        tenant.repository.commit({"a": b"1"})
        project = tenant.project(settings=PullSettings(on_conflict=policy))
        codat = _codat(api, project)
        codat.queue("file")
        tenant.edit(project, "a", b"ours")
        tenant.repository.commit({"a": b"theirs"})
        ended = codat.operation(codat.queue("file")["id"])
        found[policy] = (ended["status"], ended["statusDescription"])
    assert found == {
        OnConflict.REFUSE: ("ValidationError", None),
        OnConflict.SKIP: ("Complete", "conflicts were skipped; the rest was pulled"),
    }


@pytest.mark.parametrize("clashes", [False, True], ids=["merged", "merged and skipped"])
def test_merged_assets_are_counted(api: TenantClient, tenant: GitTenant, clashes: bool):
    tenant.repository.commit({"a.json": b'{"x": 1, "y": 1}', "b": b"1"})
    project = tenant.project(settings=PullSettings(on_conflict=OnConflict.SKIP))
    codat = _codat(api, project)
    codat.queue("file")
    tenant.edit(project, "a.json", b'{"x": 2, "y": 1}')
    if clashes:
        tenant.edit(project, "b", b"ours")
    tenant.repository.commit({"a.json": b'{"x": 1, "y": 2}', "b": b"2"})
    ended = codat.operation(codat.queue("file")["id"])
    skipped = "conflicts were skipped; the rest was pulled; " if clashes else ""
    assert ended["statusDescription"] == f"{skipped}assets merged with local edits: 1"
    found = codat.history(query=f"statusDescription={ended['statusDescription']}")
    assert found["results"] == [ended]


def test_a_cancelled_operation(queueing_api: TenantClient, tenant: GitTenant, runner: Runner):
    codat = _codat(queueing_api, tenant.project())
    asked = codat.queue("file")
    runner.runs.cancel(UUID(asked["id"]), reason="not now")
    ended = codat.operation(asked["id"])
    wanted = {"status": "Cancelled", "statusDescription": "not now", "errorMessage": None}
    assert _subset(ended, wanted) == wanted
    assert (ended["isErrored"], ended["isCompleted"]) == (False, False)


def test_an_operation_that_is_asked_to_stop_is_not_cancelled_yet(
    queueing_api: TenantClient, tenant: GitTenant, runner: Runner
):
    tenant.commit(a=b"1")
    codat = _codat(queueing_api, tenant.project())
    asked = codat.queue("file")
    with runner.paused(UUID(asked["id"]), "comparing"):
        runner.runs.cancel(UUID(asked["id"]), reason="not now")
        assert codat.operation(asked["id"])["statusDescription"] is None
    assert codat.operation(asked["id"])["statusDescription"] == "not now"


def test_an_error_says_whether_trying_again_may_help(
    api: TenantClient, tenant: GitTenant, runner: Runner, inline: Runs
):
    codat = _codat(api, tenant.project())
    assert codat.ask("GET", "/data/history", page=0).json()["canBeRetried"] == "No"
    limits = {"rate_per_second": 0.001, "rate_burst": 1}
    with client_of(api.services, runner, inline, **limits) as client:
        headers = basic(codat.key)
        client.get("/companies", headers=headers)
        limited = client.get("/companies", headers=headers)
    SCHEMA.check("error", limited.json())
    assert (limited.status_code, limited.json()["canBeRetried"]) == (429, "Yes")
    # A server that has not started yet.
    stopped = client_of(api.services, runner, inline).get("/companies", headers=headers)
    assert (stopped.status_code, stopped.json()["canBeRetried"]) == (503, "Yes")


# --- companies --------------------------------------------------------------------------------


def test_the_data_status_of_every_kind(api: TenantClient, tenant: GitTenant, git_server: GitServer):
    tenant.commit(rules__a=b"1")
    codat = _codat(api, tenant.project())
    never = {"lastSuccessfulSync": "0001-01-01T00:00:00Z", "currentStatus": "Initial"}
    assert codat.data_status() == {
        kind: {"dataType": kind, **never} for kind in ("rule", "task", "file")
    }
    good = codat.operation(codat.queue("rule")["id"])
    git_server.trouble = Answers(status=500)
    tenant.commit(rules__a=b"2")
    bad = codat.queue("rule")
    found = codat.data_status()
    assert found["rule"] == {
        "dataType": "rule",
        "currentStatus": "FetchError",
        "latestSyncId": bad["id"],
        "lastSuccessfulSync": good["completed"],
        "latestSuccessfulSyncId": good["id"],
    }
    assert found["task"] == {"dataType": "task", **never}


def test_kinds_go_by_their_data_types(api: TenantClient, tenant: GitTenant):
    tenant.commit(rules__a=b"1", tasks__b=b"1", c=b"1")
    project = tenant.project()
    renamed = {"rule": "bills", "task": None, "tax_rate": None}
    kinds = Kinds(
        tuple(
            Kind(name=name, globs=(glob,), data_type=data_type)
            for (name, data_type), glob in zip(
                renamed.items(), ("rules/**", "tasks/**", "**"), strict=True
            )
        )
    )
    with tenant.database.writing() as session:
        Projects(session).change(project.id, kinds=kinds)
    codat = _codat(api, project)
    codat.pull_all()
    assert {each["dataType"] for each in codat.history()["results"]} == {
        "bills",
        "task",
        "taxRates",
    }
    # A kind's own name means it, too; what no kind goes by stays as it is.
    queued = [codat.queue(name)["dataType"] for name in ("taxRates", "tax_rate", "invoices")]
    assert queued == ["taxRates", "taxRates", "invoices"]
    [invoices] = codat.history(query="dataType=invoices")["results"]
    assert codat.operation(invoices["id"])["status"] == "NotSupported"
    rates = codat.history(query="dataType=taxRates", orderBy="-dataType")["results"]
    assert len(rates) == 3
    assert codat.history(query="dataType=rule || dataType=tax_rate")["results"] == []
    assert codat.history(orderBy="dataType")["results"][0]["dataType"] == "bills"
    assert {name: each["currentStatus"] for name, each in codat.data_status().items()} == {
        "bills": "Complete",
        "task": "Complete",
        "taxRates": "Complete",
    }


def test_what_pulls_no_single_kind_is_no_operation(
    api: TenantClient, tenant: GitTenant, inline: Runs
):
    tenant.commit(a=b"1")
    project = tenant.project()
    codat = _codat(api, project)
    hidden = [
        inline.request(project.id),
        inline.request(project.id, RunRequest(kind="rule", mode=RunMode.DRY_RUN)),
    ]
    assert codat.history()["results"] == []
    for run in hidden:
        assert codat.ask("GET", f"/data/history/{run.id}").status_code == 404
    assert codat.data_status()["rule"]["currentStatus"] == "Initial"


def test_companies_and_their_connections(api: TenantClient, tenant: GitTenant):
    bound, loose = tenant.project(), tenant.project(bound=False)
    tenant.project()
    with api.services.database.writing() as session:
        identities = api.services.identities(session)
        made, key = identities.create_key(tenant_id=tenant.tenant_id, name="k")
        for project in (bound, loose):
            identities.grant(made.id, project, Role.READER)
    page = api.client.get("/companies", headers=basic(key)).json()
    found = {each["id"]: each["dataConnections"] for each in page["results"]}
    of_bound, of_loose = (
        Codat(api, project, key).connections()["results"] for project in (bound, loose)
    )
    assert found == {str(bound.id): of_bound, str(loose.id): of_loose}
    assert page["totalResults"] == 2
    assert ([each["id"] for each in of_bound], of_loose) == ([str(tenant.connection_id)], [])


# --- who may ----------------------------------------------------------------------------------


def test_a_colon_may_follow_the_key(api: TenantClient, tenant: GitTenant):
    """Clients that know Basic alone put it there."""
    project, key = tenant.project(), api.key(Role.ADMIN)
    for given in (key, f"{key}:"):
        url = f"/companies/{project.id}/dataStatus"
        assert api.client.get(url, headers=basic(given)).status_code == 200


def test_errors_name_the_request(api: TenantClient, tenant: GitTenant):
    headers = {**basic(api.key()), "X-Request-Id": "r-1234567"}
    answer = api.client.get("/companies/nothing/dataStatus", headers=headers)
    body = answer.json()
    SCHEMA.check("error", body)
    assert (answer.status_code, body["correlationId"]) == (404, "r-1234567")
    [issue] = body["validation"]["errors"]
    assert issue["itemId"] == "path.companyId"
    assert api.client.get("/companies/a/b/c").json()["statusCode"] == 404
