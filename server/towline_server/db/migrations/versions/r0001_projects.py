"""Tenants, projects and their assets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from towline_server.db.base import ExactText, Json, UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Take it."""
    op.create_table(
        "tenants",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", ExactText(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tenants"),
        sa.UniqueConstraint("name", name="uq_tenants_name"),
    )
    op.create_table(
        "projects",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("path", ExactText(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("kinds", Json, nullable=False),
        sa.Column("names", sa.String(), nullable=False),
        sa.Column("ids_from", ExactText(), nullable=True),
        sa.Column("keep", sa.Integer(), nullable=False),
        sa.Column("settings", Json, nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("edition", sa.BigInteger(), nullable=False),
        sa.Column("pulls", sa.BigInteger(), nullable=False),
        sa.Column("base", ExactText(), nullable=True),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("scope", ExactText(), nullable=False),
        sa.Column("tracked", sa.Integer(), nullable=False),
        sa.Column("tracked_bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_projects_tenant_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
        sa.UniqueConstraint("tenant_id", "path", name="uq_projects_tenant_id_path"),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_table("projects")
    op.drop_table("tenants")
