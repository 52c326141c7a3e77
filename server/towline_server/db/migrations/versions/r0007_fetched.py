"""What was fetched last under a binding other than by a run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from towline_server.db.base import ExactText, UtcDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Take it."""
    op.add_column("bindings", sa.Column("fetched_revision", ExactText(), nullable=True))
    op.add_column("bindings", sa.Column("fetched_at", UtcDateTime(), nullable=True))


def downgrade() -> None:
    """Take it back."""
    op.drop_column("bindings", "fetched_at")
    op.drop_column("bindings", "fetched_revision")
