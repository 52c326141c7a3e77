"""What the HTTP layer remembers between requests, as rows."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from towline_server.db.base import Base, ExactText


class IdempotentAnswer(Base):
    """The first answer to a POST with an Idempotency-Key; a claim while there is none yet."""

    __tablename__ = "idempotent_answers"
    __table_args__ = (Index("ix_idempotent_answers_claimed_at", "claimed_at"),)

    identity_id: Mapped[UUID] = mapped_column(
        ForeignKey("identities.id", ondelete="CASCADE"), primary_key=True
    )
    """Who asked: another caller's answer may hold what this one must not see."""
    route: Mapped[str] = mapped_column(ExactText(), primary_key=True)
    key: Mapped[str] = mapped_column(ExactText(), primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"))
    request_sha256: Mapped[str]
    claimed_at: Mapped[datetime]
    status: Mapped[int | None]
    content_type: Mapped[str | None]
    location: Mapped[str | None]
    body: Mapped[bytes | None]
    """Sealed (`towline_server.auth.sealing`)."""
