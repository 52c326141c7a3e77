"""``/admin``: what its callers can do with tenants, identities and roles, and what they cannot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.server.api.client import V1, ApiClient, code_of
from tests.server.runs.git_tenant import GitTenant
from towline_server.auth.roles import Role

ADMIN = f"{V1}/admin"
OPERATOR = "a token of the operator, long enough"
PASSWORD = "of twelve or more"


@pytest.fixture
def operated(api: ApiClient) -> ApiClient:
    """The same with an operator's token."""
    authenticator = replace(api.services.authenticator, operator_token=OPERATOR)
    services = replace(api.services, authenticator=authenticator)
    api.client.app.state.services = services  # type: ignore[attr-defined] # it is an application
    return replace(api, services=services)


def ask(api: ApiClient, method: str, path: str, **rest: Any) -> Any:
    """An answer to who administers the tenant."""
    given = {"key": api.tenant_keys[Role.ADMIN], **rest}
    return api.ask(method, f"{ADMIN}{path}", **given)


def operate(api: ApiClient, method: str, path: str, **rest: Any) -> Any:
    """An answer to the operator."""
    headers = {"Authorization": f"Bearer {OPERATOR}", **rest.pop("headers", {})}
    return api.client.request(method, f"{ADMIN}{path}", headers=headers, **rest)


def of_tenant(api: ApiClient, path: str) -> str:
    return f"/tenants/{api.tenant.tenant_id}{path}"


def test_a_user_signs_in_until_they_are_disabled(api: ApiClient):
    body = {"email": "New@towline.example", "password": PASSWORD, "tenant_role": "reader"}
    answer = ask(api, "POST", of_tenant(api, "/users"), json=body)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["email"], made["tenant_role"]) == ("new@towline.example", "reader")
    assert "password" not in made
    here = f"/identities/{made['id']}"
    assert answer.headers["location"] == f"{ADMIN}{here}"
    assert ask(api, "GET", here).json() == made

    def status(password: str = PASSWORD) -> int:
        return api.client.get(f"{V1}/projects", auth=("new@towline.example", password)).status_code

    assert status() == 200
    assert ask(api, "POST", f"{here}/disable").json()["disabled_at"] is not None
    assert status() == 401
    assert ask(api, "POST", f"{here}/enable").json() == made
    changed = ask(api, "PUT", f"{here}/password", json={"password": "another of twelve"})
    assert changed.status_code == 204
    assert (status(), status("another of twelve")) == (401, 200)


def test_a_key_is_shown_once_and_has_the_roles_that_it_is_given(api: ApiClient):
    made = ask(api, "POST", of_tenant(api, "/keys"), json={"name": "export", "days": 1}).json()
    key, here = made.pop("key"), f"/identities/{made['id']}"
    assert made["expires_at"] is not None
    assert key not in ask(api, "GET", here).text
    role = f"{here}/projects/{api.project.id}/role"

    def may_read() -> bool:
        return api.ask("GET", api.url, key=key).status_code == 200

    assert not may_read()
    granted = ask(api, "PUT", role, json={"role": "reader"}).json()
    assert granted["project_roles"] == {str(api.project.id): "reader"}
    assert may_read()
    assert ask(api, "DELETE", role).status_code == 204
    assert not may_read()
    assert (
        ask(api, "PUT", f"{here}/role", json={"role": "writer"}).json()["tenant_role"] == "writer"
    )
    assert may_read()
    assert ask(api, "DELETE", f"{here}/role").status_code == 204
    assert not may_read()
    listed = ask(api, "GET", of_tenant(api, "/identities")).json()
    assert made in listed["items"]
    assert listed["total"] == 4 + 3 + 1


def identity_of(api: ApiClient, role: Role) -> str:
    """The address of the key that has a role on the tenant."""
    listed = ask(api, "GET", of_tenant(api, "/identities")).json()["items"]
    return next(f"/identities/{each['id']}" for each in listed if each["tenant_role"] == role)


def test_the_last_administrator_stays_one(api: ApiClient):
    last = identity_of(api, Role.ADMIN)
    taken: list[tuple[str, str, dict[str, Any]]] = [
        ("DELETE", f"{last}/role", {}),
        ("PUT", f"{last}/role", {"json": {"role": "writer"}}),
        ("POST", f"{last}/disable", {}),
    ]
    for method, path, rest in taken:
        refused = ask(api, method, path, **rest)
        assert code_of(refused) == (409, "last_administrator"), path
    assert ask(api, "PUT", f"{last}/role", json={"role": "admin"}).status_code == 200

    another = identity_of(api, Role.WRITER)
    assert ask(api, "PUT", f"{another}/role", json={"role": "admin"}).status_code == 200
    assert ask(api, "POST", f"{another}/disable").status_code == 200
    # One that is disabled administers nothing.
    assert ask(api, "DELETE", f"{last}/role").status_code == 409
    assert ask(api, "POST", f"{another}/enable").status_code == 200
    assert ask(api, "DELETE", f"{last}/role").status_code == 204


def test_the_operator_disables_the_last_administrator(operated: ApiClient):
    listed = ask(operated, "GET", of_tenant(operated, "/identities")).json()["items"]
    for each in (found for found in listed if found["tenant_role"] == "admin"):
        assert operate(operated, "POST", f"/identities/{each['id']}/disable").status_code == 200
    assert code_of(ask(operated, "GET", "/tenants")) == (401, "unauthenticated")


def test_an_administrator_has_their_own_tenant_alone(api: ApiClient, other: GitTenant):
    theirs = f"/tenants/{other.tenant_id}"
    own = ask(api, "GET", "/tenants").json()["items"]
    assert [each["id"] for each in own] == [str(api.tenant.tenant_id)]
    assert code_of(ask(api, "POST", "/tenants", json={"name": "new"})) == (403, "forbidden")
    assert code_of(ask(api, "GET", theirs)) == (404, "not_found")
    assert code_of(ask(api, "POST", f"{theirs}/keys", json={"name": "n"})) == (404, "not_found")
    # A project of theirs gets no identity of ours.
    [mine] = [
        each
        for each in ask(api, "GET", of_tenant(api, "/identities")).json()["items"]
        if each["tenant_role"] == "reader"
    ]
    role = f"/identities/{mine['id']}/projects/{other.project().id}/role"
    assert code_of(ask(api, "PUT", role, json={"role": "reader"})) == (404, "not_found")


def test_no_administrator_takes_the_subject_of_someone_elses_tokens(api: ApiClient):
    """Subjects are one list for all tenants."""
    for path, more in (
        ("/users", {"email": "n@towline.example", "password": PASSWORD}),
        ("/service-accounts", {"name": "n"}),
    ):
        answer = ask(api, "POST", of_tenant(api, path), json={"subject": "someone", **more})
        assert code_of(answer) == (403, "forbidden")


def test_the_operator_administers_every_tenant(operated: ApiClient, other: GitTenant):
    made = operate(operated, "POST", "/tenants", json={"name": "made"})
    assert made.status_code == 201, made.text
    assert made.headers["location"] == f"{ADMIN}/tenants/{made.json()['id']}"
    again = operate(operated, "POST", "/tenants", json={"name": "made"})
    assert code_of(again) == (409, "already_exists")
    known = {each["id"] for each in operate(operated, "GET", "/tenants").json()["items"]}
    tenants = {str(operated.tenant.tenant_id), str(other.tenant_id), made.json()["id"]}
    assert known == tenants
    for tenant_id in tenants:
        body = {"name": "run", "subject": tenant_id, "tenant_role": "admin"}
        answer = operate(operated, "POST", f"/tenants/{tenant_id}/service-accounts", json=body)
        assert answer.json()["subject"] == tenant_id
    missing = f"/identities/{operated.project.id}"
    assert code_of(operate(operated, "GET", missing)) == (404, "not_found")


def test_the_operators_token_opens_nothing_else(operated: ApiClient):
    headers = {"Authorization": f"Bearer {OPERATOR}"}
    for url in (f"{V1}/projects", operated.url, f"{V1}/connections"):
        assert code_of(operated.client.get(url, headers=headers)) == (401, "unauthenticated")
    answer = operate(operated, "POST", "/tenants", content=b"{")
    assert code_of(answer) == (422, "invalid_request")
    keyed = operate(
        operated, "POST", "/tenants", json={"name": "n"}, headers={"Idempotency-Key": "once"}
    )
    assert code_of(keyed) == (400, "invalid_value")


@pytest.mark.parametrize("token", ["", " ", OPERATOR, f"{OPERATOR} "])
def test_a_server_without_an_operators_token_takes_none(api: ApiClient, token: str):
    headers = {"Authorization": f"Bearer {token}"}
    answer = api.client.get(f"{ADMIN}/tenants", headers=headers)
    assert code_of(answer) == (401, "unauthenticated")
