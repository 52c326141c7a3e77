"""Who may do what with syncs, and in which words the rest is refused."""

from __future__ import annotations

from uuid import uuid4

from tests.server.dialects.syncs.client import SyncsClient
from towline_server.auth.roles import Role


def test_an_unknown_caller_and_an_unknown_path_get_the_same_envelope(syncs: SyncsClient):
    syncs.as_key("twl_wrong").refused(401, "GET")
    syncs.refused(404, "GET", "/one/two/three")
    syncs.refused(405, "PUT", f"/{uuid4()}")
    [(loc, _)] = syncs.refused(422, "GET", "/no-id")
    assert loc == ["path", "sync_id"]


def test_a_draft_without_a_project_is_its_maker_s_and_the_tenant_s(syncs: SyncsClient):
    syncs.tenant.project(ref="heads/other")
    made = syncs.create()
    assert syncs.names() == [made["name"]]
    whole = syncs.as_key(syncs.api.key(Role.READER))
    assert whole.get(made) == made
    assert whole.names() == [made["name"]]
    whole.refused(403, "PATCH", f"/{made['id']}", json={"name": "x"})
    whole.refused(403, "POST", json=syncs.body())
    beside = syncs.as_key(syncs.api.key(Role.ADMIN, syncs.project))
    beside.refused(404, "GET", f"/{made['id']}")
    assert beside.names() == []
    assert syncs.patch(made, name="mine")["name"] == "mine"


def test_a_refused_header_is_named(syncs: SyncsClient):
    found = syncs.refused(422, "POST", json=syncs.body(), headers={"Idempotency-Key": "x" * 300})
    assert [loc for loc, _ in found] == [["header", "Idempotency-Key"]]
