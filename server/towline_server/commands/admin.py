"""``towline admin``: its groups, ``audit``, ``backup`` and ``transfer``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from . import admin_identities, admin_projects
from .session import AdminSession, Record, admin_command, record_of


@click.group()
def admin() -> None:
    """Set up tenants, people, keys, connections and projects, right in the database."""


for _group in (*admin_identities.GROUPS, *admin_projects.GROUPS):
    admin.add_command(_group)


@admin_command(admin, "audit")
@click.option("--tenant", help="A tenant's name; all by default.")
@click.option("--since", type=click.DateTime(), help="In UTC; the last day by default.")
def audit(database: AdminSession, tenant: str | None, since: datetime | None) -> Sequence[Record]:
    """Show who did what, when and from where, the oldest first."""
    from towline_server.audit.reading import AuditFilter, every_event

    begin = datetime.now(UTC) - timedelta(days=1) if since is None else since.replace(tzinfo=UTC)
    wanted = AuditFilter(
        tenant_id=None if tenant is None else database.tenant_id(tenant),
        since=begin,
        order="oldest",
    )
    found = every_event(database.services.database, wanted)
    return [record_of(each, detail=each.detail) for each in found]


@admin_command(admin, "backup")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def backup(database: AdminSession, folder: Path) -> Record:
    """Copy the embedded database, and the key of its secrets, into a new FOLDER.

    The server may run. To restore, make FOLDER the data_dir of a server that is stopped.
    """
    import shutil

    from sqlalchemy import make_url

    from towline.errors import InvalidValue
    from towline_server.db.backup import copy_sqlite
    from towline_server.errors import AlreadyExists, NotFound

    settings = database.settings
    if not settings.is_embedded:
        problem = "is PostgreSQL: back it up with pg_dump"
        raise InvalidValue(field="database_url", problem=problem)
    source = Path(make_url(settings.database).database or "")
    if not source.is_file():
        raise NotFound(what="database")
    try:
        folder.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        raise AlreadyExists(what="folder") from None
    copy_sqlite(source, folder / "towline.db")
    with_key = not settings.secret_keys and settings.secret_key_file.exists()
    if with_key:
        shutil.copy(settings.secret_key_file, folder / settings.secret_key_file.name)
    return {"folder": str(folder), "with_key": with_key}


@admin_command(admin, "transfer")
@click.option("--to", "url", required=True, help="The database_url of the other database.")
def transfer(database: AdminSession, url: str) -> Record:
    """Copy everything into another, empty database, such as a PostgreSQL.

    Every server has to be stopped. The new servers need the same secret key.
    """
    from towline_server.db import make_engine, upgrade
    from towline_server.db.transfer import transfer as transfer_rows
    from towline_server.tables import Base

    source = database.services.database.engine
    target = make_engine(url)
    try:
        upgrade(target)
        copied = transfer_rows(source, target, Base.metadata)
    finally:
        target.dispose()
    return {"rows": copied}
