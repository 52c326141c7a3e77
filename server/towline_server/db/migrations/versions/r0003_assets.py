"""Assets, their bytes, the pull log, events and stored plans."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from towline_server.db.base import ExactText, Json, UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Take it."""
    op.create_table(
        "blobs",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("digest", ExactText(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name="fk_blobs_project_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "digest", name="pk_blobs"),
    )
    op.create_table(
        "plans",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("document", ExactText(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name="fk_plans_project_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_plans"),
    )
    op.create_index("ix_plans_project_id_created_at", "plans", ["project_id", "created_at"])
    op.create_table(
        "pulls",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("base", ExactText(), nullable=True),
        sa.Column("revision", ExactText(), nullable=True),
        sa.Column("at", UtcDateTime(), nullable=True),
        sa.Column("undoes", sa.BigInteger(), nullable=True),
        sa.Column("undone", sa.Boolean(), nullable=False),
        sa.Column("plan", ExactText(), nullable=True),
        sa.Column("report", Json, nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name="fk_pulls_project_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "number", name="pk_pulls"),
    )
    op.create_table(
        "used_ids",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("asset_id", ExactText(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name="fk_used_ids_project_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "asset_id", name="pk_used_ids"),
    )
    op.create_table(
        "asset_events",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("pull", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=True),
        sa.Column("asset_id", ExactText(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("disposition", sa.String(), nullable=False),
        sa.Column("path", ExactText(), nullable=False),
        sa.Column("renamed_from", ExactText(), nullable=True),
        sa.Column("before_digest", ExactText(), nullable=True),
        sa.Column("before_executable", sa.Boolean(), nullable=False),
        sa.Column("after_digest", ExactText(), nullable=True),
        sa.Column("after_executable", sa.Boolean(), nullable=False),
        sa.Column("merged", sa.Boolean(), nullable=False),
        sa.Column("discarded", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "pull"],
            ["pulls.project_id", "pulls.number"],
            name="fk_asset_events_project_id_pull",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "pull", "position", name="pk_asset_events"),
    )
    op.create_index(
        "ix_asset_events_project_id_asset_id", "asset_events", ["project_id", "asset_id"]
    )
    op.create_table(
        "assets",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("id", ExactText(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("path", ExactText(), nullable=True),
        sa.Column("path_key", ExactText(), nullable=True),
        sa.Column("digest", ExactText(), nullable=True),
        sa.Column("executable", sa.Boolean(), nullable=False),
        sa.Column("base_path", ExactText(), nullable=True),
        sa.Column("base_digest", ExactText(), nullable=True),
        sa.Column("base_executable", sa.Boolean(), nullable=False),
        sa.Column("seen_path", ExactText(), nullable=True),
        sa.Column("seen_digest", ExactText(), nullable=True),
        sa.Column("seen_executable", sa.Boolean(), nullable=False),
        sa.Column("seen_reason", sa.String(), nullable=True),
        sa.Column("aligned_path", ExactText(), nullable=True),
        sa.Column("lagging", sa.Boolean(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("embedded_id", ExactText(), nullable=True),
        sa.CheckConstraint(
            "(path IS NULL) = (digest IS NULL)", name=op.f("ck_assets_ours_is_whole")
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "digest"],
            ["blobs.project_id", "blobs.digest"],
            name="fk_assets_project_id_digest",
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name="fk_assets_project_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "id", name="pk_assets"),
    )
    op.create_index(
        "ix_assets_lagging",
        "assets",
        ["project_id", "id"],
        sqlite_where=sa.text("lagging IS 1"),
        postgresql_where=sa.text("lagging IS true"),
    )
    op.create_index("ix_assets_project_id_aligned_path", "assets", ["project_id", "aligned_path"])
    op.create_index("ix_assets_project_id_digest", "assets", ["project_id", "digest"])
    op.create_index("ix_assets_project_id_embedded_id", "assets", ["project_id", "embedded_id"])
    op.create_index("ix_assets_project_id_path", "assets", ["project_id", "path"], unique=True)
    op.create_index("ix_assets_project_id_path_key", "assets", ["project_id", "path_key"])
    op.create_table(
        "local_files",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("path", ExactText(), nullable=False),
        sa.Column("path_key", ExactText(), nullable=False),
        sa.Column("digest", ExactText(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "digest"],
            ["blobs.project_id", "blobs.digest"],
            name="fk_local_files_project_id_digest",
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name="fk_local_files_project_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "path", name="pk_local_files"),
    )
    op.create_index("ix_local_files_project_id_digest", "local_files", ["project_id", "digest"])
    op.create_index("ix_local_files_project_id_path_key", "local_files", ["project_id", "path_key"])
    op.create_table(
        "kept_blobs",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("digest", ExactText(), nullable=False),
        sa.Column("pull", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name="fk_kept_blobs_project_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "digest"],
            ["blobs.project_id", "blobs.digest"],
            name="fk_kept_blobs_project_id_digest",
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "pull"],
            ["pulls.project_id", "pulls.number"],
            name="fk_kept_blobs_project_id_pull",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "digest", "pull", name="pk_kept_blobs"),
    )
    op.create_index("ix_kept_blobs_project_id_pull", "kept_blobs", ["project_id", "pull"])


def downgrade() -> None:
    """Take it back."""
    for table in (
        "kept_blobs",
        "local_files",
        "asset_events",
        "assets",
        "plans",
        "pulls",
        "used_ids",
        "blobs",
    ):
        op.drop_table(table)
