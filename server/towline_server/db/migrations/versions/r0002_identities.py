"""Identities, their roles, connections, bindings, and answers to idempotent requests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from towline_server.db.base import ExactText, UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Take it."""
    op.create_table(
        "connections",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("name", ExactText(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("url", ExactText(), nullable=False),
        sa.Column("credential", sa.LargeBinary(), nullable=True),
        sa.Column("credential_origin", ExactText(), nullable=True),
        sa.Column("webhook_secret", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "(credential IS NULL) = (credential_origin IS NULL)", name="ck_connections_credential"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_connections_tenant_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_connections"),
    )
    op.create_index("ix_connections_tenant_id", "connections", ["tenant_id"], unique=False)
    op.create_table(
        "identities",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", ExactText(), nullable=False),
        sa.Column("tenant_role", sa.String(), nullable=True),
        sa.Column("email", ExactText(), nullable=True),
        sa.Column("password_hash", sa.String(), nullable=True),
        sa.Column("subject", ExactText(), nullable=True),
        sa.Column("key_sha256", sa.String(), nullable=True),
        sa.Column("key_hint", sa.String(), nullable=True),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.Column("disabled_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "(kind = 'api_key') = (key_sha256 IS NOT NULL)", name="ck_identities_key_sha256"
        ),
        sa.CheckConstraint(
            "kind IN ('user', 'service_account', 'api_key')", name="ck_identities_kind"
        ),
        sa.CheckConstraint("(email IS NULL) = (password_hash IS NULL)", name="ck_identities_email"),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_identities_tenant_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_identities"),
        sa.UniqueConstraint("email", name="uq_identities_email"),
        sa.UniqueConstraint("key_sha256", name="uq_identities_key_sha256"),
        sa.UniqueConstraint("subject", name="uq_identities_subject"),
    )
    op.create_index("ix_identities_tenant_id", "identities", ["tenant_id"], unique=False)
    op.create_table(
        "bindings",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("ref", ExactText(), nullable=False),
        sa.Column("scope", ExactText(), nullable=False),
        sa.Column("answers_for", ExactText(), nullable=True),
        sa.Column("bound_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connections.id"], name="fk_bindings_connection_id"
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name="fk_bindings_project_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_bindings_tenant_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", name="pk_bindings"),
        sa.UniqueConstraint("tenant_id", "answers_for", name="uq_bindings_tenant_id_answers_for"),
    )
    op.create_index("ix_bindings_connection_id", "bindings", ["connection_id"], unique=False)
    op.create_table(
        "grants",
        sa.Column("identity_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.CheckConstraint("role IN ('reader', 'writer', 'admin')", name="ck_grants_role"),
        sa.ForeignKeyConstraint(
            ["identity_id"], ["identities.id"], name="fk_grants_identity_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name="fk_grants_project_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("identity_id", "project_id", name="pk_grants"),
    )
    op.create_index("ix_grants_project_id", "grants", ["project_id"], unique=False)
    op.create_table(
        "idempotent_answers",
        sa.Column("identity_id", sa.Uuid(), nullable=False),
        sa.Column("route", ExactText(), nullable=False),
        sa.Column("key", ExactText(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("request_sha256", sa.String(), nullable=False),
        sa.Column("claimed_at", UtcDateTime(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("content_type", sa.String(), nullable=True),
        sa.Column("location", sa.String(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["identity_id"],
            ["identities.id"],
            name="fk_idempotent_answers_identity_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name="fk_idempotent_answers_tenant_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("identity_id", "route", "key", name="pk_idempotent_answers"),
    )
    op.create_index(
        "ix_idempotent_answers_claimed_at", "idempotent_answers", ["claimed_at"], unique=False
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_index("ix_idempotent_answers_claimed_at", table_name="idempotent_answers")
    op.drop_table("idempotent_answers")
    op.drop_index("ix_grants_project_id", table_name="grants")
    op.drop_table("grants")
    op.drop_index("ix_bindings_connection_id", table_name="bindings")
    op.drop_table("bindings")
    op.drop_index("ix_identities_tenant_id", table_name="identities")
    op.drop_table("identities")
    op.drop_index("ix_connections_tenant_id", table_name="connections")
    op.drop_table("connections")
