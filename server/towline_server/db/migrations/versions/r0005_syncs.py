"""Syncs: named definitions of pulls."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from towline_server.db.base import ExactText, Json, UtcDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Take it."""
    op.create_table(
        "syncs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=True),
        sa.Column("name", ExactText(), nullable=False),
        sa.Column("slug", ExactText(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("status_since", UtcDateTime(), nullable=False),
        sa.Column("source_config", Json, nullable=False),
        sa.Column("destination_config", Json, nullable=False),
        sa.Column("execution_config", Json, nullable=False),
        sa.Column("entities", Json, nullable=False),
        sa.Column("execution_backend", sa.String(), nullable=False),
        sa.Column("execution_mode", sa.String(), nullable=False),
        sa.Column("trigger_mode", sa.String(), nullable=False),
        sa.Column("schedule", Json, nullable=True),
        sa.Column("freshness_sla_seconds", sa.Integer(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("updated_by", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connections.id"], name=op.f("fk_syncs_connection_id")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_syncs_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_syncs_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_syncs")),
        sa.UniqueConstraint("tenant_id", "slug", name=op.f("uq_syncs_tenant_id_slug")),
    )
    op.create_index("ix_syncs_connection_id", "syncs", ["connection_id"])
    op.create_index("ix_syncs_project_id", "syncs", ["project_id"])
    op.create_index("ix_syncs_tenant_id_created_at", "syncs", ["tenant_id", "created_at"])
    op.create_table(
        "sync_tables",
        sa.Column("sync_id", sa.Uuid(), nullable=False),
        sa.Column("entity_key", ExactText(), nullable=False),
        sa.Column("choice", Json, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sync_id"], ["syncs.id"], name=op.f("fk_sync_tables_sync_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("sync_id", "entity_key", name=op.f("pk_sync_tables")),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_table("sync_tables")
    op.drop_table("syncs")
