"""Add what a connection to a source of files is set to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from towline_server.db.base import Json

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; a connection to a Git host has nothing in it."""
    op.add_column(
        "connections", sa.Column("config", Json, nullable=False, server_default=sa.text("'{}'"))
    )


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("connections", "config")
