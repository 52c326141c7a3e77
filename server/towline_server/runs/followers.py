"""Followers of runs: one thread of a process reads the runs that changed, and hands them to all."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from towline_server.db.session import Database
from towline_server.db.statements import batches
from towline_server.loops import ChangeSignal

from .domain import Run
from .following import FollowersOf, Waiting, end_all, hand_out
from .tables import RunRow, run_of


@dataclass(frozen=True, eq=False, slots=True)
class RunChange:
    """A run after it changed: one object for all who follow it."""

    run: Run


class Follower(Waiting):
    """Waits for a run to change, and for the attempt that replaces it automatically."""

    def __init__(self, run: Run) -> None:
        super().__init__(run.id)
        self.seen = None if run.will_be_retried else run.updated_at
        """When the run had changed that it was handed last."""
        self._sent: tuple[UUID, datetime] | None = None
        self._last: RunChange | None = None
        if not run.will_be_retried:
            self.put(RunChange(run))

    def put(self, change: RunChange) -> None:
        """Hand over a change, in the thread of the loop; an older one need not be seen."""
        if (change.run.id, change.run.updated_at) != self._sent:
            self._last = change
            self._woken.set()

    async def next(self, seconds: float) -> RunChange | None:
        """Return the next change; None: there was none for so long, or nothing follows."""
        await self.wait(seconds)
        change, self._last = self._last, None
        if change is not None:
            self._sent = (change.run.id, change.run.updated_at)
        return change


class Followers(FollowersOf[Follower]):
    """The followers of runs."""

    def __init__(self, database: Database, changes: ChangeSignal) -> None:
        super().__init__("towline-followers", changes)
        self._database = database
        self._seen: dict[UUID, datetime | None] = {}
        """When a followed run had changed that was handed out last."""

    @contextmanager
    def following(self, run: Run) -> Iterator[Follower]:
        """Follow a run, within a coroutine; its present state is the first change."""
        with self._following(Follower(run)) as follower:
            yield follower

    def look(self) -> None:
        """Read the followed runs that changed, and hand them out."""
        with self._lock:
            seen = dict(self._seen)
        if not seen:
            return
        with self._database.reading() as session:
            found = _changed_at(session, seen)
            new = [run_id for run_id, at in found.items() if at != seen[run_id]]
            runs = _last_attempts(session, new)
        for run_id in seen.keys() - found.keys():
            end_all(self._all_of(run_id))
        for run_id, run in runs.items():
            change = RunChange(run)
            hand_out(self._moved(run_id, run), partial(Follower.put, change=change))

    def _moved(self, run_id: UUID, run: Run) -> list[Follower]:
        """Note what the followers of a run are handed; return them."""
        with self._lock:
            everyone = list(self._followers.get(run_id, ()))
            for each in everyone:
                each.seen = run.updated_at
                if run.id != run_id:
                    self._remove(each)
                    each.followed = run.id
                    self._add(each)
            if everyone:
                self._seen[run.id] = run.updated_at
        return everyone

    def _add(self, follower: Follower) -> bool:
        is_first = super()._add(follower)
        if is_first:
            self._seen[follower.followed] = follower.seen
        elif self._seen[follower.followed] != follower.seen:
            self._seen[follower.followed] = None  # it is read again, for all of them
        if self._seen[follower.followed] is None:
            self._woken.set()
        return is_first

    def _remove(self, follower: Follower) -> bool:
        was_last = super()._remove(follower)
        if was_last:
            del self._seen[follower.followed]
        return was_last


def _changed_at(session: Session, seen: Mapping[UUID, datetime | None]) -> dict[UUID, datetime]:
    found: dict[UUID, datetime] = {}
    for some in batches(list(seen), 1000):
        query = select(RunRow.id, RunRow.updated_at).where(RunRow.id.in_(some))
        found.update((row.id, row.updated_at) for row in session.execute(query))
    return found


def _last_attempts(session: Session, run_ids: Collection[UUID]) -> dict[UUID, Run]:
    """Return runs, or the attempts that replace them automatically, by the runs' ids."""
    last = {run_id: run_id for run_id in run_ids}
    runs: dict[UUID, Run] = {}
    while missing := [each for each in last.values() if each not in runs]:
        found: dict[UUID, Run] = {}
        for some in batches(missing, 1000):
            query = select(RunRow).where(RunRow.id.in_(some))
            found.update((row.id, run_of(row)) for row in session.scalars(query))
        runs |= found
        for first, run_id in list(last.items()):
            run = runs.get(run_id)
            if run is None:
                del last[first]  # deleted meanwhile: the next look sees that
            elif run.will_be_retried and run.attempts.next_id is not None:
                last[first] = run.attempts.next_id
    return {first: runs[run_id] for first, run_id in last.items()}
