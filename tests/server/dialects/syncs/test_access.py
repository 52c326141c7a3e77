"""Who may do what with syncs, and in which words the rest is refused."""

from __future__ import annotations

from uuid import uuid4

from tests.server.dialects.desk import bearer
from tests.server.dialects.syncs.office import Office
from towline.kinds import Kind, Kinds
from towline_server.auth.roles import Role


def test_a_catalog_tells_of_no_one_else_s_kinds(office: Office):
    secret = Kinds((Kind(name="secret", globs=("**",)),))
    office.world.project(ref="heads/other", kinds=secret)
    found = office.ask("catalog", "GET", "/providers/git/catalog")
    assert "secret" not in found["availableResources"]
    nobody = office.as_key(office.desk.key())
    assert nobody.ask("catalog", "GET", "/providers/git/catalog")["resources"] == []


def test_credentials_are_taken_in_three_forms(office: Office):
    client = office.desk.client
    for headers in (bearer(office.key), {"X-API-Key": office.key}):
        assert client.get("/api/v1/syncs", headers=headers).status_code == 200
    cookie = {"Cookie": f"vai_token={office.key}"}
    assert client.get("/api/v1/syncs", headers=cookie).status_code == 200
    for headers in ({}, {"X-API-Key": "tw_wrong"}, {"Authorization": f"Basic {office.key}"}):
        office.key = ""
        answer = client.get("/api/v1/syncs", headers=headers)
        assert answer.status_code == 401
        assert set(answer.json()) == {"detail"}


def test_an_unknown_path_is_told_in_the_same_envelope(office: Office):
    office.refused(404, "GET", "/one/two/three")
    office.refused(405, "PUT", f"/{uuid4()}")
    [(loc, _)] = office.refused(422, "GET", "/no-id")
    assert loc == ["path", "sync_id"]


def test_a_reader_sees_and_a_writer_does(office: Office):
    made = office.create()
    reader = office.as_key(office.desk.key(Role.READER, office.project))
    assert reader.get(made) == made
    assert reader.names() == [made["name"]]
    run = office.trigger(made)
    assert reader.run(run)["id"] == run["id"]
    path = f"/{made['id']}"
    for method, where, body in (
        ("POST", "", office.body()),
        ("PATCH", path, {"name": "x"}),
        ("DELETE", path, None),
        ("POST", f"{path}/trigger", {}),
        ("POST", f"/runs/{run['id']}/cancel", {}),
        ("POST", f"/runs/{run['id']}/retry", {}),
    ):
        reader.refused(403, method, where, json=body)
    assert office.get(made) == made


def test_what_is_someone_else_s_is_not_there(office: Office):
    made = office.create()
    run = office.trigger(made)
    elsewhere = office.desk.key(Role.WRITER, office.world.project(ref="heads/other"))
    for key in (office.desk.key(), elsewhere):
        stranger = office.as_key(key)
        assert stranger.names() == []
        for what, path in (("sync", f"/{made['id']}"), ("run", f"/runs/{run['id']}")):
            assert stranger.refused(404, "GET", path) == [([], f"no such {what}")]
            missing = path.replace(path.rsplit("/", 1)[1], str(uuid4()))
            assert stranger.refused(404, "GET", missing) == [([], f"no such {what}")]
    nobody = office.as_key(office.desk.key())
    for connection in (office.world.connection_id, uuid4()):
        body = office.body(connectionId=str(connection))
        assert nobody.refused(404, "POST", json=body) == [([], "no such connection")]


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
