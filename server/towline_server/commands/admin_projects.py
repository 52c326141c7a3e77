"""``towline admin connection``, ``project`` and ``secrets``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import click

from .database import project_at, secret, tenant_named, writing
from .output import Record, record_of, show, with_settings

if TYPE_CHECKING:
    from towline.kinds import Kinds
    from towline_server.projects.domain import Connection, Project

PROVIDERS = click.Choice(["git", "github", "gitlab", "bitbucket", "gitea", "azure_devops"])
POLICIES = click.Choice(["refuse", "skip", "theirs", "ours"])


@click.group()
def connection() -> None:
    """Connections: repositories that projects are bound to, and their credentials."""


@connection.command("create")
@click.option("--tenant", required=True, help="The tenant's name.")
@click.option("--url", required=True, help="The repository; a password in it is taken off.")
@click.option("--name", default="", help="For people; the URL by default.")
@click.option("--provider", type=PROVIDERS, default="git", show_default=True)
@click.option("--username", help="For HTTP; then the password or token is asked for.")
@click.option("--password-stdin", is_flag=True, help="Read it from stdin instead of asking.")
@with_settings
def create_connection(
    tenant: str,
    url: str,
    name: str,
    provider: str,
    username: str | None,
    password_stdin: bool,
    settings_file: Path | None,
    as_json: bool,
) -> None:
    """Create a connection."""
    from towline.remotes.credentials import TOKEN_USERNAME, Credential
    from towline_server.projects.domain import Provider

    credential = None
    if username is not None or password_stdin:
        password = secret("Password or token", from_stdin=password_stdin)
        credential = Credential(username or TOKEN_USERNAME, password)
    with writing(settings_file) as (services, session):
        made = services.connections(session).create(
            tenant_id=tenant_named(session, tenant).id,
            url=url,
            name=name,
            provider=Provider(provider),
            credential=credential,
        )
    show(_connection(made), as_json=as_json)


@connection.command("list")
@click.option("--tenant", required=True, help="The tenant's name.")
@with_settings
def list_connections(tenant: str, settings_file: Path | None, as_json: bool) -> None:
    """List a tenant's connections; their credentials are never shown."""
    with writing(settings_file) as (services, session):
        tenant_id = tenant_named(session, tenant).id
        found = services.connections(session).of_tenant(tenant_id)
    show([_connection(one) for one in found], as_json=as_json)


@connection.command("url")
@click.argument("connection_id", type=click.UUID)
@click.argument("url")
@with_settings
def change_url(connection_id: UUID, url: str, settings_file: Path | None, as_json: bool) -> None:
    """Point a connection elsewhere; for another host its credential is forgotten."""
    with writing(settings_file) as (services, session):
        changed = services.connections(session).change_url(connection_id, url)
    show(_connection(changed), as_json=as_json)


@connection.command("credential")
@click.argument("connection_id", type=click.UUID)
@click.option("--username", help="x-access-token by default, as hosts take it for a token.")
@click.option("--password-stdin", is_flag=True, help="Read it from stdin instead of asking.")
@with_settings
def set_credential(
    connection_id: UUID,
    username: str | None,
    password_stdin: bool,
    settings_file: Path | None,
    as_json: bool,
) -> None:
    """Store the credential for a connection's scheme, host and port."""
    from towline.remotes.credentials import TOKEN_USERNAME, Credential

    password = secret("Password or token", from_stdin=password_stdin)
    credential = Credential(username or TOKEN_USERNAME, password)
    with writing(settings_file) as (services, session):
        changed = services.connections(session).set_credential(connection_id, credential)
    show(_connection(changed), as_json=as_json)


@connection.command("webhook-secret")
@click.argument("connection_id", type=click.UUID)
@click.option("--secret-stdin", is_flag=True, help="Read it from stdin instead of asking.")
@with_settings
def set_webhook_secret(
    connection_id: UUID, secret_stdin: bool, settings_file: Path | None, as_json: bool
) -> None:
    """Store what signs the webhooks that a connection's host sends."""
    given = secret("Webhook secret", from_stdin=secret_stdin)
    with writing(settings_file) as (services, session):
        changed = services.connections(session).set_webhook_secret(connection_id, given)
    show(_connection(changed), as_json=as_json)


@click.group()
def project() -> None:
    """Projects."""


@project.command("create")
@click.argument("path", metavar="/ORG/SPACE/PROJECT")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="NAME=GLOB[,GLOB...]",
    help="What is an asset, the first that fits; every file by default. Repeatable.",
)
@click.option("--on-conflict", type=POLICIES, default="refuse", show_default=True)
@with_settings
def create_project(
    path: str,
    kinds: tuple[str, ...],
    on_conflict: str,
    settings_file: Path | None,
    as_json: bool,
) -> None:
    """Create a project; the org is its tenant's name."""
    from towline.options import OnConflict
    from towline_server.projects.domain import ProjectPath
    from towline_server.projects.service import Projects

    with writing(settings_file) as (_, session):
        parsed = ProjectPath.parse(path)
        made = Projects(session).create(
            tenant_id=tenant_named(session, parsed.org).id,
            path=parsed,
            kinds=_kinds(kinds),
            on_conflict=OnConflict(on_conflict),
        )
    show(_project(made), as_json=as_json)


@project.command("associate")
@click.argument("path", metavar="/ORG/SPACE/PROJECT")
@click.option("--connection", "connection_id", type=click.UUID, required=True)
@click.option("--ref", default="heads/main", show_default=True, help="A branch or a tag.")
@click.option("--scope", default="", help="The folder that is the project; all by default.")
@with_settings
def associate(
    path: str,
    connection_id: UUID,
    ref: str,
    scope: str,
    settings_file: Path | None,
    as_json: bool,
) -> None:
    """Bind a project to a connection's repository."""
    from towline_server.projects.domain import Binding
    from towline_server.projects.service import Projects

    binding = Binding(connection_id=connection_id, ref=ref, scope=scope)
    with writing(settings_file) as (_, session):
        bound = Projects(session).associate(project_at(session, path).id, binding)
    show(_project(bound), as_json=as_json)


@project.command("dissociate")
@click.argument("path", metavar="/ORG/SPACE/PROJECT")
@with_settings
def dissociate(path: str, settings_file: Path | None, as_json: bool) -> None:
    """Take a project's binding away; its assets stay."""
    from towline_server.projects.service import Projects

    with writing(settings_file) as (_, session):
        freed = Projects(session).dissociate(project_at(session, path).id)
    show(_project(freed), as_json=as_json)


@project.command("list")
@click.option("--tenant", required=True, help="The tenant's name.")
@with_settings
def list_projects(tenant: str, settings_file: Path | None, as_json: bool) -> None:
    """List a tenant's projects."""
    from towline_server.projects.service import Projects

    with writing(settings_file) as (_, session):
        found = Projects(session).of_tenant(tenant_named(session, tenant).id)
    show([_project(one) for one in found], as_json=as_json)


@click.group()
def secrets() -> None:
    """The keys that stored secrets are sealed with."""


@secrets.command("reseal")
@with_settings
def reseal(settings_file: Path | None, as_json: bool) -> None:
    """Seal every stored secret with the first of secret_keys; then the others can go."""
    from towline_server.web.idempotency import reseal_responses

    with writing(settings_file) as (services, session):
        changed = (
            services.connections(session).reseal()
            + services.webhooks(session).reseal()
            + reseal_responses(session, services.sealer)
        )
    show({"resealed": changed}, as_json=as_json)


def _kinds(given: tuple[str, ...]) -> Kinds | None:
    from towline.errors import InvalidValue
    from towline.kinds import Kind, Kinds

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
    return record_of(one, credential_origin=origin, has_credential=one.has_credential)


def _project(one: Project) -> Record:
    bound = one.binding
    binding = None if bound is None else record_of(bound)
    kinds = [{"name": kind.name, "globs": list(kind.globs)} for kind in one.kinds.kinds]
    return record_of(one, path=f"/{one.path}", binding=binding, kinds=kinds)
