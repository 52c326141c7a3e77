"""Add what happened while each run was executed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from towline_server.db.base import Json

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; of runs that have ended there is no log."""
    op.add_column("runs", sa.Column("log", Json))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("runs", "log")
