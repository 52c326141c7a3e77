"""The rows of the runs are their queue; what DBOS kept beside them is dropped."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from towline_server.db.base import ExactText, UtcDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_DBOS_TABLES = (
    "operation_outputs",
    "workflow_input",
    "workflow_output",
    "workflow_events_history",
    "workflow_events",
    "workflow_schedules",
    "notifications",
    "streams",
    "application_versions",
    "queues",
    "workflow_status",
    "dbos_migrations",
)


def upgrade() -> None:
    """Take it."""
    if op.get_bind().dialect.name == "sqlite":
        # On SQLite they were among our own.
        if sa.inspect(op.get_bind()).has_table("dbos_migrations"):
            for table in _DBOS_TABLES:
                op.execute(f"DROP TABLE IF EXISTS {table}")
    else:
        op.execute("DROP SCHEMA IF EXISTS dbos CASCADE")
    for column in ("dispatched_at", "dispatches", "backend_ref"):
        op.drop_column("runs", column)


def downgrade() -> None:
    """Take it back; what DBOS kept it makes again by itself."""
    op.add_column("runs", sa.Column("backend_ref", ExactText(), nullable=True))
    zero = sa.text("0")
    op.add_column(
        "runs", sa.Column("dispatches", sa.Integer(), nullable=False, server_default=zero)
    )
    op.add_column("runs", sa.Column("dispatched_at", UtcDateTime(), nullable=True))
