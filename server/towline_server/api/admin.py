"""``/admin``: tenants, people, service accounts, API keys and roles, as ``towline admin`` has them.

For who administers the tenant, and for the operator's token, which administers every tenant.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field, Secret, StringConstraints
from sqlalchemy.orm import Session

from towline_server.auth.identities import (
    EMAIL_PATTERN,
    LEAST_PASSWORD,
    LONGEST_EMAIL,
    LONGEST_PASSWORD,
    Identity,
)
from towline_server.auth.roles import O, Principal, PrincipalKind, Role, authorise_tenant
from towline_server.errors import Forbidden, NotFound, existing
from towline_server.projects.domain import Project
from towline_server.projects.service import Projects
from towline_server.projects.tenants import Tenant, Tenants
from towline_server.services import services_of
from towline_server.web.authentication import Form, authenticated
from towline_server.web.idempotency import idempotent
from towline_server.web.schemas import NAME, PlainText, of_format, problems

from .access import FORMS, RequestContext
from .models import HIDDEN, Body, Model, Name, Page, Text, Window

ADMIN_FORMS = (*FORMS, Form.OPERATOR_TOKEN)
AdminRoute = idempotent(*ADMIN_FORMS)
"""The route class of every router of administration."""

router = APIRouter(prefix="/admin", route_class=AdminRoute)

Email = Annotated[str, StringConstraints(max_length=LONGEST_EMAIL, pattern=EMAIL_PATTERN)]
Password = Annotated[
    Secret[Annotated[PlainText, Field(min_length=LEAST_PASSWORD, max_length=LONGEST_PASSWORD)]],
    HIDDEN,
]
Subject = Annotated[
    str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1F\x7F]*$")
]


class AdminContext(RequestContext):
    """Who administers a tenant, or all of them."""

    @property
    def is_operator(self) -> bool:
        """Whether the caller has the operator's token."""
        return self.caller.kind is PrincipalKind.OPERATOR

    def only_operator(self) -> None:
        """Raise Forbidden, unless the caller has the operator's token."""
        if not self.is_operator:
            raise Forbidden(problem="this needs the operator's token")

    def tenant(self, tenant_id: UUID) -> Tenant:
        """Return a tenant that the caller administers. Raises NotFound, Forbidden."""
        with self.reading() as session:
            return self._administered(Tenants(session).get(tenant_id), "tenant")

    def identity(self, identity_id: UUID) -> Identity:
        """Return an identity of a tenant that the caller administers. Raises as `tenant`."""
        with self.reading() as session:
            found = self.services.identities(session).get(identity_id)
        return self._administered(found, "identity")

    def _administered(self, found: O | None, what: str) -> O:
        if self.is_operator:
            return existing(found, what)
        return authorise_tenant(self.caller, found, Role.ADMIN, what)

    def project_beside(self, identity: Identity, project_id: UUID) -> Project:
        """Return a project of an identity's tenant. Raises NotFound."""
        with self.reading() as session:
            found = existing(Projects(session).get(project_id), "project")
        if found.tenant_id != identity.tenant_id:
            raise NotFound(what="project")
        return found

    def check_not_last(self, session: Session, identity: Identity) -> None:
        """Raise LastAdministrator, if no one else administers the tenant; not to the operator."""
        if not self.is_operator:
            self.services.identities(session).check_not_last(identity.id)


async def _context(
    request: Request, caller: Annotated[Principal, Depends(authenticated(*ADMIN_FORMS))]
) -> AdminContext:
    return AdminContext(services=services_of(request), caller=caller)


Context = Annotated[AdminContext, Depends(_context)]


def _tenant(context: Context, tenant_id: UUID) -> Tenant:
    return context.tenant(tenant_id)


def _identity(context: Context, identity_id: UUID) -> Identity:
    return context.identity(identity_id)


OfTenant = Annotated[Tenant, Depends(_tenant)]
OfIdentity = Annotated[Identity, Depends(_identity)]


# --- forms ----------------------------------------------------------------------------------------


class TenantBody(Body):
    """A tenant to be made."""

    name: Annotated[Text, of_format(NAME, maxLength=255)]


class _IdentityBody(Body):
    tenant_role: Role | None = None
    """A role on every project of the tenant."""


class _AccountBody(_IdentityBody):
    subject: Subject | None = None
    """What its tokens say in ``sub``, its id by default; for the operator's token alone."""


class UserBody(_AccountBody):
    """A user to be made."""

    email: Email
    password: Password
    name: Name | None = None


class LoginBody(Body):
    """An email and a password."""

    email: Email
    password: Password


class ServiceAccountBody(_AccountBody):
    """A service account to be made."""

    name: Name
    login: LoginBody | None = None
    """To log in with; without it, it comes with tokens."""


class KeyBody(_IdentityBody):
    """An API key to be made."""

    name: Name
    days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    """When it expires; null: never."""


class PasswordBody(Body):
    """A password."""

    password: Password


class RoleBody(Body):
    """A role."""

    role: Role


class TenantModel(Model):
    """A tenant."""

    id: UUID
    name: str
    created_at: datetime


class IdentityModel(Model):
    """A user, a service account or an API key, without its secrets."""

    id: UUID
    tenant_id: UUID
    kind: PrincipalKind
    name: str
    email: str | None
    subject: str
    """What its tokens say in ``sub``."""
    tenant_role: Role | None
    """Its role on every project of the tenant."""
    project_roles: dict[UUID, Role] = Field(default_factory=dict)
    """Its roles on single projects, by their ids."""
    key_hint: str | None
    """How an API key begins."""
    expires_at: datetime | None
    disabled_at: datetime | None
    created_at: datetime


class KeyModel(IdentityModel):
    """An API key that was just made."""

    key: str = ""
    """Shown this once."""


# --- tenants --------------------------------------------------------------------------------------


@router.get("/tenants")
def list_tenants(context: Context, window: Window) -> Page[TenantModel]:
    """The tenants, by name: all for the operator's token, else the caller's own."""
    if not context.is_operator:
        context.administer_tenant()
        return window.slice(TenantModel, [context.tenant(context.caller.tenant_id)])
    with context.reading() as session:
        found = Tenants(session).all()
    return window.slice(TenantModel, found)


@router.post("/tenants", status_code=201, responses=problems(409))
def create_tenant(context: Context, body: TenantBody, response: Response) -> TenantModel:
    """Create a tenant; needs the operator's token."""
    context.only_operator()
    with context.writing() as session:
        made = Tenants(session).create(body.name)
    response.headers["Location"] = f"/api/towline/v1/admin/tenants/{made.id}"
    return TenantModel.of(made)


@router.get("/tenants/{tenant_id}")
def get_tenant(tenant: OfTenant) -> TenantModel:
    """A tenant."""
    return TenantModel.of(tenant)


# --- identities -----------------------------------------------------------------------------------


@router.get("/tenants/{tenant_id}/identities")
def list_identities(context: Context, tenant: OfTenant, window: Window) -> Page[IdentityModel]:
    """The users, service accounts and API keys of a tenant, oldest first."""
    with context.reading() as session:
        identities = context.services.identities(session)
        page = window.slice(IdentityModel, identities.of_tenant(tenant.id))
        roles = identities.roles_of([each.id for each in page.items])
    for each in page.items:
        each.project_roles = dict(roles[each.id])
    return page


@router.post("/tenants/{tenant_id}/users", status_code=201, responses=problems(409))
def create_user(
    context: Context, tenant: OfTenant, body: UserBody, response: Response
) -> IdentityModel:
    """Create a user."""
    _check_subject(context, body)
    with context.writing() as session:
        made = context.services.identities(session).create_user(
            tenant_id=tenant.id,
            email=body.email,
            password=body.password.get_secret_value(),
            name=body.name or "",
            tenant_role=body.tenant_role,
            subject=body.subject,
        )
    return _made(response, made)


@router.post("/tenants/{tenant_id}/service-accounts", status_code=201, responses=problems(409))
def create_service_account(
    context: Context, tenant: OfTenant, body: ServiceAccountBody, response: Response
) -> IdentityModel:
    """Create a service account."""
    _check_subject(context, body)
    login = None
    if body.login is not None:
        login = (body.login.email, body.login.password.get_secret_value())
    with context.writing() as session:
        made = context.services.identities(session).create_service_account(
            tenant_id=tenant.id,
            name=body.name,
            login=login,
            tenant_role=body.tenant_role,
            subject=body.subject,
        )
    return _made(response, made)


@router.post("/tenants/{tenant_id}/keys", status_code=201)
def create_key(context: Context, tenant: OfTenant, body: KeyBody, response: Response) -> KeyModel:
    """Create an API key. It is shown only in this answer."""
    expires_at = None if body.days is None else datetime.now(UTC) + timedelta(days=body.days)
    with context.writing() as session:
        made, key = context.services.identities(session).create_key(
            tenant_id=tenant.id,
            name=body.name,
            tenant_role=body.tenant_role,
            expires_at=expires_at,
        )
    return KeyModel(**dict(_made(response, made)), key=key)


@router.get("/identities/{identity_id}")
def get_identity(context: Context, identity: OfIdentity) -> IdentityModel:
    """A user, a service account or an API key."""
    return _shown(context, identity)


@router.post("/identities/{identity_id}/disable", responses=problems(409))
def disable_identity(context: Context, identity: OfIdentity) -> IdentityModel:
    """Disable an identity. The last administrator of a tenant cannot be disabled."""
    with context.writing() as session:
        context.check_not_last(session, identity)
        changed = context.services.identities(session).disable(identity.id)
    return _shown(context, changed)


@router.post("/identities/{identity_id}/enable")
def enable_identity(context: Context, identity: OfIdentity) -> IdentityModel:
    """Enable an identity again."""
    with context.writing() as session:
        changed = context.services.identities(session).enable(identity.id)
    return _shown(context, changed)


@router.put("/identities/{identity_id}/password", status_code=204)
def set_password(context: Context, identity: OfIdentity, body: PasswordBody) -> None:
    """Change the password of a user or a service account, and end their sessions."""
    with context.writing() as session:
        identities = context.services.identities(session)
        identities.set_password(identity.id, body.password.get_secret_value())


# --- roles ----------------------------------------------------------------------------------------


@router.put("/identities/{identity_id}/role", responses=problems(409))
def set_tenant_role(context: Context, identity: OfIdentity, body: RoleBody) -> IdentityModel:
    """Set an identity's role on the whole tenant.

    The last administrator of a tenant must stay one.
    """
    return _shown(context, _with_role(context, identity, body.role))


@router.delete("/identities/{identity_id}/role", status_code=204, responses=problems(409))
def remove_tenant_role(context: Context, identity: OfIdentity) -> None:
    """Remove an identity's role on the whole tenant, unless it is the last administrator."""
    _with_role(context, identity, None)


@router.put("/identities/{identity_id}/projects/{project_id}/role")
def grant_project_role(
    context: Context, identity: OfIdentity, project_id: UUID, body: RoleBody
) -> IdentityModel:
    """Set an identity's role on one project of its tenant."""
    project = context.project_beside(identity, project_id)
    with context.writing() as session:
        context.services.identities(session).grant(identity.id, project, body.role)
    return _shown(context, identity)


@router.delete("/identities/{identity_id}/projects/{project_id}/role", status_code=204)
def revoke_project_role(context: Context, identity: OfIdentity, project_id: UUID) -> None:
    """Remove an identity's role on one project."""
    project = context.project_beside(identity, project_id)
    with context.writing() as session:
        context.services.identities(session).revoke(identity.id, project.id)


def _check_subject(context: AdminContext, body: _AccountBody) -> None:
    # Subjects are one list for all tenants: with a foreign one, a tenant takes in a foreign caller.
    if body.subject is not None:
        context.only_operator()


def _with_role(context: AdminContext, identity: Identity, role: Role | None) -> Identity:
    with context.writing() as session:
        if role is not Role.ADMIN:
            context.check_not_last(session, identity)
        return context.services.identities(session).set_tenant_role(identity.id, role)


def _made(response: Response, made: Identity) -> IdentityModel:
    response.headers["Location"] = f"/api/towline/v1/admin/identities/{made.id}"
    return IdentityModel.of(made)


def _shown(context: AdminContext, identity: Identity) -> IdentityModel:
    with context.reading() as session:
        roles = context.services.identities(session).roles(identity.id)
    return IdentityModel.of(identity).model_copy(update={"project_roles": dict(roles)})
