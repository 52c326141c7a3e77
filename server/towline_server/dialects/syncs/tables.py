"""Syncs, as rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from towline_server.db.base import Base, ExactText

_FRESH = text("freshness_sla_seconds IS NOT NULL")


class SyncRow(Base):
    """The definition of one sync; its runs are rows of their own."""

    __tablename__ = "syncs"
    __table_args__ = (
        UniqueConstraint("tenant_id", "slug"),
        Index("ix_syncs_tenant_id_created_at", "tenant_id", "created_at"),
        Index("ix_syncs_connection_id", "connection_id"),
        Index("ix_syncs_project_id", "project_id"),
        # What is looked for by every scrape of the metrics.
        Index("ix_syncs_fresh", "id", sqlite_where=_FRESH, postgresql_where=_FRESH),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"))
    connection_id: Mapped[UUID] = mapped_column(ForeignKey("connections.id"))
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(ExactText())
    slug: Mapped[str] = mapped_column(ExactText())
    status: Mapped[str]
    status_since: Mapped[datetime]
    """A failure before it was set says nothing about the status."""
    source_config: Mapped[dict[str, Any]]
    destination_config: Mapped[dict[str, Any]]
    execution_config: Mapped[dict[str, Any]]
    entities: Mapped[list[Any]]
    execution_backend: Mapped[str]
    execution_mode: Mapped[str]
    trigger_mode: Mapped[str]
    schedule: Mapped[dict[str, Any] | None]
    freshness_sla_seconds: Mapped[int | None]
    created_at: Mapped[datetime]
    created_by: Mapped[UUID]
    updated_at: Mapped[datetime]
    updated_by: Mapped[UUID]


class SyncTableRow(Base):
    """The table of one kind, as the owner of a sync set it."""

    __tablename__ = "sync_tables"

    sync_id: Mapped[UUID] = mapped_column(
        ForeignKey("syncs.id", ondelete="CASCADE"), primary_key=True
    )
    entity_key: Mapped[str] = mapped_column(ExactText(), primary_key=True)
    choice: Mapped[dict[str, Any]]
    """As `towline.codec` encodes `domain.TableChoice`."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
