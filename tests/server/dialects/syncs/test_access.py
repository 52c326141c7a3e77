"""Who may do what with syncs, and in which words the rest is refused."""

from __future__ import annotations

from uuid import uuid4

from tests.server.dialects.syncs.office import Office
from towline_server.auth.roles import Role


def test_an_unknown_caller_and_an_unknown_path_are_told_in_the_same_envelope(office: Office):
    office.as_key("twl_wrong").refused(401, "GET")
    office.refused(404, "GET", "/one/two/three")
    office.refused(405, "PUT", f"/{uuid4()}")
    [(loc, _)] = office.refused(422, "GET", "/no-id")
    assert loc == ["path", "sync_id"]


def test_a_draft_without_a_project_is_its_maker_s_and_the_tenant_s(office: Office):
    office.world.project(ref="heads/other")
    made = office.create()
    assert office.names() == [made["name"]]
    whole = office.as_key(office.desk.key(Role.READER))
    assert whole.get(made) == made
    assert whole.names() == [made["name"]]
    whole.refused(403, "PATCH", f"/{made['id']}", json={"name": "x"})
    whole.refused(403, "POST", json=office.body())
    beside = office.as_key(office.desk.key(Role.ADMIN, office.project))
    beside.refused(404, "GET", f"/{made['id']}")
    assert beside.names() == []
    assert office.patch(made, name="mine")["name"] == "mine"


def test_the_same_key_creates_once(office: Office):
    headers = {"Idempotency-Key": "one"}
    first = office.ask("sync", "POST", status=201, json=office.body(), headers=headers)
    again = office.ask("sync", "POST", status=201, json=office.body(), headers=headers)
    assert first == again
    assert len(office.names()) == 1
    found = office.refused(422, "POST", json=office.body(), headers={"Idempotency-Key": "x" * 300})
    assert [loc for loc, _ in found] == [["header", "Idempotency-Key"]]
