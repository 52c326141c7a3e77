"""``towline admin backup`` and ``transfer``: all that a control plane knows, in another place."""

from __future__ import annotations

from pathlib import Path

import click

from .output import settings_from, show, with_settings


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@with_settings
def backup(folder: Path, settings_file: Path | None, as_json: bool) -> None:
    """Copy the embedded database, and the key of its secrets, into a new FOLDER.

    The server may run. To restore, make FOLDER the data_dir of a server that is stopped.
    """
    import shutil

    from sqlalchemy import make_url

    from towline.errors import InvalidValue
    from towline_server.db.backup import copy_sqlite
    from towline_server.errors import AlreadyExists, NotFound

    settings = settings_from(settings_file)
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
    show({"folder": str(folder), "with_key": with_key}, as_json=as_json)


@click.command()
@click.option("--to", "url", required=True, help="The database_url of the other database.")
@with_settings
def transfer(url: str, settings_file: Path | None, as_json: bool) -> None:
    """Copy everything into another, empty database, such as a PostgreSQL.

    Every server has to be stopped. The new servers need the same secret key.
    """
    from towline_server.db import make_engine, upgrade
    from towline_server.db.transfer import transfer as transfer_rows
    from towline_server.services import open_services
    from towline_server.tables import Base

    services = open_services(settings_from(settings_file))
    target = make_engine(url)
    try:
        upgrade(target)
        copied = transfer_rows(services.database.engine, target, Base.metadata)
    finally:
        target.dispose()
        services.close()
    show({"rows": copied}, as_json=as_json)
