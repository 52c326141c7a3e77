"""Runs and schedules."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from towline_server.db.base import ExactText, Json, UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ACTIVE = sa.text("state IN ('fetching', 'comparing', 'validating', 'applying') AND NOT gathers")


def upgrade() -> None:
    """Take it."""
    op.create_table(
        "runs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=True),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("gathers", sa.Boolean(), nullable=False),
        sa.Column("kind", ExactText(), nullable=True),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("request", Json, nullable=False),
        sa.Column("is_initial", sa.Boolean(), nullable=False),
        sa.Column("triggered_by", sa.String(), nullable=False),
        sa.Column("trigger_ref", ExactText(), nullable=True),
        sa.Column("requested_by", sa.Uuid(), nullable=True),
        sa.Column("sync_id", sa.Uuid(), nullable=True),
        sa.Column("schedule_id", sa.Uuid(), nullable=True),
        sa.Column("request_key", ExactText(), nullable=True),
        sa.Column("connection_id", sa.Uuid(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("progress", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("attempt_root_id", sa.Uuid(), nullable=False),
        sa.Column("previous_attempt_id", sa.Uuid(), nullable=True),
        sa.Column("next_attempt_id", sa.Uuid(), nullable=True),
        sa.Column("auto_resumes", sa.Integer(), nullable=False),
        sa.Column("backend", sa.String(), nullable=False),
        sa.Column("backend_ref", ExactText(), nullable=True),
        sa.Column("dispatches", sa.Integer(), nullable=False),
        sa.Column("dispatched_at", UtcDateTime(), nullable=True),
        sa.Column("executor_id", ExactText(), nullable=True),
        sa.Column("lease_token", ExactText(), nullable=True),
        sa.Column("lease_until", UtcDateTime(), nullable=True),
        sa.Column("heartbeat_at", UtcDateTime(), nullable=True),
        sa.Column("cancel_requested_at", UtcDateTime(), nullable=True),
        sa.Column("cancel_requested_by", ExactText(), nullable=True),
        sa.Column("cancel_reason", ExactText(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("completed_at", UtcDateTime(), nullable=True),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("base_revision", ExactText(), nullable=True),
        sa.Column("base_committed_at", UtcDateTime(), nullable=True),
        sa.Column("target_revision", ExactText(), nullable=True),
        sa.Column("target_committed_at", UtcDateTime(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("result_class", sa.String(), nullable=True),
        sa.Column("reason_code", sa.String(), nullable=True),
        sa.Column("fault", sa.String(), nullable=True),
        sa.Column("error_code", sa.String(), nullable=True),
        sa.Column("error_message", ExactText(), nullable=True),
        sa.Column("error_data", Json, nullable=True),
        sa.Column("report", Json, nullable=True),
        sa.Column("pull", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("progress BETWEEN 0 AND 100", name=op.f("ck_runs_progress")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_runs_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_runs_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.UniqueConstraint(
            "project_id",
            "request_key",
            "position",
            name=op.f("uq_runs_project_id_request_key_position"),
        ),
    )
    op.create_index(
        "ix_runs_active",
        "runs",
        ["project_id"],
        unique=True,
        sqlite_where=_ACTIVE,
        postgresql_where=_ACTIVE,
    )
    op.create_index("ix_runs_attempt_root_id", "runs", ["attempt_root_id"])
    op.create_index("ix_runs_batch_id", "runs", ["batch_id"])
    op.create_index("ix_runs_parent_id", "runs", ["parent_id"])
    op.create_index("ix_runs_project_id_created_at", "runs", ["project_id", "created_at"])
    op.create_index("ix_runs_state", "runs", ["state"])
    op.create_index("ix_runs_sync_id_created_at", "runs", ["sync_id", "created_at"])
    op.create_index("ix_runs_tenant_id_created_at", "runs", ["tenant_id", "created_at"])
    op.create_table(
        "schedules",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("sync_id", sa.Uuid(), nullable=True),
        sa.Column("cron", sa.String(), nullable=True),
        sa.Column("timezone", sa.String(), nullable=False),
        sa.Column("every_seconds", sa.Integer(), nullable=True),
        sa.Column("catch_up", sa.String(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("requests", Json, nullable=False),
        sa.Column("fan_out", sa.Boolean(), nullable=False),
        sa.Column("backend", sa.String(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=True),
        sa.Column("fired_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "(cron IS NULL) <> (every_seconds IS NULL)", name=op.f("ck_schedules_one_rhythm")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.id"],
            name=op.f("fk_schedules_project_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedules")),
    )
    op.create_index("ix_schedules_due_at", "schedules", ["due_at"])
    op.create_index("ix_schedules_project_id", "schedules", ["project_id"])
    op.create_index("ix_schedules_sync_id", "schedules", ["sync_id"])


def downgrade() -> None:
    """Take it back."""
    op.drop_table("schedules")
    op.drop_table("runs")
