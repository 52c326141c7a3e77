"""Count the windows of runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_COLUMNS = ("windows_pulled", "windows_left")


def upgrade() -> None:
    """Add the columns to runs."""
    with op.batch_alter_table("runs") as runs:
        for name in _COLUMNS:
            runs.add_column(sa.Column(name, sa.Integer()))


def downgrade() -> None:
    """Remove them."""
    with op.batch_alter_table("runs") as runs:
        for name in _COLUMNS:
            runs.drop_column(name)
