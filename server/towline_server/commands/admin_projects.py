"""``towline admin connection``, ``project`` and ``secrets``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from .session import (
    AdminSession,
    Record,
    admin_command,
    password_option,
    record_of,
    secret,
    tenant_option,
)

if TYPE_CHECKING:
    from towline.kinds import Kinds
    from towline.remotes.credentials import Credential
    from towline_server.projects.domain import Connection, Project

PROVIDERS = click.Choice(
    [
        "git",
        "github",
        "gitlab",
        "bitbucket",
        "gitea",
        "azure_devops",
        "http_api",
        "s3",
        "postgres",
        "sftp",
    ]
)
ON_CONFLICT = click.Choice(["refuse", "skip", "theirs", "ours"])
CONTENT_MERGE = click.Choice(["auto", "structure", "lines", "never"])
RENAMES = click.Choice(["similar", "exact", "off"])
connection_argument = click.argument("connection_id", type=click.UUID)
path_argument = click.argument("path", metavar="/ORG/SPACE/PROJECT")

connection = click.Group(
    "connection",
    help="Connections: repositories that projects are bound to, and their credentials.",
)
project = click.Group("project", help="Projects.")
secrets = click.Group("secrets", help="The keys that encrypt stored secrets.")
GROUPS = (connection, project, secrets)


@admin_command(connection, "create")
@tenant_option
@click.option("--url", required=True, help="The repository; a password in the URL is removed.")
@click.option("--name", default="", help="The name to show; the URL by default.")
@click.option("--provider", type=PROVIDERS, default="git", show_default=True)
@click.option("--config", default="{}", help="Settings of a source other than its URL, as JSON.")
@click.option("--username", help="The user name; prompts for the password or token.")
@password_option
def create_connection(
    database: AdminSession,
    tenant: str,
    url: str,
    name: str,
    provider: str,
    config: str,
    username: str | None,
    password_stdin: bool,
) -> Record:
    """Create a connection."""
    from towline_server.projects.domain import Provider

    credential = None
    if username is not None or password_stdin:
        credential = _credential(username, from_stdin=password_stdin)
    created = database.connections.create(
        tenant_id=database.tenant_id(tenant),
        url=url,
        name=name,
        provider=Provider(provider),
        config=_object(config),
        credential=credential,
    )
    return _connection(created)


def _object(text: str) -> dict[str, Any]:
    """Return a JSON object that an option has."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise click.BadParameter("must be a JSON object", param_hint="--config")
    return found


@admin_command(connection, "list")
@tenant_option
def list_connections(database: AdminSession, tenant: str) -> Sequence[Record]:
    """List a tenant's connections; their credentials are never shown."""
    found = database.connections.of_tenant(database.tenant_id(tenant))
    return [_connection(one) for one in found]


@admin_command(connection, "url")
@connection_argument
@click.argument("url")
def change_url(database: AdminSession, connection_id: UUID, url: str) -> Record:
    """Point a connection elsewhere; for another host its credential is forgotten."""
    return _connection(database.connections.change_url(connection_id, url))


@admin_command(connection, "credential")
@connection_argument
@click.option("--username", help="x-access-token by default, which hosts accept with a token.")
@password_option
def set_credential(
    database: AdminSession, connection_id: UUID, username: str | None, password_stdin: bool
) -> Record:
    """Store the credential for a connection's scheme, host and port."""
    credential = _credential(username, from_stdin=password_stdin)
    return _connection(database.connections.set_credential(connection_id, credential))


@admin_command(connection, "webhook-secret")
@connection_argument
@click.option(
    "--secret-stdin", is_flag=True, help="Read it from standard input instead of prompting."
)
def set_webhook_secret(database: AdminSession, connection_id: UUID, secret_stdin: bool) -> Record:
    """Store what signs the webhooks that a connection's host sends."""
    given = secret("Webhook secret", from_stdin=secret_stdin)
    return _connection(database.connections.set_webhook_secret(connection_id, given))


@admin_command(project, "create")
@path_argument
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="NAME=GLOB[,GLOB...]",
    help="Which files are assets of which kind; the first match counts. By default, every file is "
    "an asset. Repeatable.",
)
@click.option(
    "--kinds",
    "kinds_file",
    metavar="FILE",
    help="The same, as a kinds file (TOML, JSON or YAML) or preset:NAME (docs/kinds.md).",
)
@click.option("--on-conflict", type=ON_CONFLICT, default="refuse", show_default=True)
@click.option("--content-merge", type=CONTENT_MERGE, default="auto", show_default=True)
@click.option("--renames", type=RENAMES, default="similar", show_default=True)
def create_project(
    database: AdminSession,
    path: str,
    kinds: tuple[str, ...],
    kinds_file: str | None,
    **settings: str,
) -> Record:
    """Create a project; the org is its tenant's name."""
    from towline.codec import decode
    from towline_server.projects.domain import ProjectPath, PullSettings

    parsed = ProjectPath.parse(path)
    created = database.projects.create(
        tenant_id=database.tenant_id(parsed.org),
        path=parsed,
        kinds=_kinds(kinds, kinds_file),
        settings=decode(PullSettings, settings, "settings"),
    )
    return _project(created)


@admin_command(project, "associate")
@path_argument
@click.option("--connection", "connection_id", type=click.UUID, required=True)
@click.option("--ref", default="heads/main", show_default=True, help="A branch or a tag.")
@click.option(
    "--scope", default="", help="The subfolder of the repository to use; all of it by default."
)
def associate(
    database: AdminSession, path: str, connection_id: UUID, ref: str, scope: str
) -> Record:
    """Bind a project to a connection's repository."""
    from towline_server.projects.domain import Binding

    binding = Binding(connection_id=connection_id, ref=ref, scope=scope)
    return _project(database.projects.associate(database.project_at(path).id, binding))


@admin_command(project, "dissociate")
@path_argument
def dissociate(database: AdminSession, path: str) -> Record:
    """Unbind a project from its repository; its assets stay."""
    return _project(database.projects.dissociate(database.project_at(path).id))


@admin_command(project, "list")
@tenant_option
def list_projects(database: AdminSession, tenant: str) -> Sequence[Record]:
    """List a tenant's projects."""
    return [_project(one) for one in database.projects.of_tenant(database.tenant_id(tenant))]


@admin_command(secrets, "reseal")
def reseal(database: AdminSession) -> Record:
    """Seal every stored secret with the first of secret_keys; then the others can go."""
    from towline_server.audit.log import Action, Owner, record
    from towline_server.web.idempotency import reseal_responses

    webhooks = database.services.webhooks(database.session)
    responses = reseal_responses(database.session, database.services.sealer)
    resealed = database.connections.reseal() + webhooks.reseal() + responses
    record(database.session, Action.SECRETS_RESEALED, None, Owner(None), resealed=resealed)
    return {"resealed": resealed}


def _credential(username: str | None, *, from_stdin: bool) -> Credential:
    from towline.remotes.credentials import TOKEN_USERNAME, Credential

    password = secret("Password or token", from_stdin=from_stdin)
    return Credential(username or TOKEN_USERNAME, password)


def _kinds(given: tuple[str, ...], kinds_file: str | None) -> Kinds | None:
    from towline.errors import InvalidValue
    from towline.kinds import Kind, Kinds
    from towline.kinds_file import find_kinds

    if kinds_file is not None:
        if given:
            raise InvalidValue(field="kind", problem="cannot be used with --kinds")
        return find_kinds(kinds_file)
    kinds = []
    for text in given:
        name, equals, globs = text.partition("=")
        if not equals:
            raise InvalidValue(field="kind", problem=f"{text!r} is not NAME=GLOB")
        kinds.append(Kind(name=name, globs=tuple(globs.split(","))))
    return Kinds(tuple(kinds)) if kinds else None


def _connection(one: Connection) -> Record:
    from towline_server.projects.connections import origin_text

    origin = None if one.credential_origin is None else origin_text(one.credential_origin)
    return record_of(
        one,
        config=dict(one.config),
        credential_origin=origin,
        has_credential=one.has_credential,
    )


def _project(one: Project) -> Record:
    binding = None if one.binding is None else record_of(one.binding)
    record = record_of(one, path=f"/{one.path}", binding=binding, **one.kinds.to_document())
    del record["settings"]
    return {**record, **record_of(one.settings)}
