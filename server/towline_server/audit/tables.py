"""The events of the audit log, as rows.

The database refuses to change a row, and to delete one that is younger than `LEAST_DAYS`
(PostgreSQL: to truncate the table, too). Who owns the database can drop those triggers; where that
matters, events are copied elsewhere as they come, as JSON lines.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from towline_server.db.base import Base, ExactText

LEAST_DAYS = 30
"""The triggers of the migration have it, too."""


class AuditEventRow(Base):
    """Something that was done, and by whom."""

    __tablename__ = "audit_events"
    __table_args__ = (
        Index("ix_audit_events_at", "at", "id"),
        Index("ix_audit_events_tenant_id", "tenant_id", "at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    tenant_id: Mapped[UUID | None] = mapped_column(ForeignKey("tenants.id"))
    """NULL: no tenant's, such as a sign-in with an email that no one has."""
    project_id: Mapped[UUID | None]
    """No foreign key: the project may be gone."""
    action: Mapped[str]
    subject: Mapped[str | None] = mapped_column(ExactText())
    """The id of what was changed, or its path."""
    detail: Mapped[dict[str, Any]]
    actor_kind: Mapped[str]
    actor_id: Mapped[UUID | None]
    actor_name: Mapped[str] = mapped_column(ExactText())
    credential: Mapped[str | None]
    address: Mapped[str | None] = mapped_column(ExactText())
    request_id: Mapped[str | None] = mapped_column(ExactText())
