"""``towline admin tenant``, ``user``, ``service-account``, ``key``, ``identity`` and ``role``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
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
    from towline_server.auth.roles import Role

ROLES = click.Choice(["reader", "writer", "admin"])
role_option = click.option("--role", type=ROLES, help="A role on every project of the tenant.")
project_option = click.option("--project", help="/org/space/project; by default, the whole tenant.")
identity_argument = click.argument("identity_id", type=click.UUID)

tenant = click.Group("tenant", help="Tenants: the org of paths, the workspace and client of keys.")
user = click.Group(
    "user",
    help="Users: people who log in with an email and a password, or authenticate with a token.",
)
service_account = click.Group(
    "service-account",
    help="Service accounts: programs that authenticate with a token, or with email and password.",
)
key = click.Group("key", help="API keys.")
identity = click.Group("identity", help="Users, service accounts and keys alike, by their id.")
role = click.Group(
    "role", help="Roles: reader, writer, admin, on one project or on the whole tenant."
)
GROUPS = (tenant, user, service_account, key, identity, role)


def _role(name: str | None) -> Role | None:
    from towline_server.auth.roles import Role

    return None if name is None else Role(name)


@admin_command(tenant, "create")
@click.argument("name")
def create_tenant(database: AdminSession, name: str) -> Record:
    """Create a tenant."""
    from towline_server.projects.tenants import Tenants

    return record_of(Tenants(database.session).create(name))


@admin_command(tenant, "list")
def list_tenants(database: AdminSession) -> Sequence[Record]:
    """List all tenants."""
    from towline_server.projects.tenants import Tenants

    return [record_of(one) for one in Tenants(database.session).all()]


@admin_command(user, "create")
@tenant_option
@click.option("--email", required=True)
@click.option("--name", default="", help="The name to show; the email by default.")
@click.option("--subject", help="The sub claim of their tokens; their id by default.")
@role_option
@password_option
def create_user(
    database: AdminSession,
    tenant: str,
    email: str,
    name: str,
    subject: str | None,
    role: str | None,
    password_stdin: bool,
) -> Record:
    """Create a user."""
    password = secret("Password", from_stdin=password_stdin)
    created = database.identities.create_user(
        tenant_id=database.tenant_id(tenant),
        email=email,
        password=password,
        name=name,
        tenant_role=_role(role),
        subject=subject,
    )
    return record_of(created)


@admin_command(service_account, "create")
@tenant_option
@click.option("--name", required=True)
@click.option("--email", help="The email to log in with; it then needs a password, too.")
@click.option("--subject", help="The sub claim of its tokens; its id by default.")
@role_option
@password_option
def create_service_account(
    database: AdminSession,
    tenant: str,
    name: str,
    email: str | None,
    subject: str | None,
    role: str | None,
    password_stdin: bool,
) -> Record:
    """Create a service account."""
    login = None
    if email is not None:
        login = (email, secret("Password", from_stdin=password_stdin))
    created = database.identities.create_service_account(
        tenant_id=database.tenant_id(tenant),
        name=name,
        login=login,
        tenant_role=_role(role),
        subject=subject,
    )
    return record_of(created)


@admin_command(key, "create")
@tenant_option
@click.option("--name", required=True, help="What it is for.")
@click.option("--days", type=click.IntRange(min=1), help="When it expires; never by default.")
@role_option
def create_key(
    database: AdminSession, tenant: str, name: str, days: int | None, role: str | None
) -> Record:
    """Create an API key, and show it this once."""
    created, shown_once = database.identities.create_key(
        tenant_id=database.tenant_id(tenant),
        name=name,
        tenant_role=_role(role),
        expires_at=None if days is None else datetime.now(UTC) + timedelta(days=days),
    )
    return record_of(created, key=shown_once)


@admin_command(identity, "list")
@tenant_option
def list_identities(database: AdminSession, tenant: str) -> Sequence[Record]:
    """List a tenant's identities with their roles."""
    identities = database.identities
    found = identities.of_tenant(database.tenant_id(tenant))
    roles = identities.roles_of([one.id for one in found])
    return [
        record_of(one, project_roles={str(at): str(role) for at, role in roles[one.id].items()})
        for one in found
    ]


@admin_command(identity, "disable")
@identity_argument
def disable(database: AdminSession, identity_id: UUID) -> Record:
    """Disable an identity: it is refused from now on."""
    return record_of(database.identities.disable(identity_id))


@admin_command(identity, "enable")
@identity_argument
def enable(database: AdminSession, identity_id: UUID) -> Record:
    """Enable an identity again."""
    return record_of(database.identities.enable(identity_id))


@admin_command(identity, "password")
@identity_argument
@password_option
def set_password(database: AdminSession, identity_id: UUID, password_stdin: bool) -> Record:
    """Change the password of a user or a service account."""
    password = secret("Password", from_stdin=password_stdin)
    database.identities.set_password(identity_id, password)
    return {"id": str(identity_id), "password": "changed"}


@admin_command(role, "grant")
@identity_argument
@click.argument("role", type=ROLES)
@project_option
def grant(database: AdminSession, identity_id: UUID, role: str, project: str | None) -> Record:
    """Give an identity a role, instead of the one it had there."""
    from towline_server.auth.roles import Role

    if project is None:
        database.identities.set_tenant_role(identity_id, Role(role))
    else:
        database.identities.grant(identity_id, database.project_at(project), Role(role))
    return {"id": str(identity_id), "role": role, "project": project}


@admin_command(role, "revoke")
@identity_argument
@project_option
def revoke(database: AdminSession, identity_id: UUID, project: str | None) -> Record:
    """Take an identity's role away."""
    if project is None:
        database.identities.set_tenant_role(identity_id, None)
    else:
        database.identities.revoke(identity_id, database.project_at(project).id)
    return {"id": str(identity_id), "role": None, "project": project}
