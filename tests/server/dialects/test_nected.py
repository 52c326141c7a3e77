"""Nected's remote pull: its answers, held against the page's schema, over a real Git server."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import Request
from fastapi.testclient import TestClient

from tests.server.dialects.page_schema import PageSchema
from tests.server.dialects.shared_project import SharedProject
from tests.server.runs.git_tenant import GitTenant
from towline_server.auth.roles import Role, authorise
from towline_server.dialects import nected
from towline_server.projects.domain import Project
from towline_server.projects.service import Projects
from towline_server.runs.domain import RunMode, RunRequest
from towline_server.runs.states import Fault, RunState
from towline_server.runs.tables import RunRow

SCHEMA = PageSchema("nected")
PULL, PULL_V1 = "/dev/remote/pull", "/dev/v1/remote/pull"


@pytest.fixture
def key(shared: SharedProject) -> str:
    return shared.key(Role.WRITER, shared.project)


def headers(key: str, branch: str | None = "main") -> dict[str, str]:
    found = {"Nected-API-Key": key}
    return found if branch is None else {**found, "Nected-Branch": branch}


def started(answer: Any) -> str:
    """The id of the task that was started."""
    assert answer.status_code == 200, answer.text
    SCHEMA.check("started", answer.json())
    assert answer.json()["data"]["taskState"] == "pending"
    task_id: str = answer.json()["data"]["taskId"]
    return task_id


def looked_at(client: TestClient, key: str, task_id: str, state: str) -> dict[str, Any]:
    """A task, which must be in this state."""
    answer = client.get(f"/dev/remote/tasks/{task_id}", headers={"Nected-API-Key": key})
    assert answer.status_code == 200, answer.text
    definition = state if state in ("completed", "failed") else "started"
    SCHEMA.check(definition, answer.json())
    found: dict[str, Any] = answer.json()
    assert (found["data"]["taskId"], found["data"]["taskState"]) == (task_id, state)
    return found


def refused(answer: Any, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    SCHEMA.check("error", answer.json())
    assert answer.json()["data"] == {}


# --- success ----------------------------------------------------------------------------------


def test_a_pull_is_a_task_with_a_report_at_its_end(
    shared: SharedProject, client: TestClient, key: str
):
    shared.commit({"a": b"1"})
    answer = client.post(PULL, headers=headers(key))
    task_id = started(answer)
    assert answer.json() == {
        "code": "",
        "data": {"taskId": task_id, "taskState": "pending"},
        "message": "",
        "pageNo": 0,
        "pageSize": 0,
        "totalCount": 0,
        "totalPages": 0,
    }
    report = looked_at(client, key, task_id, "completed")["data"]["report"]
    assert report["status"] == "updated"
    assert [item["path"] for item in report["created"]] == ["a"]
    assert shared.contents() == {"a": b"1"}


@pytest.mark.parametrize("body", [b"", b" \n", b"{}"], ids=["none", "blank", "object"])
@pytest.mark.parametrize("url", [PULL, PULL_V1])
def test_a_body_may_be_empty_or_omitted(
    shared: SharedProject, client: TestClient, key: str, url: str, body: bytes
):
    shared.commit({"a": b"1"})
    started(client.post(url, headers=headers(key), content=body))


def test_the_branch_chooses_the_project(shared: SharedProject, client: TestClient):
    shared.commit({"a": b"main"})
    shared.commit({"a": b"branch"}, ref="größe/x")
    other = shared.tenant.project(ref="heads/größe/x")
    key = shared.key(Role.WRITER, other)
    utf8 = {b"Nected-API-Key": key.encode(), b"Nected-Branch": "größe/x".encode()}
    answer = client.post(PULL, headers=utf8)
    looked_at(client, key, started(answer), "completed")
    assert (shared.contents(), shared.contents(other)) == ({}, {"a": b"branch"})


def test_the_branch_may_be_left_out_in_v1_where_there_is_one(
    shared: SharedProject, client: TestClient, key: str
):
    shared.commit({"a": b"1"})
    started(client.post(PULL_V1, headers=headers(key, None)))
    assert shared.contents() == {"a": b"1"}
    shared.tenant.project(ref="heads/other")
    refused(client.post(PULL_V1, headers=headers(key, None)), 400, "BRANCH_REQUIRED")


# --- failed tasks -----------------------------------------------------------------------------


FAULTS = {
    Fault.REMOTE: "REMOTE_UNAVAILABLE",
    Fault.CREDENTIAL: "REMOTE_UNAVAILABLE",
    Fault.PERMISSION: "REMOTE_UNAVAILABLE",
    Fault.RATE_LIMIT: "REMOTE_UNAVAILABLE",
    Fault.CONTENT: "BAD_REQUEST",
    Fault.CONFLICT: "UNRESOLVED_CONFLICTS",
    Fault.LIMIT: "BAD_REQUEST",
    Fault.REQUEST: "BAD_REQUEST",
    Fault.STORE: "INTERNAL",
    Fault.PREREQUISITE: "BAD_REQUEST",
    Fault.UNSUPPORTED: "INTERNAL",
    Fault.EXECUTOR: "INTERNAL",
    Fault.CALLER: "CANCELLED",
    Fault.INTERNAL: "INTERNAL",
}


def test_every_fault_has_a_code(shared: SharedProject, key: str):
    with shared.waiting() as client:
        task_id = started(client.post(PULL, headers=headers(key)))
        found = {}
        for fault in Fault:
            with shared.services.database.writing() as session:
                row = session.get(RunRow, UUID(task_id))
                assert row is not None
                row.state, row.fault = RunState.FAILED, fault
                row.error_code, row.error_message = "some_code", "why"
            task = looked_at(client, key, task_id, "failed")
            found[fault] = task["code"]
            assert task["message"] == "why"
    assert found == FAULTS


def test_a_lost_task_waits_to_be_tried_again(shared: SharedProject, key: str):
    shared.commit({"a": b"1"})
    with shared.waiting() as client:
        task_id = started(client.post(PULL, headers=headers(key)))
        with shared.runner.paused(UUID(task_id), "comparing"):
            shared.runner.lose()
            looked_at(client, key, task_id, "pending")
        with shared.runner.paused(shared.runner.native.submitted[-1], "comparing"):
            looked_at(client, key, task_id, "in-progress")
        looked_at(client, key, task_id, "completed")


# --- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize("branch", [None, "", " "], ids=["none", "empty", "blank"])
def test_the_branch_is_needed(
    shared: SharedProject, client: TestClient, key: str, branch: str | None
):
    refused(client.post(PULL, headers=headers(key, branch)), 400, "BRANCH_REQUIRED")
    assert shared.runs_of() == ()


@pytest.mark.parametrize("branch", ["a..b", "-x", "a b", "x.lock", "a~1", "/a"])
@pytest.mark.parametrize("url", [PULL, PULL_V1])
def test_what_no_branch_can_be_called(client: TestClient, key: str, url: str, branch: str):
    refused(client.post(url, headers=headers(key, branch)), 400, "BRANCH_INVALID")


def test_bytes_that_are_no_text():
    with pytest.raises(nected.BranchRefused) as refusal:
        nected._branch(Request({"type": "http", "headers": []}), "\xff")
    assert refusal.value.word is nected.Code.BRANCH_INVALID


def test_two_branches_are_none(client: TestClient, key: str):
    sent = [("Nected-API-Key", key), ("Nected-Branch", "main"), ("Nected-Branch", "other")]
    refused(client.post(PULL, headers=sent), 400, "BRANCH_INVALID")


@pytest.mark.parametrize("branch", ["none", "Main", "heads/main"])
def test_a_branch_that_the_workspace_lacks(client: TestClient, key: str, branch: str):
    refused(client.post(PULL, headers=headers(key, branch)), 400, "BRANCH_NOT_FOUND")


def test_a_project_that_is_deleted_meanwhile_has_no_branch(
    shared: SharedProject, client: TestClient, key: str, monkeypatch: pytest.MonkeyPatch
):
    def deleted(*asked: Any) -> Project:
        project: Project = authorise(*asked)
        with shared.services.database.writing() as session:
            Projects(session).delete(project.id)
        return project

    monkeypatch.setattr("towline_server.dialects.nected.authorise", deleted)
    refused(client.post(PULL, headers=headers(key)), 400, "BRANCH_NOT_FOUND")


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"a": 1}', b"x"])
def test_a_body_is_refused(shared: SharedProject, client: TestClient, key: str, body: bytes):
    refused(client.post(PULL, headers=headers(key), content=body), 400, "BAD_REQUEST")
    assert shared.runs_of() == ()


def test_a_body_beyond_the_limit_is_a_bad_request(shared: SharedProject, key: str):
    with shared.over(shared.inline, body_bytes=10) as client:
        answer = client.post(PULL, headers=headers(key), content=b"x" * 11)
    refused(answer, 400, "BAD_REQUEST")


def test_tasks_that_are_not_there(
    shared: SharedProject, client: TestClient, key: str, stranger: GitTenant
):
    shared.commit({"a": b"1"})
    task_id = started(client.post(PULL, headers=headers(key)))
    their_key = shared.key(Role.ADMIN, tenant=stranger)
    beside = shared.key(Role.ADMIN, shared.tenant.project(ref="heads/other"))
    dry = shared.inline.request(shared.project.id, RunRequest(mode=RunMode.DRY_RUN)).id
    one_kind = shared.inline.request(shared.project.id, RunRequest(kind="rule")).id
    for who, which in [
        (key, uuid4()),
        (key, "x"),
        (key, dry),
        (key, one_kind),
        (their_key, task_id),
        (beside, task_id),
    ]:
        answer = client.get(f"/dev/remote/tasks/{which}", headers={"Nected-API-Key": who})
        refused(answer, 404, "TASK_NOT_FOUND")
    looked_at(client, shared.key(Role.READER, shared.project), task_id, "completed")


def test_unknown_routes_have_the_envelope(client: TestClient, key: str):
    refused(client.get("/dev/none", headers=headers(key)), 404, "BAD_REQUEST")
    refused(client.get(PULL, headers=headers(key)), 405, "BAD_REQUEST")


def test_the_document_describes_it(client: TestClient):
    found = client.get("/openapi.json").json()["paths"]
    for path in (PULL, PULL_V1):
        operation = found[path]["post"]
        assert operation["tags"] == ["Nected"]
        named = {each["name"] for each in operation["parameters"]}
        assert named == {"Nected-Branch", "Idempotency-Key"}
        assert operation["security"] == [{"nected_api_key": []}]
        assert set(operation["responses"]) == {"200", "400", "401", "429", "500"}
    assert found["/dev/remote/tasks/{taskId}"]["get"]["tags"] == ["Nected"]
