"""Add the events of projects: what pulls change of the kinds whose changes are wanted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from towline_server.db.base import ExactText, Json, UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_RENAMED = sa.text("renamed_from IS NOT NULL")


def upgrade() -> None:
    """Add the table, and what projects have of it."""
    op.add_column(
        "projects", sa.Column("events", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.add_column(
        "projects",
        sa.Column("event_kinds", Json, nullable=False, server_default=sa.text("'{}'")),
    )
    op.create_table(
        "asset_events",
        sa.Column(
            "project_id",
            sa.Uuid(),
            sa.ForeignKey("projects.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("sequence", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("pull", sa.BigInteger(), nullable=False),
        sa.Column("undoes", sa.BigInteger()),
        sa.Column("run_id", sa.Uuid()),
        sa.Column("at", UtcDateTime(), nullable=False, index=True),
        sa.Column("asset_id", ExactText(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("change", sa.String(), nullable=False),
        sa.Column("path", ExactText(), nullable=False),
        sa.Column("renamed_from", ExactText()),
        sa.Column("merged", sa.Boolean(), nullable=False),
        sa.Column("before_digest", ExactText()),
        sa.Column("before_executable", sa.Boolean(), nullable=False),
        sa.Column("after_digest", ExactText()),
        sa.Column("after_executable", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "before_digest"], ["blobs.project_id", "blobs.digest"]
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "after_digest"], ["blobs.project_id", "blobs.digest"]
        ),
        sa.Index(None, "project_id", "before_digest"),
        sa.Index(None, "project_id", "after_digest"),
        sa.Index(None, "project_id", "path"),
        sa.Index(
            "ix_asset_events_renamed",
            "project_id",
            "renamed_from",
            sqlite_where=_RENAMED,
            postgresql_where=_RENAMED,
        ),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("asset_events")
    for name in ("event_kinds", "events"):
        op.drop_column("projects", name)
