"""Runs and schedules, as rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from towline.model import Revision
from towline_server.db.base import Base, ExactText

_ACTIVE = text("state IN ('fetching', 'comparing', 'validating', 'applying') AND NOT is_parent")


class Run(Base):
    """One execution of a pull. `states` says what may become of it."""

    __tablename__ = "runs"
    __table_args__ = (
        CheckConstraint("progress BETWEEN 0 AND 100", name="progress"),
        UniqueConstraint("project_id", "request_key", "position"),
        # One run at a time works on a project, whatever executes it.
        Index(
            "ix_runs_active",
            "project_id",
            unique=True,
            sqlite_where=_ACTIVE,
            postgresql_where=_ACTIVE,
        ),
        Index("ix_runs_project_id_created_at", "project_id", "created_at"),
        Index("ix_runs_tenant_id_created_at", "tenant_id", "created_at"),
        Index("ix_runs_sync_id_created_at", "sync_id", "created_at"),
        Index("ix_runs_batch_id", "batch_id"),
        Index("ix_runs_parent_id", "parent_id"),
        Index("ix_runs_attempt_root_id", "attempt_root_id"),
        Index("ix_runs_state", "state"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"))
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    batch_id: Mapped[UUID | None]
    parent_id: Mapped[UUID | None]
    position: Mapped[int] = mapped_column(default=0)
    is_parent: Mapped[bool] = mapped_column(default=False)
    kind: Mapped[str | None] = mapped_column(ExactText())
    mode: Mapped[str]
    request: Mapped[dict[str, Any]]
    """As `towline.codec` encodes `domain.RunRequest`."""
    is_initial: Mapped[bool]

    triggered_by: Mapped[str]
    trigger_ref: Mapped[str | None] = mapped_column(ExactText())
    requested_by: Mapped[UUID | None]
    sync_id: Mapped[UUID | None]
    schedule_id: Mapped[UUID | None]
    request_key: Mapped[str | None] = mapped_column(ExactText())
    connection_id: Mapped[UUID | None]
    """What its project was bound to when it was asked for; NULL: nothing."""

    state: Mapped[str]
    progress: Mapped[int] = mapped_column(default=0)
    attempt: Mapped[int] = mapped_column(default=1)
    attempt_root_id: Mapped[UUID]
    previous_attempt_id: Mapped[UUID | None]
    next_attempt_id: Mapped[UUID | None]
    auto_resumes: Mapped[int] = mapped_column(default=0)

    backend: Mapped[str]
    executor_id: Mapped[str | None] = mapped_column(ExactText())
    lease_token: Mapped[str | None] = mapped_column(ExactText())
    """What its executor shows for every write; a new one makes the old executor powerless."""
    lease_until: Mapped[datetime | None]
    """By the database's clock."""
    heartbeat_at: Mapped[datetime | None]

    not_before: Mapped[datetime | None]
    """When an attempt that was put off may begin."""

    cancel_requested_at: Mapped[datetime | None]
    cancel_requested_by: Mapped[str | None] = mapped_column(ExactText())
    cancel_reason: Mapped[str | None] = mapped_column(ExactText())

    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    updated_at: Mapped[datetime]

    base_revision: Mapped[Revision | None] = mapped_column(ExactText(Revision))
    base_committed_at: Mapped[datetime | None]
    target_revision: Mapped[Revision | None] = mapped_column(ExactText(Revision))
    target_committed_at: Mapped[datetime | None]

    outcome: Mapped[str | None]
    result_class: Mapped[str | None]
    reason_code: Mapped[str | None]
    fault: Mapped[str | None]
    error_code: Mapped[str | None]
    error_message: Mapped[str | None] = mapped_column(ExactText())
    error_data: Mapped[dict[str, Any] | None]
    report: Mapped[dict[str, Any] | None]
    pull: Mapped[int | None] = mapped_column(BigInteger)


class Schedule(Base):
    """When runs of a project are asked for by themselves."""

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
    catch_up: Mapped[str]
    enabled: Mapped[bool] = mapped_column(default=True)
    requests: Mapped[list[Any]]
    """The requests that each firing makes, as one batch."""
    fan_out: Mapped[bool] = mapped_column(default=False)
    backend: Mapped[str]
    due_at: Mapped[datetime | None]
    fired_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
