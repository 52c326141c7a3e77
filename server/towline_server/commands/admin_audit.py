"""``towline admin audit``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import click

from .session import AdminSession, Record, admin_command, record_of


def add_to(group: click.Group) -> None:
    """Add the command to a group."""

    @admin_command(group, "audit")
    @click.option("--tenant", help="A tenant's name; all by default.")
    @click.option("--since", type=click.DateTime(), help="In UTC; the last day by default.")
    def audit(
        database: AdminSession, tenant: str | None, since: datetime | None
    ) -> Sequence[Record]:
        """Show who did what, when and from where, the oldest first."""
        from datetime import timedelta

        from towline_server.audit.reading import AuditFilter, every_event

        begin = (
            datetime.now(UTC) - timedelta(days=1) if since is None else since.replace(tzinfo=UTC)
        )
        wanted = AuditFilter(
            tenant_id=None if tenant is None else database.tenant_id(tenant),
            since=begin,
            oldest_first=True,
        )
        found = every_event(database.services.database, wanted)
        return [record_of(each, detail=each.detail) for each in found]
