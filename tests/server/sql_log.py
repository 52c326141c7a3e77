"""What a database is sent, as its engine sends it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event

from towline_server.db import Database


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """The statements of the block, and the ends of its transactions."""
    sent: list[str] = []

    def before(_: Connection, __: Any, statement: str, *_rest: Any) -> None:
        sent.append(statement)

    def end(connection: Connection) -> None:
        sent.append("the end of a transaction")

    listened = (("before_cursor_execute", before), ("commit", end), ("rollback", end))
    for name, listener in listened:
        event.listen(database.engine, name, listener)
    yield sent
    for name, listener in listened:
        event.remove(database.engine, name, listener)
