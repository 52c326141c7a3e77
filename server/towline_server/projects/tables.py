"""Tenants and projects, as rows. What else a project has is in `asset_tables`."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from towline.model import Revision
from towline_server.db.base import Base, ExactText


class TenantRow(Base):
    """Who projects, people and connections belong to; nothing is shared between two."""

    __tablename__ = "tenants"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(ExactText(), unique=True)
    created_at: Mapped[datetime]


class ProjectRow(Base):
    """One project: what it is, what was last pulled into it, and who may write to it next.

    The row is the project's lock: every write begins with an UPDATE of it.
    """

    __tablename__ = "projects"
    __table_args__ = (UniqueConstraint("tenant_id", "path"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"))
    path: Mapped[str] = mapped_column(ExactText())
    """Its name for people, case-sensitive: ``org/space/project``."""
    created_at: Mapped[datetime]

    kinds: Mapped[dict[str, Any]]
    """What is an asset here, as `towline.codec` encodes `towline.kinds.Kinds`."""
    names: Mapped[str]
    """The `towline.names.NamePolicy`."""
    ids_from: Mapped[str | None] = mapped_column(ExactText())
    """What planned ids are made from, the same in every copy of the project; NULL: its ``id``."""
    keep: Mapped[int] = mapped_column(default=50)
    """How many applied pulls can be undone."""
    settings: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Choices that the store does not read, such as the policy for left-over conflicts."""

    fence: Mapped[int] = mapped_column(BigInteger, default=0)
    """Grows with each claim and each applied plan: who holds an older one writes nothing."""
    edition: Mapped[int] = mapped_column(BigInteger, default=0)
    """Grows with each write of any sort, local edits included."""
    pulls: Mapped[int] = mapped_column(BigInteger, default=0)
    """The number of the last pull in the log."""
    events: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"))
    """The sequence of the last event that was appended."""
    event_kinds: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))
    """The kinds whose changes are appended as events, for each owner that wants them: a sync's id.

    In this row, so that a pull which waited for its lock reads what was wanted when it got it.
    """

    base: Mapped[Revision | None] = mapped_column(ExactText())
    fingerprint: Mapped[str] = mapped_column(default="")
    scope: Mapped[str] = mapped_column(ExactText(), default="")
    tracked: Mapped[int] = mapped_column(default=0)
    tracked_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
