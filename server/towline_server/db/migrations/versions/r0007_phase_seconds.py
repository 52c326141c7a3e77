"""Add how long each phase of a run lasted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from towline_server.db.base import Json

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; of runs that have ended it is not known."""
    op.add_column("runs", sa.Column("phase_seconds", Json))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("runs", "phase_seconds")
