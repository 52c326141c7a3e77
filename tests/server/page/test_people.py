"""People, API keys and roles, set up on the page; and the log of it."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.control_plane import PASSWORD
from tests.server.page.browser import HtmlPage, PageClient
from towline_server.auth.identities import Identity
from towline_server.auth.roles import PrincipalKind, Role


def found(site: PageClient, name: str) -> Identity:
    with site.services.database.reading() as session:
        every = site.services.identities(session).of_tenant(site.tenant.tenant_id)
    return next(each for each in every if each.name == name)


def test_a_user_is_added_given_roles_and_disabled(admin: PageClient):
    form = admin.get("/ui/people/new")
    values: dict[str, Any] = {"email": "ann@demo.example", "password": PASSWORD, "name": "Ann"}
    sent = admin.send(form, "/ui/people/new?kind=user", **values, tenant_role="reader")
    ann = found(admin, "Ann")
    at = f"/ui/people/{ann.id}"
    assert sent.headers["location"] == at
    assert ann.tenant_role is Role.READER
    assert at in admin.get("/ui/people?q=ANN@").links
    assert at not in admin.get("/ui/people?q=nothing").links

    admin.post(f"{at}/role", {"role": ""})
    admin.post(f"{at}/role", {"role": "writer", "project": f"/{admin.project.path}"})
    with admin.services.database.reading() as session:
        identities = admin.services.identities(session)
        assert identities.roles(ann.id) == {admin.project.id: Role.WRITER}
    assert found(admin, "Ann").tenant_role is None
    admin.post(f"{at}/role", {"role": "", "project": admin.project.path})
    with admin.services.database.reading() as session:
        assert admin.services.identities(session).roles(ann.id) == {}

    assert f"{at}/disable" not in admin.get(at).actions
    asked = admin.get(f"{at}/disable")
    assert found(admin, "Ann").disabled_at is None
    admin.send(asked, f"{at}/disable")
    assert found(admin, "Ann").disabled_at is not None
    admin.send(admin.get(at), f"{at}/enable")
    assert found(admin, "Ann").disabled_at is None


def test_a_service_account_needs_no_password(admin: PageClient):
    action = "/ui/people/new?kind=service_account"
    admin.send(admin.get(action), action, name="robot")
    robot = found(admin, "robot")
    assert (robot.kind, robot.email) == (PrincipalKind.SERVICE_ACCOUNT, None)
    assert f"/ui/people/{robot.id}/password" not in admin.get(f"/ui/people/{robot.id}").actions


def test_what_is_wrong_is_shown_by_its_field_and_no_password_comes_back(admin: PageClient):
    action = "/ui/people/new?kind=user"
    values: dict[str, Any] = {"email": "no address", "password": "short-secret", "name": "Bob"}
    sent = admin.send(admin.get(action), action, 422, **values)
    page = HtmlPage(sent.text)
    fields = {
        given["name"]: given for tag, given in page.tags if tag == "input" and "name" in given
    }
    assert fields["email"]["aria-invalid"] == "true"
    assert fields["email"]["value"] == "no address"
    assert fields["name"]["value"] == "Bob"
    assert "short-secret" not in sent.text
    taken: dict[str, Any] = {"email": "twin@demo.example", "password": PASSWORD, "name": ""}
    admin.send(page, action, **taken)
    again = admin.send(admin.get(action), action, 422, **taken)
    assert "already exists" in again.text


def test_a_new_password_ends_sessions_and_a_short_one_is_refused(admin: PageClient):
    action = "/ui/people/new?kind=user"
    values: dict[str, Any] = {"email": "eve@demo.example", "password": PASSWORD, "name": "Eve"}
    admin.send(admin.get(action), action, **values)
    at = f"/ui/people/{found(admin, 'Eve').id}"
    refused = admin.send(admin.get(at), f"{at}/password", 422, password="short")
    assert "needs 12 characters or more" in refused.text
    admin.send(admin.get(at), f"{at}/password", password="another password")
    admin.client.cookies.clear()
    form = admin.get("/ui/sign-in").forms[0]
    fields = dict(form.fields) | {"email": "eve@demo.example", "password": "another password"}
    assert admin.client.post("/ui/sign-in", data=fields).status_code == 303


def test_a_role_on_a_project_that_is_not_there_is_refused(admin: PageClient):
    at = f"/ui/people/{found(admin, 'the administrator').id}"
    answer = admin.post(f"{at}/role", {"role": "reader", "project": "shop/space/nothing"})
    assert answer.status_code == 422
    assert "there is none at shop/space/nothing" in answer.text


def test_the_last_administrator_is_shown_that_they_stay_one(admin: PageClient):
    at = f"/ui/people/{found(admin, 'the administrator').id}"
    for action, values in ((f"{at}/role", {"role": "reader"}), (f"{at}/disable", {})):
        answer = admin.post(action, values)
        assert answer.status_code == 409, action
        assert "no one else administers the tenant" in answer.text
    assert found(admin, "the administrator").tenant_role is Role.ADMIN
    admin.key(Role.ADMIN)
    assert admin.post(f"{at}/role", {"role": "reader"}).status_code == 303


def test_no_one_is_offered_to_disable_themselves(admin: PageClient):
    at = f"/ui/people/{found(admin, 'the administrator').id}"
    assert f"{at}/disable" not in admin.get(at).links


def test_a_key_is_shown_once_and_works_until_it_is_revoked(admin: PageClient):
    sent = admin.send(admin.get("/ui/keys/new"), "/ui/keys/new", 200, name="deploys", days="30")
    assert sent.headers["cache-control"] == "no-store"
    [key] = re.findall(r'<code id="secret">([^<]+)</code>', sent.text)
    made = found(admin, "deploys")
    assert made.expires_at is not None
    at = f"/ui/people/{made.id}"
    assert key not in admin.client.get(at).text + admin.client.get("/ui/keys").text
    assert admin.services.authenticator.by_key(key).id == made.id
    assert "Revoke" in admin.client.get(at).text
    assert "Revoke" in admin.ask(f"{at}/disable").text
    admin.post(f"{at}/disable")
    admin.client.cookies.clear()
    form = admin.get("/ui/sign-in").forms[-1]
    refused = admin.client.post("/ui/sign-in", data=dict(form.fields) | {"key": key})
    assert refused.status_code == 401


def test_the_log_shows_who_did_it_and_is_filtered_and_downloaded(admin: PageClient):
    for name in ("one", "two"):
        admin.send(admin.get("/ui/keys/new"), "/ui/keys/new", 200, name=name)
    shown = admin.client.get("/ui/audit").text
    assert "api_key.created" in shown
    assert "the administrator" in shown
    made = found(admin, "one")
    only = admin.get(f"/ui/audit?subject={made.id}&action=api_key.created")
    assert "one" in only.text
    assert "two" not in only.text
    lines = admin.client.get(f"/ui/audit/lines?subject={made.id}")
    assert "attachment" in lines.headers["content-disposition"]
    [line] = lines.text.splitlines()
    assert json.loads(line)["actor_name"] == "the administrator"
    for query in ("since=yesterday", "actor=x", "action=x"):
        assert admin.client.get(f"/ui/audit?{query}").status_code == 422
        assert admin.client.get(f"/ui/audit/lines?{query}").status_code == 400


def test_a_long_log_is_read_a_page_at_a_time(admin: PageClient):
    with admin.services.database.writing() as session:
        identities = admin.services.identities(session)
        made, _ = identities.create_key(tenant_id=admin.tenant.tenant_id, name="busy")
    for _ in range(51):
        admin.post(f"/ui/people/{made.id}/disable")
        admin.post(f"/ui/people/{made.id}/enable")
    first = admin.get(f"/ui/audit?subject={made.id}")
    [older] = [link for link in first.links if "after=" in link]
    second = admin.get(f"/ui/audit{older}")
    rows = [sum(tag == "tr" for tag, _ in page.tags) - 1 for page in (first, second)]
    assert rows == [100, 2]
