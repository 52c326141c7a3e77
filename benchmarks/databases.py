"""The databases that a server is measured on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg

from tests.postgres import running_server

from .bench import Bench, say


def databases(stack: ExitStack, folder: Path, bench: Bench) -> Iterator[tuple[str, str]]:
    """SQLite, and PostgreSQL where its programs are there; quick runs do without."""
    yield "SQLite", f"sqlite:///{folder}/towline.db"
    if not bench.scale.judge:
        return
    try:
        server = stack.enter_context(running_server())
    except FileNotFoundError as error:
        say(f"without PostgreSQL: {error}")
        return
    yield "PostgreSQL", server.create("bench")


def kib(url: str) -> float:
    """How large a database of PostgreSQL is; 0 of another."""
    if not url.startswith("postgresql"):
        return 0.0
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    assert row is not None
    return float(row[0]) / 1024
