"""Tenants. Their name is the org of project paths, the workspace and the client of their keys."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from towline.errors import InvalidValue
from towline.frozen import frozen
from towline.names import name_problem
from towline_server.audit.log import Action, Owner, record
from towline_server.db.statements import insert_new

from .domain import LONGEST_NAME
from .service import utc_now
from .tables import TenantRow


@frozen(kw_only=True)
class Tenant:
    """Who projects, people and connections belong to."""

    id: UUID
    name: str
    created_at: datetime

    @property
    def tenant_id(self) -> UUID:
        """Its own id: a tenant belongs to itself."""
        return self.id


class Tenants:
    """The tenants of a database, through a session that the caller commits."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def create(self, name: str, tenant_id: UUID | None = None) -> Tenant:
        """A new tenant.

        Raises:
            InvalidValue: the name cannot be in a path.
            AlreadyExists: there is a tenant of this name.
        """
        problem = name_problem(name)
        if problem or len(name) > LONGEST_NAME:
            raise InvalidValue(field="name", problem=problem or "is too long")
        row = TenantRow(id=tenant_id or uuid4(), name=name, created_at=utc_now())
        insert_new(self._session, row, "tenant")
        record(self._session, Action.TENANT_CREATED, row.id, Owner(row.id), name=name)
        return _tenant(row)

    def get(self, tenant_id: UUID) -> Tenant | None:
        """The tenant of this id."""
        row = self._session.get(TenantRow, tenant_id)
        return None if row is None else _tenant(row)

    def named(self, name: str) -> Tenant | None:
        """The tenant of this name, case-sensitive."""
        row = self._session.scalar(select(TenantRow).where(TenantRow.name == name))
        return None if row is None else _tenant(row)

    def all(self) -> tuple[Tenant, ...]:
        """Every tenant, by name."""
        rows = self._session.scalars(select(TenantRow).order_by(TenantRow.name))
        return tuple(_tenant(row) for row in rows)


def _tenant(row: TenantRow) -> Tenant:
    return Tenant(id=row.id, name=row.name, created_at=row.created_at)
