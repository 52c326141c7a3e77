"""The statements and the transactions that a database is sent, counted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, event

from towline_server.db import Database


@dataclass
class Statements:
    """The statements that went to a database, with their parameters, and its transactions."""

    sent: list[tuple[str, Any]] = field(default_factory=list)
    transactions: int = 0

    def __call__(
        self, _: Connection, __: Any, statement: str, values: Any, ___: Any, many: bool
    ) -> None:
        # What begins a transaction is counted as one.
        if not statement.startswith("BEGIN"):
            self.sent.append((statement, values[0] if many else values))

    def begin(self, _: Connection) -> None:
        self.transactions += 1


@contextmanager
def counting(database: Database) -> Iterator[Statements]:
    """What is sent to a database in the block, from any thread."""
    statements = Statements()
    event.listen(database.engine, "before_cursor_execute", statements)
    event.listen(database.engine, "begin", statements.begin)
    yield statements
    event.remove(database.engine, "before_cursor_execute", statements)
    event.remove(database.engine, "begin", statements.begin)
