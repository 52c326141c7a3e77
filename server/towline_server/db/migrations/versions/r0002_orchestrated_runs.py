"""Store what orchestrators answer about runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from towline_server.db.base import ExactText, Json, UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_FOLLOWED = sa.text("backend_due_at IS NOT NULL")


def upgrade() -> None:
    """Add the columns to runs, and the index of those that are due."""
    with op.batch_alter_table("runs") as runs:
        runs.add_column(sa.Column("backend_run_ref", ExactText()))
        runs.add_column(sa.Column("backend_run_url", ExactText()))
        runs.add_column(sa.Column("backend_status", Json))
        runs.add_column(sa.Column("backend_heartbeat_at", UtcDateTime()))
        runs.add_column(sa.Column("backend_due_at", UtcDateTime()))
    op.create_index(
        "ix_runs_backend_due_at",
        "runs",
        ["backend", "backend_due_at"],
        sqlite_where=_FOLLOWED,
        postgresql_where=_FOLLOWED,
    )


def downgrade() -> None:
    """Remove them."""
    op.drop_index("ix_runs_backend_due_at", "runs")
    with op.batch_alter_table("runs") as runs:
        for name in ("ref", "url"):
            runs.drop_column(f"backend_run_{name}")
        for name in ("status", "heartbeat_at", "due_at"):
            runs.drop_column(f"backend_{name}")
