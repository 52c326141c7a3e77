"""The databases that a server is measured on."""

from __future__ import annotations

from contextlib import ExitStack

import psycopg

from tests.postgres import PostgresServer, running_server

from .bench import Bench, say


def postgresql(stack: ExitStack, bench: Bench) -> PostgresServer | None:
    """A server of PostgreSQL; None where its programs are not there, and in quick runs."""
    if not bench.scale.judge:
        return None
    try:
        return stack.enter_context(running_server())
    except FileNotFoundError as error:
        say(f"without PostgreSQL: {error}")
        return None


def kib(url: str) -> float:
    """How large a database of PostgreSQL is; 0 of another."""
    if not url.startswith("postgresql"):
        return 0.0
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    assert row is not None
    return float(row[0]) / 1024
