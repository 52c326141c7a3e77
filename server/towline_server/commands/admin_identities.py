"""``towline admin tenant``, ``user``, ``service-account``, ``key``, ``identity`` and ``role``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import click

from .database import project_at, secret, tenant_named, writing
from .output import Record, record_of, show, with_settings

if TYPE_CHECKING:
    from towline_server.auth.identities import Identities, Identity
    from towline_server.auth.roles import Role

ROLES = click.Choice(["reader", "writer", "admin"])
tenant_option = click.option("--tenant", required=True, help="The tenant's name.")
role_option = click.option("--role", type=ROLES, help="A role on every project of the tenant.")
password_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from stdin instead of asking."
)


def _role(name: str | None) -> Role | None:
    from towline_server.auth.roles import Role

    return None if name is None else Role(name)


def _shown(identity: Identity, **more: object) -> Record:
    return record_of(identity, **more)


# --- tenants ----------------------------------------------------------------------------------


@click.group()
def tenant() -> None:
    """Tenants: the org of paths, the workspace and client of keys."""


@tenant.command("create")
@click.argument("name")
@with_settings
def create_tenant(name: str, settings_file: Path | None, as_json: bool) -> None:
    """Create a tenant."""
    from towline_server.projects.tenants import Tenants

    with writing(settings_file) as (_, session):
        made = record_of(Tenants(session).create(name))
    show(made, as_json=as_json)


@tenant.command("list")
@with_settings
def list_tenants(settings_file: Path | None, as_json: bool) -> None:
    """List all tenants."""
    from towline_server.projects.tenants import Tenants

    with writing(settings_file) as (_, session):
        found = [record_of(one) for one in Tenants(session).all()]
    show(found, as_json=as_json)


# --- identities -------------------------------------------------------------------------------


@click.group()
def user() -> None:
    """Users: people who log in with an email and a password, or come with a token."""


@user.command("create")
@tenant_option
@click.option("--email", required=True)
@click.option("--name", default="", help="For people; the email by default.")
@click.option("--subject", help="What their tokens say in sub; their id by default.")
@role_option
@password_option
@with_settings
def create_user(
    tenant: str,
    email: str,
    name: str,
    subject: str | None,
    role: str | None,
    password_stdin: bool,
    settings_file: Path | None,
    as_json: bool,
) -> None:
    """Create a user."""
    password = secret("Password", from_stdin=password_stdin)
    with writing(settings_file) as (services, session):
        made = services.identities(session).create_user(
            tenant_id=tenant_named(session, tenant).id,
            email=email,
            password=password,
            name=name,
            tenant_role=_role(role),
            subject=subject,
        )
    show(_shown(made), as_json=as_json)


@click.group("service-account")
def service_account() -> None:
    """Service accounts: programs that come with a token, or with an email and a password."""


@service_account.command("create")
@tenant_option
@click.option("--name", required=True)
@click.option("--email", help="To log in with; then it needs a password, too.")
@click.option("--subject", help="What its tokens say in sub; its id by default.")
@role_option
@password_option
@with_settings
def create_service_account(
    tenant: str,
    name: str,
    email: str | None,
    subject: str | None,
    role: str | None,
    password_stdin: bool,
    settings_file: Path | None,
    as_json: bool,
) -> None:
    """Create a service account."""
    login = None
    if email is not None:
        login = (email, secret("Password", from_stdin=password_stdin))
    with writing(settings_file) as (services, session):
        made = services.identities(session).create_service_account(
            tenant_id=tenant_named(session, tenant).id,
            name=name,
            login=login,
            tenant_role=_role(role),
            subject=subject,
        )
    show(_shown(made), as_json=as_json)


@click.group()
def key() -> None:
    """API keys."""


@key.command("create")
@tenant_option
@click.option("--name", required=True, help="What it is for.")
@click.option("--days", type=click.IntRange(min=1), help="When it expires; never by default.")
@role_option
@with_settings
def create_key(
    tenant: str,
    name: str,
    days: int | None,
    role: str | None,
    settings_file: Path | None,
    as_json: bool,
) -> None:
    """Create an API key, and show it this once."""
    with writing(settings_file) as (services, session):
        made, shown_once = services.identities(session).create_key(
            tenant_id=tenant_named(session, tenant).id,
            name=name,
            tenant_role=_role(role),
            expires_at=None if days is None else datetime.now(UTC) + timedelta(days=days),
        )
    show(_shown(made, key=shown_once), as_json=as_json)


@click.group()
def identity() -> None:
    """Users, service accounts and keys alike, by their id."""


@identity.command("list")
@tenant_option
@with_settings
def list_identities(tenant: str, settings_file: Path | None, as_json: bool) -> None:
    """List a tenant's identities with their roles."""
    with writing(settings_file) as (services, session):
        identities = services.identities(session)
        found = [
            _shown(one, project_roles=_roles_of(identities, one))
            for one in identities.of_tenant(tenant_named(session, tenant).id)
        ]
    show(found, as_json=as_json)


def _roles_of(identities: Identities, one: Identity) -> dict[str, str]:
    return {str(project): str(role) for project, role in identities.roles(one.id).items()}


@identity.command("disable")
@click.argument("identity_id", type=click.UUID)
@with_settings
def disable(identity_id: UUID, settings_file: Path | None, as_json: bool) -> None:
    """Refuse an identity from now on."""
    with writing(settings_file) as (services, session):
        changed = services.identities(session).disable(identity_id)
    show(_shown(changed), as_json=as_json)


@identity.command("enable")
@click.argument("identity_id", type=click.UUID)
@with_settings
def enable(identity_id: UUID, settings_file: Path | None, as_json: bool) -> None:
    """Take an identity's refusal back."""
    with writing(settings_file) as (services, session):
        changed = services.identities(session).enable(identity_id)
    show(_shown(changed), as_json=as_json)


@identity.command("password")
@click.argument("identity_id", type=click.UUID)
@password_option
@with_settings
def set_password(
    identity_id: UUID, password_stdin: bool, settings_file: Path | None, as_json: bool
) -> None:
    """Give a user or a service account another password."""
    password = secret("Password", from_stdin=password_stdin)
    with writing(settings_file) as (services, session):
        services.identities(session).set_password(identity_id, password)
    show({"id": str(identity_id), "password": "changed"}, as_json=as_json)


# --- roles ------------------------------------------------------------------------------------


@click.group()
def role() -> None:
    """Roles: reader, writer, admin, on one project or on the whole tenant."""


@role.command("grant")
@click.argument("identity_id", type=click.UUID)
@click.argument("role", type=ROLES)
@click.option("--project", help="/org/space/project; without it, the whole tenant.")
@with_settings
def grant(
    identity_id: UUID, role: str, project: str | None, settings_file: Path | None, as_json: bool
) -> None:
    """Give an identity a role, instead of the one it had there."""
    from towline_server.auth.roles import Role

    with writing(settings_file) as (services, session):
        identities = services.identities(session)
        if project is None:
            identities.set_tenant_role(identity_id, Role(role))
        else:
            identities.grant(identity_id, project_at(session, project), Role(role))
    show({"id": str(identity_id), "role": role, "project": project}, as_json=as_json)


@role.command("revoke")
@click.argument("identity_id", type=click.UUID)
@click.option("--project", help="/org/space/project; without it, the whole tenant.")
@with_settings
def revoke(
    identity_id: UUID, project: str | None, settings_file: Path | None, as_json: bool
) -> None:
    """Take an identity's role away."""
    with writing(settings_file) as (services, session):
        identities = services.identities(session)
        if project is None:
            identities.set_tenant_role(identity_id, None)
        else:
            identities.revoke(identity_id, project_at(session, project).id)
    show({"id": str(identity_id), "role": None, "project": project}, as_json=as_json)
