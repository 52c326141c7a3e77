"""Connections to repositories, and which project is bound to which, as rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from towline.model import Revision
from towline_server.db.base import Base, ExactText


class ConnectionRow(Base):
    """A repository that a tenant's projects may be bound to, with the credential to read it."""

    __tablename__ = "connections"
    __table_args__ = (
        CheckConstraint("(credential IS NULL) = (credential_origin IS NULL)", name="credential"),
        Index("ix_connections_tenant_id", "tenant_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(ExactText())
    provider: Mapped[str]
    url: Mapped[str] = mapped_column(ExactText())
    """Without credentials, as `towline.remotes.url.RemoteUrl` writes it."""
    config: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What a source is set to beside its address; nothing for a Git host."""
    credential: Mapped[bytes | None]
    """Sealed (`towline_server.auth.sealing`): user name and password as JSON."""
    credential_origin: Mapped[str | None] = mapped_column(ExactText())
    """The only scheme, host and port that the credential is ever sent to."""
    webhook_secret: Mapped[bytes | None]
    """Sealed: what signs the webhooks that its host sends."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class BindingRow(Base):
    """What a project is associated with: a ref and a folder of a connection's repository."""

    __tablename__ = "bindings"
    __table_args__ = (
        UniqueConstraint("tenant_id", "answers_for"),
        Index("ix_bindings_connection_id", "connection_id"),
    )

    project_id: Mapped[UUID] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True
    )
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"))
    """The project's, repeated so that the database keeps ``answers_for`` unique."""
    connection_id: Mapped[UUID] = mapped_column(ForeignKey("connections.id"))
    ref: Mapped[str] = mapped_column(ExactText())
    scope: Mapped[str] = mapped_column(ExactText())
    answers_for: Mapped[str | None] = mapped_column(ExactText())
    """The branch under which its tenant finds it: the first one bound to a branch has it."""
    bound_at: Mapped[datetime]
    fetched_revision: Mapped[Revision | None] = mapped_column(ExactText(Revision))
    """What was fetched last under this binding, by runs aside (`towline_server.runs.plans`)."""
    fetched_at: Mapped[datetime | None]
