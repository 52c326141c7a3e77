"""Attempts that wait until they may be made."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from towline_server.db.base import UtcDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Take it."""
    op.add_column("runs", sa.Column("not_before", UtcDateTime(), nullable=True))


def downgrade() -> None:
    """Take it back."""
    op.drop_column("runs", "not_before")
