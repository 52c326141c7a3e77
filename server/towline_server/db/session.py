"""Sessions: one that reads one moment, and one that writes or does nothing."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from uuid import UUID
from weakref import WeakValueDictionary

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from .clock import database_now
from .engine import LOCK_SECONDS, WAITS, WRITES


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
        self._patient_reader = engine.execution_options(**snapshot, **WAITS)
        lock_seconds = engine.get_execution_options().get(LOCK_SECONDS)
        self._turn: Callable[[], AbstractContextManager[None]] = (
            nullcontext if lock_seconds is None else WriteQueue(lock_seconds).turn
        )
        self._locks: WeakValueDictionary[UUID, threading.Lock] = WeakValueDictionary()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session whose reads all see the database at one moment."""
        with Session(self._reader) as session:
            yield session

    @contextmanager
    def reading_patiently(self) -> Iterator[Session]:
        """A session as `reading` gives, which may wait between two reads, as for a repository."""
        with Session(self._patient_reader) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session that is committed at the end of the block.

        On SQLite it holds the database's one write lock from its first statement on, and those of
        this process come one after another; on PostgreSQL it reads what is committed, and locks
        the rows that it changes.
        """
        with self._turn(), Session(self._writer) as session:
            with session.begin():
                yield session
            afterwards = session.info.pop(_AFTERWARDS, ())
        for call in afterwards:
            call()

    def now(self) -> datetime:
        """Return the time by the database's clock."""
        with self.reading() as session:
            return database_now(session)

    def lock_of(self, project_id: UUID) -> threading.Lock:
        """Return this process' lock on a project: the same one for as long as it is in use."""
        return self._locks.setdefault(project_id, threading.Lock())

    def close(self) -> None:
        """Close every connection that is not in use."""
        self.engine.dispose()


def once_committed(session: Session, call: Callable[[], None]) -> None:
    """Call this once the session of a `Database.writing` block is committed, if it ever is."""
    session.info.setdefault(_AFTERWARDS, []).append(call)


class WriteQueue:
    """The writers of one process, in the order in which they came.

    SQLite lets one write at a time; one that finds it locked sleeps, tries again, and may be
    overtaken every time. Under load that wastes most of the time, and fails the unlucky ones.
    ``seconds`` bounds how long one waits for its turn.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._taken = False

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn; where none comes in time the block runs, and the database decides."""
        mine = self._take()
        try:
            yield
        finally:
            if mine:
                self._pass_on()

    def _take(self) -> bool:
        called = threading.Event()
        with self._lock:
            if not self._taken:
                self._taken = True
                return True
            self._waiting.append(called)
        if called.wait(self._seconds):
            return True
        with self._lock:
            if called.is_set():  # at the last moment
                return True
            self._waiting.remove(called)
            return False

    def _pass_on(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._taken = False


_AFTERWARDS = "towline_afterwards"
_SNAPSHOT = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
