"""Sessions: one that reads one moment, and one that writes or does nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from .engine import WRITES


class Database:
    """A database that is open: transactions, as context managers.

    Both give a plain session. Do not commit it: leaving the block does, or rolls back when an
    exception leaves it.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._writer = engine.execution_options(**WRITES)
        snapshot = {} if engine.dialect.name == "sqlite" else _SNAPSHOT
        self._reader = engine.execution_options(**snapshot)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session whose reads all see the database at one moment."""
        with Session(self._reader) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session that is committed at the end of the block.

        On SQLite it holds the database's one write lock from its first statement on; on
        PostgreSQL it reads what is committed, and locks the rows that it changes.
        """
        with Session(self._writer) as session:
            with session.begin():
                yield session
            for call in session.info.pop(_AFTERWARDS, ()):
                call()

    def close(self) -> None:
        """Close every connection that nobody uses."""
        self.engine.dispose()


def once_committed(session: Session, call: Callable[[], None]) -> None:
    """Call this once the session of a `Database.writing` block is committed, if it ever is."""
    session.info.setdefault(_AFTERWARDS, []).append(call)


_AFTERWARDS = "towline_afterwards"
_SNAPSHOT = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
