"""One apply a project at a time within a process: a second one is told before it fetches.

The database decides between processes, and always has the last word. A run that holds the
project's fence takes no turn here: a worker that hangs must not keep out the one that replaced it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from uuid import UUID
from weakref import WeakKeyDictionary

from towline.errors import StoreBusy
from towline_server.db.session import Database

_lock = Lock()
_applying: WeakKeyDictionary[Database, set[UUID]] = WeakKeyDictionary()


@contextmanager
def turn(database: Database, project_id: UUID) -> Iterator[None]:
    """The project's one turn.

    Raises:
        StoreBusy: it is taken.
    """
    with _lock:
        taken = _applying.setdefault(database, set())
        if project_id in taken:
            raise StoreBusy(project=str(project_id))
        taken.add(project_id)
    try:
        yield
    finally:
        with _lock:
            taken.remove(project_id)
