"""Add the audit log, whose rows the database itself protects."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from towline_server.db.base import ExactText, Json, UtcDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_POSTGRESQL = (
    """
    CREATE FUNCTION audit_events_guard() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' AND OLD.at < now() - interval '30 days' THEN
            RETURN OLD;
        END IF;
        RAISE EXCEPTION 'the audit log is append-only';
    END $$
    """,
    """
    CREATE TRIGGER audit_events_rows BEFORE UPDATE OR DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION audit_events_guard()
    """,
    """
    CREATE TRIGGER audit_events_table BEFORE TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION audit_events_guard()
    """,
)
_SQLITE = (
    """
    CREATE TRIGGER audit_events_update BEFORE UPDATE ON audit_events
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END
    """,
    """
    CREATE TRIGGER audit_events_delete BEFORE DELETE ON audit_events
    WHEN OLD.at >= datetime('now', '-30 days')
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END
    """,
)


def upgrade() -> None:
    """Add the table and its triggers."""
    op.create_table(
        "audit_events",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), sa.ForeignKey("tenants.id")),
        sa.Column("project_id", sa.Uuid()),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("subject", ExactText()),
        sa.Column("detail", Json, nullable=False),
        sa.Column("actor_kind", sa.String(), nullable=False),
        sa.Column("actor_id", sa.Uuid()),
        sa.Column("actor_name", ExactText(), nullable=False),
        sa.Column("credential", sa.String()),
        sa.Column("address", ExactText()),
        sa.Column("request_id", ExactText()),
        sa.Index("ix_audit_events_at", "at", "id"),
        sa.Index("ix_audit_events_tenant_id", "tenant_id", "at", "id"),
    )
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in _SQLITE if is_sqlite else _POSTGRESQL:
        op.execute(statement)


def downgrade() -> None:
    """Drop them."""
    op.drop_table("audit_events")
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION audit_events_guard")
