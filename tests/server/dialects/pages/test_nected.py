"""The whole of Nected: every operation, status, field, word and null of its page."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.control_plane import cheap_passwords
from tests.databases import open_database
from tests.server.dialects.page_schema import PageSchema
from tests.server.dialects.pages.product_client import Answers, ProductClient
from tests.server.dialects.tenant_client import TenantClient, client_of
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import Runner
from towline.model import AssetPath
from towline.options import OnConflict
from towline.remotes.trees import Symlink
from towline.testing.git_server import Answers as Trouble
from towline_server.auth.roles import Role
from towline_server.projects.domain import Project, PullSettings
from towline_server.runs.domain import Lease
from towline_server.services import assemble

pytestmark = pytest.mark.slow

PULL, PULL_V1, TASK = "/dev/remote/pull", "/dev/v1/remote/pull", "/dev/remote/tasks"
TEMPORARY = {429: "error", 500: "error"}
REFUSED = {400: "error", 401: "error", **TEMPORARY}
ANSWERS: Answers = {
    f"POST {PULL}": {200: "started", **REFUSED},
    f"POST {PULL_V1}": {200: "started", **REFUSED},
    f"GET {TASK}/{{taskId}}": {200: "task", 401: "error", 404: "error", **TEMPORARY},
}
IMPOSSIBLE = {
    'started.data.taskState: "in-progress"': "the answer has a task that was just asked for",
}
SLOW = {"rate_per_second": 0.001, "rate_burst": 1}
FILES = {"gone": b"1", "stays": b"1", "link": b"1", "mine": b"1"}


@pytest.fixture
def product(queueing_api: TenantClient) -> ProductClient:
    made = ProductClient(queueing_api.client, PageSchema("nected"), "Nected", ANSWERS)
    made.headers = {"Nected-API-Key": queueing_api.key(Role.WRITER)}
    return made


def _pull(product: ProductClient, branch: str = "main", url: str = PULL) -> str:
    asked = product.ask("POST", url, headers={"Nected-Branch": branch})
    task_id: str = asked["data"]["taskId"]
    return task_id


def test_the_whole_dialect(
    product: ProductClient,
    queueing_api: TenantClient,
    tenant: GitTenant,
    runner: Runner,
    tmp_path: Path,
):
    def look(task_id: str, state: str, code: str = "") -> Any:
        """A task, which must be in this state."""
        found = product.ask("GET", f"{TASK}/{task_id}")
        assert (found["data"]["taskState"], found["code"]) == (state, code)
        return found["data"].get("report")

    def ended(branch: str, code: str = "") -> Any:
        """The report of a pull."""
        task_id = _pull(product, branch)
        runner.work()
        return look(task_id, "failed" if code else "completed", code)

    tenant.commit(a=b"1")
    tenant.project()
    task_id = _pull(product, url=PULL_V1)
    look(task_id, "pending")
    with runner.paused(UUID(task_id), "comparing"):
        look(task_id, "in-progress")
    assert look(task_id, "completed")["status"] == "updated"
    runner.native.submitted.clear()
    assert ended("main")["status"] == "up-to-date"
    cancelled = _pull(product)
    runner.runs.cancel(UUID(cancelled))
    look(cancelled, "failed", "CANCELLED")

    _every_list(tenant, ended)
    assert ended("refuse", "UNRESOLVED_CONFLICTS")["status"] == "conflicts"
    tenant.project(ref="heads/none")
    assert ended("none", "BRANCH_NOT_FOUND") is None
    tenant.project(ref="heads/hostile")
    tenant.repository.commit({".git/config": b"1"}, ref="hostile")
    ended("hostile", "BAD_REQUEST")
    tenant.project(ref="heads/many")
    tenant.repository.commit({str(number): b"" for number in range(1001)}, ref="many")
    ended("many", "ASSET_LIMIT_EXCEEDED")
    tenant.repository.commit({"a": b"9"})
    tenant.server.trouble = Trouble(status=503)
    task_id = _pull(product)
    runner.work()
    for _ in range(3):
        look(task_id, "pending")
        runner.worker().execute(runner.runs.wait(UUID(task_id), 0).id)
    look(task_id, "failed", "REMOTE_UNAVAILABLE")
    tenant.server.trouble = None
    look(_lost_too_often(_pull(product), runner), "failed", "INTERNAL")

    _refusals(product, queueing_api, task_id)
    operations = (("POST", PULL), ("POST", PULL_V1), ("GET", f"{TASK}/{task_id}"))
    with client_of(queueing_api.services, runner, runner.runs, **SLOW) as slow:
        slow.get(f"{TASK}/{task_id}", headers=dict(product.headers))
        for method, path in operations:
            assert product.ask(method, path, 429, client=slow)["code"] == "INTERNAL"
    empty = open_database(f"sqlite:///{tmp_path}/empty.sqlite")
    broken = assemble(queueing_api.services.settings, empty, cheap_passwords())
    with client_of(broken, runner, runner.runs) as client:
        for method, path in operations:
            assert product.ask(method, path, 500, client=client)["code"] == "INTERNAL"
    empty.close()
    assert product.lacking(IMPOSSIBLE) == []


def _every_list(tenant: GitTenant, ended: Any) -> None:
    """Pulls that show every list, under each policy that fills it."""
    projects: dict[OnConflict, Project] = {}
    for policy in (OnConflict.THEIRS, OnConflict.SKIP, OnConflict.REFUSE):
        projects[policy] = tenant.project(
            ref=f"heads/{policy}", settings=PullSettings(on_conflict=policy)
        )
        tenant.repository.commit(FILES, ref=str(policy))
        ended(str(policy))
        tenant.store(projects[policy]).put(AssetPath("mine"), b"ours")
        links = {"link": Symlink("new"), "another": Symlink("new")}
        theirs: dict[str, Any] = {"stays": b"2", "mine": b"2", "new": b"3", **links}
        tenant.repository.commit(theirs, ref=str(policy))
    report = ended("theirs")
    lists = ("overwritten", "updated", "created", "deleted", "ignored")
    listed = [[each["path"] for each in report[name]] for name in lists]
    assert listed == [["mine"], ["stays"], ["new"], ["gone"], ["another", "link"]]
    assert len(ended("skip")["error_msgs"]) == 1


def _lost_too_often(task_id: str, runner: Runner) -> str:
    """A task whose executors were lost, each of them; a client polls it by the first."""
    for number in range(4):
        assert isinstance(runner.leases.take(runner.native.submitted[-1], str(number)), Lease)
        runner.lose()
    runner.native.submitted.clear()
    return task_id


def _refusals(product: ProductClient, api: TenantClient, task_id: str) -> None:
    def refused(code: str, path: str, status: int = 400, method: str = "POST", **how: Any) -> None:
        assert product.ask(method, path, status, **how)["code"] == code

    main = {"Nected-Branch": "main"}
    for url in (PULL, PULL_V1):
        refused("BRANCH_REQUIRED", url)
        refused("BRANCH_INVALID", url, headers={"Nected-Branch": "a..b"})
        refused("BRANCH_NOT_FOUND", url, headers={"Nected-Branch": "other"})
        refused("BAD_REQUEST", url, headers=main, content=b"[]")
        refused("UNAUTHORIZED", url, 401, headers={**main, "Nected-API-Key": "twl_wrong"})
        reader = {**main, "Nected-API-Key": api.key(Role.READER)}
        refused("UNAUTHORIZED", url, 401, headers=reader)
    wrong = {"Nected-API-Key": "twl_wrong"}
    refused("UNAUTHORIZED", f"{TASK}/{task_id}", 401, "GET", headers=wrong)
    refused("TASK_NOT_FOUND", f"{TASK}/{uuid4()}", 404, "GET")
