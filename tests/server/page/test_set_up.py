"""Connections, projects and webhooks, set up on the page."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import UUID

import pytest
from httpx2 import Response

from tests.databases import everything
from tests.server.page.browser import HtmlPage, PageClient
from towline.options import OnConflict
from towline_server.api import admin as administration
from towline_server.auth.roles import Role
from towline_server.errors import existing
from towline_server.projects.domain import Connection, Project
from towline_server.projects.service import Projects


def connection_of(site: PageClient, connection_id: UUID) -> Connection:
    with site.services.database.reading() as session:
        return existing(site.services.connections(session).get(connection_id), "connection")


def project_at(site: PageClient, path: str) -> Project:
    with site.services.database.reading() as session:
        return existing(Projects(session).by_path(site.tenant.tenant_id, path), "project")


def paths(site: PageClient) -> set[str]:
    """The paths of the tenant's projects."""
    with site.services.database.reading() as session:
        return {each.path for each in Projects(session).of_tenant(site.tenant.tenant_id)}


def added(site: PageClient, of: str, **values: Any) -> Connection:
    """A connection that was added on the page."""
    action = f"/ui/connections/new?provider={of}"
    sent = site.send(site.get(action), action, 303, **values)
    return connection_of(site, UUID(sent.headers["location"].rpartition("/")[2]))


def wanted(site: PageClient, name: str, **more: str) -> dict[str, Any]:
    """What the form of a new project says, of one beside the site's own."""
    space, connection_id = site.project.path.rpartition("/")[0], site.project.bound.connection_id
    return {"path": f"{space}/{name}", "binding.connection_id": str(connection_id), **more}


def rows(text: str) -> list[list[str]]:
    """The rows of a preview: path, kind or why there is none, and where it is shown the id."""
    body = text.partition("<tbody>")[2].partition("</tbody>")[0]
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in body.split("</tr>")[:-1]]
    return [[re.sub("<[^>]*>", "", cell) for cell in row] for row in cells]


@pytest.mark.parametrize(
    ("action", "status", "values"),
    [
        ("/ui/keys/new", 200, {"name": "deploys"}),
        ("/ui/webhooks/new", 200, {"url": "https://receiver.example/"}),
        ("/ui/connections/new?provider=git", 303, {"url": "https://git.example/rules.git"}),
        ("/ui/people/new?kind=service_account", 303, {"name": "robot"}),
        ("{project}/schedules/new", 303, {"cron": "0 4 * * *"}),
    ],
)
def test_a_form_that_is_sent_twice_makes_one_thing_and_has_one_answer(
    admin: PageClient, action: str, status: int, values: dict[str, Any]
):
    action = action.format(project=admin.url)
    page, answers = admin.get(action), list[Response]()
    for sent in (page, page, admin.get(action)):
        before = everything(admin.services.database)
        answers.append(admin.send(sent, action, status, **values))
        is_new = everything(admin.services.database) != before
        assert is_new is (len(answers) != 2)
    first, again, other = [(each.text, each.headers.get("location")) for each in answers]
    assert again == first
    assert answers[1].headers["content-security-policy"].startswith("default-src 'none'")
    assert "schedules" in action or other != first


def test_a_form_that_is_sent_again_before_its_answer_asks_for_patience(
    admin: PageClient, monkeypatch: pytest.MonkeyPatch
):
    page, shown = admin.get("/ui/keys/new"), list[HtmlPage]()
    create_key = administration.create_key

    def sent_again(*given: Any) -> Any:
        monkeypatch.undo()
        again = admin.send(page, "/ui/keys/new", 422, name="deploys")
        assert "try again in a moment" in again.text
        shown.append(HtmlPage(again.text))
        return create_key(*given)

    monkeypatch.setattr(administration, "create_key", sent_again)
    first = admin.send(page, "/ui/keys/new", 200, name="deploys")
    assert admin.send(shown[0], "/ui/keys/new", 200).text == first.text


# --- connections ----------------------------------------------------------------------------------


def test_every_provider_of_connections_has_a_form_of_what_the_api_takes(admin: PageClient):
    links = [link for link in admin.get("/ui/connections/new").links if "provider=" in link]
    found = {link.partition("provider=")[2]: admin.get(link).inputs for link in links}
    assert set(found) == {"git", "http_api", "s3", "postgres", "sftp"}
    assert "required" in found["sftp"]["config.host_key"]
    assert found["s3"]["config.region"]["value"] == "us-east-1"
    assert found["git"]["credential.password"]["type"] == "password"
    assert "config.paging" in found["http_api"]
    assert "config.table" in found["postgres"]


def test_a_connection_is_added_changed_and_deleted(admin: PageClient):
    secret = "a token that no page shows"
    made = added(
        admin,
        "http_api",
        **{
            "name": "rules",
            "url": "https://rules.example/list",
            "config.items": "/data/items",
            "config.parameters": "state=live\nsort=id",
            "credential.password": secret,
        },
    )
    assert made.config["items"] == "/data/items"
    assert made.config["parameters"] == {"state": "live", "sort": "id"}
    assert made.config["id_field"] == "id"
    assert made.has_credential
    at = f"/ui/connections/{made.id}"
    page = admin.ask(at)
    assert secret not in page.text
    assert HtmlPage(page.text).inputs["config.items"]["value"] == "/data/items"

    admin.send(HtmlPage(page.text), at, 303, name="other rules")
    changed = connection_of(admin, made.id)
    assert (changed.name, changed.has_credential) == ("other rules", True)
    admin.send(admin.get(at), at, 303, **{"forget-credential": "true"})
    assert not connection_of(admin, made.id).has_credential

    assert f"{at}/delete" in admin.get(at).links
    admin.send(admin.get(f"{at}/delete"), f"{at}/delete")
    assert at not in admin.get("/ui/connections").links


def test_a_git_connection_needs_an_address_alone(admin: PageClient):
    made = added(admin, "git", url="https://git.example/team/rules.git", provider="gitlab")
    assert (made.provider, made.has_credential) == ("gitlab", False)


def test_what_is_wrong_with_a_connection_is_shown_by_its_field(admin: PageClient):
    action = "/ui/connections/new?provider=http_api"
    values: dict[str, Any] = {
        "url": "https://rules.example/list",
        "config.parameters": "api_key=x",
        "credential.password": "a secret to lose",
        "name": "n",
    }
    sent = admin.send(admin.get(action), action, 422, **values)
    fields = HtmlPage(sent.text).inputs
    assert fields["config.parameters"]["aria-invalid"] == "true"
    assert "give it as the credential" in sent.text
    assert fields["name"]["value"] == "n"
    assert "a secret to lose" not in sent.text
    wrong = admin.send(admin.get(action), action, 422, url="ftp://rules.example/")
    assert HtmlPage(wrong.text).inputs["url"]["aria-invalid"] == "true"


def test_a_connection_in_use_is_not_deleted(admin: PageClient):
    at = f"/ui/connections/{admin.project.bound.connection_id}"
    assert f"{at}/delete" not in admin.get(at).links
    assert admin.post(f"{at}/delete").status_code == 409
    assert admin.project.path in admin.get(at).text


def test_a_reader_of_the_tenant_sees_connections_without_forms(site: PageClient):
    site.sign_in(site.key(Role.READER))
    at = f"/ui/connections/{site.project.bound.connection_id}"
    assert at in site.get("/ui/connections").links
    assert not [each for each in site.get(at).actions if "connections" in each]


# --- projects -------------------------------------------------------------------------------------


def test_a_preview_shows_what_a_pull_then_makes_an_asset(admin: PageClient):
    files = {
        "flows/a.json": b'{"id": "one"}',
        "flows/b.json": b'{"id": "two"}',
        "notes.md": b"no asset",
    }
    admin.tenant.repository.commit(files)
    kinds = [{"name": "flow", "globs": ["flows/*.json"], "id_pointer": "/id"}]
    values = wanted(admin, "made", kinds="own", own_kinds=json.dumps(kinds), on_conflict="skip")
    path = values["path"]
    shown = admin.send(admin.get("/ui/new-project"), "/ui/new-project", 200, **values, do="preview")
    assert path not in paths(admin)
    assert "2 assets" in HtmlPage(shown.text).text
    page = HtmlPage(shown.text)
    assert rows(shown.text) == [
        ["flows/a.json", "flow"],
        ["flows/b.json", "flow"],
        ["notes.md", "ignored: not an asset"],
    ]
    assert "<dt>flow</dt><dd>2</dd>" in shown.text
    assert "1 other file." in page.text
    assert page.inputs["path"]["value"] == path

    made = admin.send(admin.get("/ui/new-project"), "/ui/new-project", 303, **values, do="create")
    project = project_at(admin, path)
    assert made.headers["location"] == f"/ui/projects/{project.id}"
    assert project.settings.on_conflict is OnConflict.SKIP
    admin.services.runs.request(project.id)
    admin.runner.work()
    with admin.tenant.store(project).snapshot() as ours:
        records = list(ours.records())
    found = {each.ours.path: str(each.id) for each in records if each.ours is not None}
    assert set(found) == {"flows/a.json", "flows/b.json"}
    assert all(path in page.text for path in found)


def test_a_preset_is_previewed_and_its_kinds_are_the_projects(admin: PageClient):
    admin.tenant.repository.commit({"a.json": b"{}"})
    form = admin.get("/ui/new-project")
    preset = next(
        given["value"]
        for tag, given in form.tags
        if tag == "option" and given.get("value", "").startswith("preset:")
    )
    values = wanted(admin, "by-preset", kinds=preset)
    shown = admin.send(form, "/ui/new-project", 200, **values, do="preview")
    assert "Nothing was saved" in shown.text
    admin.send(form, "/ui/new-project", 303, **values, do="create")
    project = project_at(admin, values["path"])
    assert project.kinds.kinds[0].name != "file"


def test_a_preview_says_why_there_is_none(admin: PageClient):
    form, path = admin.get("/ui/new-project"), f"{admin.project.path}2"
    values: dict[str, Any] = {"path": path, "do": "preview"}
    unbound = admin.send(form, "/ui/new-project", 200, **values)
    assert "Choose a connection first" in unbound.text
    values["binding.connection_id"] = str(admin.project.bound.connection_id)
    missing = admin.send(form, "/ui/new-project", 200, **values, **{"binding.ref": "heads/nothing"})
    assert "heads/nothing" in missing.text
    assert "Preview of the assets" in missing.text


def test_more_assets_than_a_pull_takes_are_shown_a_page_at_a_time(admin: PageClient):
    many = {f"{number:04}.json": b"{}" for number in range(1001)}
    admin.tenant.repository.commit(many)
    values = wanted(admin, "many")
    form, shown = admin.get("/ui/new-project"), []
    for number in (1, 2, 11, 12):
        values["do"] = "preview" if number == 1 else f"preview:{number}"
        text = admin.send(form, "/ui/new-project", 200, **values).text
        assert "1001 assets" in text
        assert "would be refused" in text
        shown.append([path for path, _ in rows(text)])
        form = HtmlPage(text)
        assert dict(form.form("/ui/new-project").fields)["path"] == values["path"]
    assert [each[0] for each in shown] == ["0000.json", "0100.json", "1000.json", "1000.json"]
    assert [len(each) for each in shown] == [100, 100, 1, 1]


def test_the_preview_of_other_kinds_has_the_ids_that_a_pull_gives(admin: PageClient):
    files = {"rules/a.json": b"{}", "tasks/b.json": b"{}"}
    admin.tenant.repository.commit(files)
    admin.services.runs.request(admin.project.id)
    admin.runner.work()
    admin.tenant.repository.commit({**files, "rules/new.json": b"{}"})
    at = f"{admin.url}/settings"
    kinds = [{"name": "rule", "globs": ["rules/**"]}]
    values: dict[str, Any] = {"kinds": "own", "own_kinds": json.dumps(kinds)}
    shown = admin.send(admin.get(at), at, 200, do="preview", **values).text
    found = {path: (kind, asset_id) for path, kind, asset_id in rows(shown)}
    assert found["tasks/b.json"] == ("ignored: not an asset", "")
    assert project_at(admin, admin.project.path) == admin.project
    admin.send(admin.get(at), at, 303, do="save", **values)
    admin.services.runs.request(admin.project.id)
    admin.runner.work()
    with admin.tenant.store(admin.project).snapshot() as ours:
        ids = {str(each.ours.path): str(each.id) for each in ours.records() if each.ours}
    assert found["rules/a.json"] == ("rule", ids["rules/a.json"])
    assert found["rules/new.json"] == ("rule", ids["rules/new.json"])


def test_a_preview_names_ids_in_contents_that_occur_twice(admin: PageClient):
    admin.tenant.repository.commit({"a.json": b'{"id": "one"}', "b.json": b'{"id": "one"}'})
    kinds = [{"name": "flow", "globs": ["**"], "id_pointer": "/id"}]
    values: dict[str, Any] = {"kinds": "own", "own_kinds": json.dumps(kinds)}
    at = f"{admin.url}/settings"
    page = HtmlPage(admin.send(admin.get(at), at, 200, do="preview", **values).text)
    assert "a.json: " in page.text


def test_what_is_wrong_with_a_project_is_shown_by_its_field(admin: PageClient):
    form = admin.get("/ui/new-project")
    for values, field in (
        ({"path": "elsewhere/space/x"}, "path"),
        ({"path": f"{admin.project.path}2", "kinds": "own", "own_kinds": "{"}, "own_kinds"),
        ({"path": ""}, "path"),
    ):
        given: dict[str, Any] = values
        sent = admin.send(form, "/ui/new-project", 422, **given, do="create")
        assert HtmlPage(sent.text).inputs[field]["aria-invalid"] == "true", values
    taken = admin.send(form, "/ui/new-project", 422, path=admin.project.path, do="create")
    assert "this project already exists" in taken.text


def test_settings_change_what_was_changed_alone(admin: PageClient):
    at = f"{admin.url}/settings"
    before = admin.project
    admin.send(admin.get(at), at, 303, do="save")
    assert project_at(admin, before.path) == before
    admin.send(admin.get(at), at, 303, do="save", on_conflict="theirs", hidden="true")
    after = project_at(admin, before.path)
    assert (after.settings.on_conflict, after.kinds.hidden) == (OnConflict.THEIRS, True)
    assert (after.binding, after.kinds.kinds) == (before.binding, before.kinds.kinds)
    kinds = [{"name": "rule", "globs": ["rules/**"]}]
    admin.send(admin.get(at), at, 303, do="save", kinds="own", own_kinds=json.dumps(kinds))
    changed = project_at(admin, before.path)
    assert [each.name for each in changed.kinds.kinds] == ["rule"]
    admin.send(admin.get(at), at, 303, do="save", **{"binding.connection_id": ""})
    unbound = project_at(admin, before.path)
    assert unbound.binding is None


def test_an_administrator_of_the_project_alone_cannot_bind_it_elsewhere(site: PageClient):
    other = site.tenant.project(name="other")
    site.sign_in()
    at = f"{site.url}/settings"
    assert str(other.bound.connection_id) not in site.ask(at).text or (
        other.bound.connection_id == site.project.bound.connection_id
    )
    with site.services.database.writing() as session:
        foreign = site.services.connections(session).create(
            tenant_id=site.tenant.tenant_id, url="https://git.example/other.git"
        )
    for do in ("save", "preview"):
        values = {"binding.connection_id": str(foreign.id)}
        site.send(site.get(at), at, 404, do=do, **values)


def test_a_project_is_deleted_once_its_path_is_typed(admin: PageClient):
    at = f"{admin.url}/delete"
    refused = admin.send(admin.get(at), at, 422, path="something else")
    assert "nothing was deleted" in refused.text
    assert admin.project.path in paths(admin)
    admin.send(admin.get(at), at, 303, path=f"/{admin.project.path}")
    assert admin.project.path not in paths(admin)


# --- webhooks -------------------------------------------------------------------------------------


def test_a_webhook_is_added_changed_pinged_and_deleted(admin: PageClient):
    sent = admin.send(
        admin.get("/ui/webhooks/new"),
        "/ui/webhooks/new",
        200,
        url="https://receiver.example/",
        project=admin.project.path,
        event=["run.failed"],
        enabled="true",
    )
    [secret] = re.findall(r'<code id="secret">(whsec_[^<]+)</code>', sent.text)
    with admin.services.database.reading() as session:
        [hook], _ = admin.services.webhooks(session).page(
            admin.tenant.tenant_id, limit=10, offset=0
        )
    assert hook.project_id == admin.project.id
    assert [str(each) for each in hook.event_types or ()] == ["run.failed"]
    at = f"/ui/webhooks/{hook.id}"
    shown = admin.ask(f"{at}/settings").text
    assert secret not in shown + admin.ask(at).text
    admin.send(HtmlPage(shown), f"{at}/settings", 303, project="", description="all of them")
    with admin.services.database.reading() as session:
        changed = admin.services.webhooks(session).get(hook.id)
    assert changed is not None
    assert (changed.project_id, changed.description) == (None, "all of them")
    admin.send(admin.get(at), f"{at}/ping")
    assert "ping" in admin.get(at).text
    assert f"{at}/rotate" in admin.get(f"{at}/settings").links
    again = admin.send(admin.get(f"{at}/rotate"), f"{at}/rotate", 200)
    assert secret not in again.text
    assert f"{at}/delete" in admin.get(f"{at}/settings").links
    admin.send(admin.get(f"{at}/delete"), f"{at}/delete")
    assert at not in admin.get("/ui/webhooks").links


def test_a_webhook_for_a_project_that_is_not_there_is_refused(admin: PageClient):
    form = admin.get("/ui/webhooks/new")
    values: dict[str, Any] = {"url": "https://receiver.example/", "project": "a/b/c"}
    sent = admin.send(form, "/ui/webhooks/new", 422, **values)
    assert HtmlPage(sent.text).inputs["project"]["aria-invalid"] == "true"
    plain = admin.send(form, "/ui/webhooks/new", 422, url="http://receiver.example/")
    assert HtmlPage(plain.text).inputs["url"]["aria-invalid"] == "true"
