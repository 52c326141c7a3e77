"""Create the table of saved resolutions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from towline_server.db.base import ExactText

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    project = sa.ForeignKey("projects.id", ondelete="CASCADE")
    op.create_table(
        "resolution_texts",
        sa.Column("project_id", sa.Uuid(), project, nullable=False, primary_key=True),
        sa.Column("name", ExactText(), primary_key=True),
        sa.Column("text", ExactText(), nullable=False),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("resolution_texts")
