"""``towline admin`` and ``towline openapi``, as a script uses them."""

from __future__ import annotations

import json
import re
import socket
from importlib.metadata import entry_points
from uuid import UUID

import pytest
from click.testing import CliRunner
from starlette.responses import Response

from tests.control_plane import PASSWORD
from towline.errors import AlreadyAssociated, InvalidValue, TowlineError
from towline.presets import load_preset
from towline.remotes.credentials import Credential
from towline_server.auth.roles import Role
from towline_server.commands.admin import admin
from towline_server.commands.openapi import openapi
from towline_server.commands.serve import serve
from towline_server.commands.work import work
from towline_server.errors import AlreadyExists, InvalidSettings, NotFound, Unavailable
from towline_server.projects.service import Projects
from towline_server.services import open_services
from towline_server.settings import load_settings
from towline_server.web.idempotency import KeyedRequest, KeyLock, ResponseStore
from towline_server.webhooks.service import EndpointSettings


@pytest.fixture
def settings_file(plain_environment, sqlite_url, tmp_path):
    file = tmp_path / "towline.toml"
    file.write_text(
        f'database_url = "{sqlite_url}"\ndata_dir = "{tmp_path}/data"\n'
        f'secret_keys = ["{"k" * 40}"]\n'
    )
    return file


@pytest.fixture
def run(settings_file, monkeypatch):
    monkeypatch.setenv("TOWLINE_SETTINGS", str(settings_file))

    def call(*words: str, stdin: str = "", as_json: bool = True):
        arguments = [*words, "--json"] if as_json else list(words)
        result = CliRunner().invoke(admin, arguments, input=stdin)
        if isinstance(result.exception, TowlineError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout) if as_json else result.stdout

    return call


@pytest.fixture
def services(settings_file):
    opened = open_services(load_settings(settings_file))
    yield opened
    opened.close()


def test_a_tenant_is_set_up_by_a_script(run, services):
    tenant = run("tenant", "create", "demo")
    user = run(
        *("user", "create", "--tenant", "demo", "--email", "a@demo.example", "--role", "admin"),
        "--password-stdin",
        stdin=f"{PASSWORD}\n",
    )
    robot = run(
        *("service-account", "create", "--tenant", "demo", "--name", "robot"),
        *("--subject", "robot", "--email", "robot@demo.example", "--password-stdin"),
        stdin=f"{PASSWORD}\n",
    )
    key = run("key", "create", "--tenant", "demo", "--name", "ci", "--days", "30")
    connection = run(
        *("connection", "create", "--tenant", "demo", "--provider", "github"),
        *("--url", "https://git.demo.example/x.git", "--password-stdin"),
        stdin="hush-token\n",
    )
    project = run(
        *("project", "create", "/demo/space/project", "--on-conflict", "skip"),
        *("--content-merge", "lines", "--renames", "exact"),
        *("--kind", "pipeline=*.slp,pipelines/**", "--kind", "file=**"),
    )
    bound = run(
        *("project", "associate", "/demo/space/project", "--connection", connection["id"]),
        *("--ref", "heads/staging", "--scope", "sub"),
    )
    run("role", "grant", key["id"], "writer", "--project", "/demo/space/project")
    run("role", "grant", robot["id"], "reader")

    assert tenant["name"] == "demo"
    assert (user["tenant_role"], user["kind"]) == ("admin", "user")
    assert connection["has_credential"]
    assert connection["credential_origin"] == "https://git.demo.example:443"
    assert "hush" not in json.dumps(connection)
    assert project["kinds"][0] == {"name": "pipeline", "globs": ["*.slp", "pipelines/**"]}
    settings = {"on_conflict": "skip", "content_merge": "lines", "renames": "exact"}
    assert {name: project[name] for name in settings} == settings
    assert bound["binding"] == {
        "connection_id": connection["id"],
        "ref": "heads/staging",
        "scope": "sub",
    }
    authenticator = services.authenticator
    by_key = authenticator.by_key(key["key"])
    assert set(by_key.project_roles.values()) == {Role.WRITER}
    assert authenticator.by_password("a@demo.example", PASSWORD, "").tenant_role is Role.ADMIN
    robots = authenticator.by_password("robot@demo.example", PASSWORD, "")
    assert robots.tenant_role is Role.READER
    with services.database.reading() as session:
        found = Projects(session).by_branch(by_key.tenant_id, "staging")
        assert found is not None
        assert str(found.id) == project["id"]
        stored = services.connections(session)
        found_connection = stored.get(found.bound.connection_id)
        assert found_connection is not None
        credential = Credential("x-access-token", "hush-token")
        assert stored.credentials(found_connection.id)(found_connection.url) == credential


def test_a_project_gets_the_kinds_of_a_file(run, tmp_path):
    run("tenant", "create", "demo")
    kinds = load_preset("terraform")
    (tmp_path / "kinds.json").write_text(json.dumps(kinds.to_document()))
    for name, given in (("a", str(tmp_path / "kinds.json")), ("b", "preset:terraform")):
        made = run("project", "create", f"/demo/space/{name}", "--kinds", given)
        assert {key: made[key] for key in ("kinds", "hidden")} == kinds.to_document()


def test_lists_show_everything_but_secrets(run):
    run("tenant", "create", "demo")
    key = run("key", "create", "--tenant", "demo", "--name", "ci")
    run("project", "create", "/demo/space/project")
    run("connection", "create", "--tenant", "demo", "--url", "https://git.demo.example/x")
    assert [one["name"] for one in run("tenant", "list")] == ["demo"]
    identities = run("identity", "list", "--tenant", "demo")
    assert [one["key_hint"] for one in identities] == [key["key"][:8]]
    assert key["key"] not in json.dumps(identities)
    assert [one["path"] for one in run("project", "list", "--tenant", "demo")] == [
        "/demo/space/project"
    ]
    assert len(run("connection", "list", "--tenant", "demo")) == 1
    for what in ("identity", "project", "connection"):
        assert run(what, "list", "--tenant", "demo", as_json=False).startswith("id=")


def test_a_connection_to_a_source_has_a_config(run):
    run("tenant", "create", "demo")
    create = ("connection", "create", "--tenant", "demo", "--provider", "s3", "--url")
    made = run(*create, "https://s3.demo.example/bucket", "--config", '{"region": "here"}')
    assert made["config"] == {"region": "here", "include": []}
    assert run("connection", "list", "--tenant", "demo", as_json=False)
    for url, config in (("https://s3.demo.example/", "{}"), ("https://s3.demo.example/b", "[]")):
        with pytest.raises((InvalidValue, AssertionError)):
            run(*create, url, "--config", config)


def test_what_the_shell_changes_is_in_the_audit_log(run):
    tenant = run("tenant", "create", "demo")
    key = run("key", "create", "--tenant", "demo", "--name", "ci")
    run("role", "grant", key["id"], "reader")
    found = run("audit")
    assert [(each["action"], each["subject"]) for each in found] == [
        ("tenant.created", tenant["id"]),
        ("api_key.created", key["id"]),
        ("identity.role_changed", key["id"]),
    ]
    assert {each["actor_kind"] for each in found} == {"shell"}
    assert found[2]["detail"] == {"name": "ci", "role": "reader"}
    assert key["key"] not in str(found)
    assert run("audit", "--since", "2200-01-01") == []


def test_identities_are_disabled_and_given_new_passwords(run, services):
    run("tenant", "create", "demo")
    new = ("user", "create", "--tenant", "demo", "--email", "a@demo.example", "--password-stdin")
    user = run(*new, stdin=PASSWORD)
    run("identity", "password", user["id"], "--password-stdin", stdin="another demo password")
    assert services.authenticator.by_password("a@demo.example", "another demo password", "")
    assert run("identity", "disable", user["id"])["disabled_at"] is not None
    assert run("identity", "enable", user["id"])["disabled_at"] is None
    run("role", "grant", user["id"], "admin")
    run("role", "revoke", user["id"])
    assert run("identity", "list", "--tenant", "demo")[0]["tenant_role"] is None


def test_a_password_is_asked_for_unseen(run):
    run("tenant", "create", "demo")
    words = ("user", "create", "--tenant", "demo", "--email", "a@demo.example")
    output = run(*words, stdin=f"{PASSWORD}\n{PASSWORD}\n", as_json=False)
    assert PASSWORD not in output


def test_connections_change(run):
    run("tenant", "create", "demo")
    create = ("connection", "create", "--tenant", "demo", "--url", "https://a:b@git.demo.example/x")
    made = run(*create)
    assert made["has_credential"]
    assert (
        run("connection", "url", made["id"], "https://elsewhere.example/x")["credential_origin"]
        is None
    )
    changed = run("connection", "credential", made["id"], "--password-stdin", stdin="token")
    assert changed["credential_origin"] == "https://elsewhere.example:443"
    signed = run("connection", "webhook-secret", made["id"], "--secret-stdin", stdin="signs")
    assert signed["has_webhook_secret"]


def test_secrets_are_resealed_with_a_new_key(run, settings_file, services):
    tenant = run("tenant", "create", "demo")
    run("connection", "create", "--tenant", "demo", "--url", "https://a:b@git.demo.example/x")
    key = run("key", "create", "--tenant", "demo", "--name", "k", "--role", "admin")
    responses = ResponseStore(database=services.database, sealer=services.sealer)
    with services.database.writing() as session:
        wanted = EndpointSettings(url="https://hooks.example/")
        services.webhooks(session).create(UUID(tenant["id"]), wanted)
        caller = services.identities(session).by_key(key["key"])
    request = KeyedRequest(caller=caller, route="POST /", key="once", digest="d")
    response = Response(b"\x00\xff", status_code=201, media_type="text/plain")
    lock = responses.acquire(request)
    assert isinstance(lock, KeyLock)
    responses.save(lock, response)
    assert run("secrets", "reseal") == {"resealed": 0}
    old, new = settings_file.read_text(), f'["{"n" * 40}"'
    settings_file.write_text(old.replace('["k', f'{new}, "k'))
    assert run("secrets", "reseal") == {"resealed": 3}
    settings_file.write_text(re.sub(r'\["k+"', new, old))
    assert run("secrets", "reseal") == {"resealed": 0}
    later = open_services(load_settings(settings_file))
    replayed = ResponseStore(database=later.database, sealer=later.sealer).acquire(request)
    assert isinstance(replayed, Response)
    assert (replayed.status_code, replayed.body) == (201, response.body)
    later.close()


def test_failures_are_typed_for_the_command_to_render(run):
    run("tenant", "create", "demo")
    project = run("project", "create", "/demo/space/project")
    connection = run("connection", "create", "--tenant", "demo", "--url", "https://g.example/x")
    associate = ("project", "associate", "/demo/space/project", "--connection", connection["id"])
    run(*associate)
    for failure, words in (
        (AlreadyExists, ("tenant", "create", "demo")),
        (NotFound, ("key", "create", "--tenant", "none", "--name", "x")),
        (NotFound, ("role", "grant", project["id"], "reader")),
        (NotFound, ("project", "dissociate", "/demo/space/none")),
        (AlreadyAssociated, associate),
        (InvalidValue, ("project", "create", "/demo/space")),
        (InvalidValue, ("project", "create", "/demo/space/x", "--kind", "nonsense")),
        (InvalidValue, ("project", "create", "/demo/space/x", "--kinds", "preset:nonsense")),
        (
            InvalidValue,
            ("project", "create", "/demo/space/x", "--kinds", "preset:n8n", "--kind", "a=*"),
        ),
        (InvalidValue, ("connection", "create", "--tenant", "demo", "--url", "http://g.example/x")),
    ):
        with pytest.raises(failure):
            run(*words)
    assert run("project", "dissociate", "/demo/space/project")["binding"] is None


def test_bad_settings_are_refused_before_anything_is_opened(plain_environment, tmp_path):
    file = tmp_path / "bad.toml"
    file.write_text('log_level = "loud"\n')
    for command, words in ((admin, ["tenant", "list"]), (serve, [])):
        result = CliRunner().invoke(command, [*words, "--settings", str(file)])
        assert isinstance(result.exception, InvalidSettings)


@pytest.mark.parametrize(("command", "words"), [(admin, ["tenant", "list"]), (serve, [])])
def test_a_database_that_does_not_answer_is_named_without_its_password(
    plain_environment, tmp_path, monkeypatch, command, words
):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        monkeypatch.setenv("TOWLINE_DATABASE_URL", f"postgresql://u:hush-hush@127.0.0.1:{port}/x")
        monkeypatch.setenv("TOWLINE_SECRET_KEYS", "k" * 40)
        monkeypatch.setenv("TOWLINE_DATA_DIR", str(tmp_path))
        failed = CliRunner().invoke(command, words).exception
    assert isinstance(failed, Unavailable)
    assert "the database cannot be reached: OperationalError: connection failed" in failed.message
    assert str(port) in failed.message
    assert "hush" not in failed.message


@pytest.mark.parametrize("words", [["--backend", "prefect"], [str(UUID(int=1))]])
def test_a_run_is_named_for_prefect_alone(words, settings_file):
    result = CliRunner().invoke(work, [*words, "--settings", str(settings_file)])
    assert (result.exit_code, "RUN is required with --backend prefect" in result.stderr) == (
        2,
        True,
    )


def test_prefect_is_named_by_the_settings(settings_file):
    words = ["--backend", "prefect", str(UUID(int=1)), "--settings", str(settings_file)]
    result = CliRunner().invoke(work, words)
    assert isinstance(result.exception, InvalidSettings)
    assert "prefect.api_url" in result.exception.message


def test_the_document_is_printed_without_settings(plain_environment, monkeypatch):
    monkeypatch.setenv("TOWLINE_LOG_LEVEL", "loud")
    result = CliRunner().invoke(openapi, [])
    assert result.exit_code == 0, result.exception
    assert json.loads(result.stdout)["info"]["title"] == "towline"
    address = "https://towline.example"
    result = CliRunner().invoke(openapi, ["--dialect", "codat", "--server", address])
    document = json.loads(result.stdout)
    assert (document["info"]["title"], document["servers"]) == (
        "towline: Codat",
        [{"url": address}],
    )
    result = CliRunner().invoke(openapi, ["--dialect", "cobol"])
    assert (result.exit_code, "one of native, codat, connections" in result.stderr) == (2, True)


def test_the_commands_join_by_their_entry_points():
    found = {point.name: point.load() for point in entry_points(group="towline.commands")}
    assert (found["admin"], found["openapi"], found["serve"]) == (admin, openapi, serve)
    assert found["work"] is work
