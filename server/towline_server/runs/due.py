"""What is due in a database, looked for with one statement for all loops of a server.

An idle server sends no other: each loop sleeps until it is woken. What a loop takes, it looks for
itself; here it may be more than that, never less.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from sqlalchemy import exists, select

from towline_server.db.clock import sql_now
from towline_server.db.session import Database
from towline_server.loops import Ticker
from towline_server.webhooks.queue import is_due

from .delegation import is_due as is_followed
from .domain import BackendName
from .queue import may_begin
from .schedule_tables import ScheduleRow
from .states import ACTIVE
from .tables import RunRow


class Due(StrEnum):
    """What a loop of a server waits for."""

    RUNS = "runs"
    """One for this process may begin."""
    TEMPORAL = "temporal"
    """One is to be given to Temporal, or it is to be asked about one."""
    PREFECT = "prefect"
    """The same, of Prefect."""
    LEASES = "leases"
    """One of a run has expired."""
    SCHEDULES = "schedules"
    DELIVERIES = "deliveries"


class DueWork:
    """Looks for what is due, and wakes the loop that does it."""

    def __init__(self, database: Database, loops: Mapping[Due, Ticker]) -> None:
        self._database = database
        self._loops = loops
        now = sql_now()
        conditions = {
            Due.RUNS: exists().where(RunRow.backend == BackendName.NATIVE, *may_begin()),
            Due.TEMPORAL: is_followed(BackendName.TEMPORAL, now),
            Due.PREFECT: is_followed(BackendName.PREFECT, now),
            Due.LEASES: exists().where(RunRow.state.in_(ACTIVE), RunRow.has_expired(now)),
            Due.SCHEDULES: exists().where(ScheduleRow.due_at <= now),
            Due.DELIVERIES: is_due(now),
        }
        self._query = select(*(conditions[due].label(due) for due in loops))

    def find(self) -> frozenset[Due]:
        """Return what is due now, by the database's clock."""
        with self._database.reading() as session:
            found = session.execute(self._query).one()
        return frozenset(due for due, is_there in zip(self._loops, found, strict=True) if is_there)

    def wake(self) -> None:
        """Wake each loop that has something to do."""
        for due in self.find():
            self._loops[due].wake()
