"""Create the table of sessions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from towline_server.db.base import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    identity = sa.ForeignKey("identities.id", ondelete="CASCADE")
    op.create_table(
        "sessions",
        sa.Column("token_sha256", sa.String(), primary_key=True),
        sa.Column("identity_id", sa.Uuid(), identity, nullable=False, index=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False, index=True),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("sessions")
