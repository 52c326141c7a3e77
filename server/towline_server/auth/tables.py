"""Identities and their roles, as rows. No row holds a password or a key, only what verifies it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from towline_server.db.base import Base, ExactText


class IdentityRow(Base):
    """A caller of a tenant: a user, a service account or an API key."""

    __tablename__ = "identities"
    __table_args__ = (
        CheckConstraint("kind IN ('user', 'service_account', 'api_key')", name="kind"),
        CheckConstraint("(kind = 'api_key') = (key_sha256 IS NOT NULL)", name="key_sha256"),
        CheckConstraint("(email IS NULL) = (password_hash IS NULL)", name="email"),
        Index("ix_identities_tenant_id", "tenant_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"))
    kind: Mapped[str]
    name: Mapped[str] = mapped_column(ExactText())
    """For people and for logs; need not be unique."""
    tenant_role: Mapped[str | None]
    """A role on every project of the tenant."""
    email: Mapped[str | None] = mapped_column(ExactText(), unique=True)
    """The login of Basic authentication, in lower case; unique among all tenants."""
    password_hash: Mapped[str | None]
    """argon2id."""
    subject: Mapped[str | None] = mapped_column(ExactText(), unique=True)
    """The ``sub`` of its tokens; the id where there is none."""
    key_sha256: Mapped[str | None] = mapped_column(unique=True)
    key_hint: Mapped[str | None]
    """The first characters of an API key, for people to recognise theirs."""
    expires_at: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class GrantRow(Base):
    """A role of an identity on one project."""

    __tablename__ = "grants"
    __table_args__ = (
        CheckConstraint("role IN ('reader', 'writer', 'admin')", name="role"),
        Index("ix_grants_project_id", "project_id"),
    )

    identity_id: Mapped[UUID] = mapped_column(
        ForeignKey("identities.id", ondelete="CASCADE"), primary_key=True
    )
    project_id: Mapped[UUID] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True
    )
    role: Mapped[str]


class SessionRow(Base):
    """A session of an identity that signed in with a browser."""

    __tablename__ = "sessions"
    __table_args__ = (
        Index("ix_sessions_identity_id", "identity_id"),
        Index("ix_sessions_expires_at", "expires_at"),
    )

    token_sha256: Mapped[str] = mapped_column(primary_key=True)
    identity_id: Mapped[UUID] = mapped_column(ForeignKey("identities.id", ondelete="CASCADE"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
