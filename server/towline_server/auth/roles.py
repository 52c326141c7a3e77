"""Roles: three, each including the ones before, and what a caller may see at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Protocol, TypeVar
from uuid import UUID

from towline.frozen import frozen
from towline_server.errors import Forbidden, NotFound


class Role(StrEnum):
    """What a caller may do with a project, each including the ones before."""

    READER = "reader"
    """See the project, its assets and its runs."""
    WRITER = "writer"
    """Pull, resolve, undo, cancel, and edit assets."""
    ADMIN = "admin"
    """Change the project itself, its binding and its connection."""

    @property
    def rank(self) -> int:
        """Its place, from 0."""
        return tuple(Role).index(self)

    def covers(self, needed: Role) -> bool:
        """Whether it includes another role."""
        return self.rank >= needed.rank


class PrincipalKind(StrEnum):
    """What a caller is."""

    USER = "user"
    SERVICE_ACCOUNT = "service_account"
    API_KEY = "api_key"
    OPERATOR = "operator"
    """The operator, by the token of the settings: of no tenant, and no identity."""


@frozen(kw_only=True)
class Principal:
    """The caller: an identity that was verified, and its roles as of now."""

    id: UUID
    tenant_id: UUID
    kind: PrincipalKind
    name: str
    tenant_role: Role | None = None
    """Its role on every project of its tenant; admin administers the tenant itself."""
    project_roles: Mapping[UUID, Role] = field(default_factory=dict)

    def role_on(self, project_id: UUID) -> Role | None:
        """The higher of its two roles on a project of its own tenant, or None."""
        roles = [self.tenant_role, self.project_roles.get(project_id)]
        return max((role for role in roles if role), key=lambda role: role.rank, default=None)


_NONE = UUID(int=0)

OPERATOR = Principal(
    id=_NONE, tenant_id=_NONE, kind=PrincipalKind.OPERATOR, name="operator", tenant_role=Role.ADMIN
)
"""Administers every tenant, where a route takes the operator's token; nothing is its own."""


class Owned(Protocol):
    """What belongs to a tenant: a project, or a thing of the tenant as a whole."""

    @property
    def id(self) -> UUID:
        """Its id."""
        ...

    @property
    def tenant_id(self) -> UUID:
        """The id of the tenant."""
        ...


O = TypeVar("O", bound=Owned)  # noqa: E741 - the plainest name for what is owned


def authorise(principal: Principal, project: O | None, needed: Role) -> O:
    """Return a project, if the caller has the needed role on it.

    Raises:
        NotFound: there is none, it is another tenant's, or the caller has no role on it; the
            error is the same in all three cases.
        Forbidden: the caller sees it, but the role is too low.
    """
    if project is None or project.tenant_id != principal.tenant_id:
        raise NotFound(what="project")
    role = principal.role_on(project.id)
    if role is None:
        raise NotFound(what="project")
    if not role.covers(needed):
        raise Forbidden(problem=f"this needs the role {needed} on the project")
    return project


def authorise_tenant(principal: Principal, thing: O | None, needed: Role, what: str) -> O:
    """Return a thing of the tenant, such as a connection, if the caller has the tenant-wide role.

    Raises:
        NotFound: there is none, it is another tenant's, or the caller has no tenant-wide role.
        Forbidden: the caller sees it, but the role is too low.
    """
    if thing is None or thing.tenant_id != principal.tenant_id or principal.tenant_role is None:
        raise NotFound(what=what)
    if not principal.tenant_role.covers(needed):
        raise Forbidden(problem=f"this needs the role {needed} on the whole tenant")
    return thing
