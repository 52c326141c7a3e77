"""The log of applied pulls in the state file, and which contents undoing them needs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from towline.codec import decode_trusted, encode
from towline.errors import StalePlan, StoreDamaged, StoreError, TowlineError
from towline.model import Digest
from towline.ports import LoggedPull
from towline.records import PlanSummary
from towline.stores.directory.rows import AMONG
from towline.stores.directory.schema import connect

if TYPE_CHECKING:
    from towline.plan import Plan

T = TypeVar("T")

# A plan may be as large as its project.
_LOGGED = "SELECT number, at, undone, summary FROM log"
_PLAN = "SELECT plan FROM log WHERE number = ?"


class PullLog:
    """The log. Its plans are read when they are asked for, also after the file is ``closed``."""

    def __init__(self, connection: sqlite3.Connection, path: str, shown: str) -> None:
        self._connection = connection
        self._path = path
        self._shown = shown
        self.closed = False

    def entries(self) -> list[LoggedPull]:
        """Return the retained plans, newest first. None is read until it is asked for."""
        rows = self._connection.execute(f"{_LOGGED} ORDER BY number DESC").fetchall()
        return [self._logged(row) for row in rows]

    def entry(self, number: int) -> LoggedPull | None:
        """Return the plan with this number."""
        row = self._connection.execute(f"{_LOGGED} WHERE number = ?", (number,)).fetchone()
        return None if row is None else self._logged(row)

    def _plan(self, number: int) -> Plan:
        """Return a plan of the log, which is asked for later, when this may be closed."""
        from towline.plan import Plan

        try:
            if self.closed:
                with closing(connect(self._path, "rw")) as connection:
                    row = connection.execute(_PLAN, (number,)).fetchone()
            else:
                row = self._connection.execute(_PLAN, (number,)).fetchone()
        except sqlite3.Error as error:
            raise StoreError(project=self._shown, problem=f"pull {number}: {error}") from error
        if row is None:
            raise StalePlan(reason=f"pull {number} is no longer in the log")
        return self._decoded(Plan, row[0], number)

    def _undoes(self, number: int) -> int | None:
        entry = self.entry(number)
        return entry.summary.undoes if entry is not None else None

    def _logged(self, row: Sequence[Any]) -> LoggedPull:
        number, at, undone, summary = row
        return LoggedPull(
            number=number,
            plan=lambda: self._plan(number),
            at=None if at is None else datetime.fromisoformat(at),
            undone=bool(undone),
            summary=None if summary is None else self._decoded(PlanSummary, summary, number),
        )

    def _decoded(self, kind: type[T], text: str, number: int) -> T:
        try:
            return decode_trusted(kind, json.loads(text))
        except (TowlineError, ValueError, RecursionError) as error:
            problem = f"its state cannot be read: pull {number}: {error}"
            raise StoreDamaged(project=self._shown, problem=problem) from error

    def add(
        self, plan: Plan, plan_text: str, *, number: int, at: str | None, keep: int
    ) -> list[Digest]:
        """Add a plan to the log, and remove all but so many; in the caller's transaction.

        Returns the digests of contents that the log no longer refers to.
        """
        from towline.stores.checks import undone_by

        summary = json.dumps(encode(plan.summary))
        self._connection.execute(
            "INSERT INTO log VALUES (?, ?, ?, 0, ?)", (number, plan_text, at, summary)
        )
        for each, undone in undone_by(plan, self._undoes).items():
            self._connection.execute("UPDATE log SET undone = ? WHERE number = ?", (undone, each))
        oldest = number - keep
        self._connection.execute("DELETE FROM log WHERE number <= ?", (oldest,))
        dropped = self._connection.execute(
            "SELECT digest FROM blob_uses GROUP BY digest HAVING max(number) <= ?", (oldest,)
        ).fetchall()
        self._connection.execute("DELETE FROM blob_uses WHERE number <= ?", (oldest,))
        self._connection.execute(
            "DELETE FROM blobs WHERE digest NOT IN (SELECT digest FROM blob_uses)"
        )
        return [Digest(digest) for (digest,) in dropped]

    # --- the contents that undoing needs ----------------------------------------------------------

    def undo_contents(self, digests: Iterable[str]) -> set[str]:
        """Return those of these contents that undoing a pull in the log needs."""
        return self._among("SELECT DISTINCT digest FROM blob_uses", digests)

    def add_undo_contents(self, number: int, digests: Iterable[Digest]) -> None:
        """Record that undoing a pull needs these contents."""
        rows = [(digest, number) for digest in digests]
        self._connection.executemany("INSERT OR IGNORE INTO blob_uses VALUES (?, ?)", rows)

    def blobs(self, digests: Iterable[str]) -> set[str]:
        """Return those of these contents that an earlier version stored in the state file."""
        return self._among("SELECT digest FROM blobs", digests)

    def blob(self, digest: str) -> bytes | None:
        """Return a content that an earlier version stored in the state file."""
        select = "SELECT content FROM blobs WHERE digest = ?"
        row = self._connection.execute(select, (digest,)).fetchone()
        return None if row is None else bytes(row[0])

    def _among(self, select: str, digests: Iterable[str]) -> set[str]:
        asked = (json.dumps(list(digests)),)
        rows = self._connection.execute(f"{select} WHERE digest {AMONG}", asked)
        return {str(digest) for (digest,) in rows}
