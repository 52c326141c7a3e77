"""Schedules as rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from towline_server.db.base import Base


class ScheduleRow(Base):
    """When runs of a project are requested automatically."""

    __tablename__ = "schedules"
    __table_args__ = (
        CheckConstraint("(cron IS NULL) <> (every_seconds IS NULL)", name="one_rhythm"),
        Index("ix_schedules_due_at", "due_at"),
        Index("ix_schedules_sync_id", "sync_id"),
        Index("ix_schedules_project_id", "project_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    sync_id: Mapped[UUID | None]
    cron: Mapped[str | None]
    timezone: Mapped[str] = mapped_column(default="UTC")
    every_seconds: Mapped[int | None]
    request: Mapped[dict[str, Any]]
    """As `towline.codec` encodes `domain.RunRequest`."""
    kinds: Mapped[list[Any] | None]
    """The kinds of the children of each firing's run; NULL: it has none."""
    backend: Mapped[str]
    due_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
