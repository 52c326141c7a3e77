"""Migrations, run by the program itself: no alembic.ini, no command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from .engine import WRITES

_SCRIPTS = Path(__file__).parent / "migrations"
_LOCK = 0x746F776C  # "towl": any number that this program alone uses


def upgrade(engine: Engine) -> None:
    """Bring the database's tables up to date, in one transaction. Safe to run from many places.

    A database that is current is only read: a server starts while another one writes.
    """
    with engine.connect() as connection:
        if is_current(connection):
            return
    with _migrating(engine) as connection:
        command.upgrade(_config(connection), "head")


def is_current(connection: Connection) -> bool:
    """Whether a database's tables are those of this version; it reads one row."""
    return MigrationContext.configure(connection).get_current_heads() == _heads()


@cache
def _heads() -> tuple[str, ...]:
    return tuple(ScriptDirectory.from_config(_scripts()).get_heads())


def _config(connection: Connection) -> Config:
    config = _scripts()
    config.attributes["connection"] = connection
    return config


def _scripts() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    return config


@contextmanager
def _migrating(engine: Engine) -> Iterator[Connection]:
    """A connection in the one transaction that migrates."""
    with engine.execution_options(**WRITES).connect() as connection:
        if engine.dialect.name == "sqlite":
            with _without_foreign_keys(connection), connection.begin():
                yield connection
        else:
            with connection.begin():
                # The second one waits, however long the first migration takes.
                connection.execute(text("SET LOCAL lock_timeout = 0"))
                # Reading the migrations takes a while where the machine is busy.
                connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
                yield connection


@contextmanager
def _without_foreign_keys(connection: Connection) -> Iterator[None]:
    """SQLite alters a table by copying it, and dropping the old one would empty its children.

    The pragma does nothing inside a transaction, so it goes past SQLAlchemy, which begins one.
    """
    driver = connection.connection.dbapi_connection
    assert driver is not None, "the connection is open"
    driver.cursor().execute("PRAGMA foreign_keys = OFF")
    try:
        yield
    finally:
        driver.cursor().execute("PRAGMA foreign_keys = ON")
