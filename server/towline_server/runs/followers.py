"""Followers of runs: one thread of a process reads the runs that changed, and hands them to all.

A follower holds neither a thread nor a session, however many there are. The thread looks when this
process changed a run, else twice a second for what another one executes; without followers there
is none.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from towline_server.db.session import Database
from towline_server.db.statements import batches
from towline_server.loops import Changes, Ticker

from .domain import Run
from .tables import RunRow, run_of

_LOOK_SECONDS = 0.5
_REST_SECONDS = 0.1
"""How long changes that follow one another are collected."""


@dataclass(frozen=True, eq=False, slots=True)
class Change:
    """A run after it changed: one object for all who follow it."""

    run: Run


class Follower:
    """Waits for a run to change, and for the attempt that replaces it automatically."""

    def __init__(self, run: Run) -> None:
        self.run_id = run.id
        self.loop = asyncio.get_running_loop()
        self.is_over = False
        """Whether nothing follows: the run is gone, or the process stops."""
        self._sent: tuple[UUID, datetime] | None = None
        self._last: Change | None = None
        self._woken = asyncio.Event()
        if not run.will_be_retried:
            self.put(Change(run))

    def put(self, change: Change) -> None:
        """Hand over a change, in the thread of the loop; an older one need not be seen."""
        if (change.run.id, change.run.updated_at) != self._sent:
            self._last = change
            self._woken.set()

    def end(self) -> None:
        """Say that nothing follows, in the thread of the loop."""
        self.is_over = True
        self._woken.set()

    async def next(self, seconds: float) -> Change | None:
        """Return the next change; None: there was none for so long, or nothing follows."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), seconds)
        self._woken.clear()
        change, self._last = self._last, None
        if change is not None:
            self._sent = (change.run.id, change.run.updated_at)
        return change


class Followers:
    """The followers of a process."""

    def __init__(self, database: Database, changes: Changes) -> None:
        self._database = database
        self._looking = Ticker("towline-followers", _LOOK_SECONDS, self.look)
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._followed: dict[UUID, set[Follower]] = {}
        self._seen: dict[UUID, datetime | None] = {}
        """When a followed run had changed that was handed out last."""
        self._is_closed = self._has_thread = False
        changes.listen(self._woken.set)

    @contextmanager
    def following(self, run: Run) -> Iterator[Follower]:
        """Follow a run, within a coroutine; its present state is the first change."""
        follower = Follower(run)
        with self._lock:
            if self._is_closed:
                follower.end()
            self._add(follower, None if run.will_be_retried else run.updated_at)
            if not self._has_thread:
                self._has_thread = True
                self._start()
        try:
            yield follower
        finally:
            with self._lock:
                self._remove(follower)

    def close(self) -> None:
        """End every follower, since the process stops."""
        with self._lock:
            self._is_closed = True
            everyone = [each for some in self._followed.values() for each in some]
        _call(everyone, None)
        self._woken.set()

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
            _call(self._moved(run_id, None), None)
        for run_id, run in runs.items():
            _call(self._moved(run_id, run), Change(run))

    def _moved(self, run_id: UUID, run: Run | None) -> list[Follower]:
        """Note what the followers of a run are handed; return them."""
        with self._lock:
            everyone = list(self._followed.get(run_id, ()))
            if everyone and run is not None:
                if run.id != run_id:
                    for each in everyone:
                        self._remove(each)
                        each.run_id = run.id
                        self._add(each, run.updated_at)
                self._seen[run.id] = run.updated_at
        return everyone

    def _add(self, follower: Follower, seen: datetime | None) -> None:
        others = self._followed.setdefault(follower.run_id, set())
        if not others:
            self._seen[follower.run_id] = seen
        elif self._seen[follower.run_id] != seen:
            self._seen[follower.run_id] = None  # it is read again, for all of them
        others.add(follower)
        if self._seen[follower.run_id] is None:
            self._woken.set()

    def _remove(self, follower: Follower) -> None:
        others = self._followed[follower.run_id]
        others.discard(follower)
        if not others:
            del self._followed[follower.run_id], self._seen[follower.run_id]

    def _start(self) -> None:
        threading.Thread(target=self._run, name=self._looking.name, daemon=True).start()

    def _run(self) -> None:
        resting = threading.Event()
        while self._go_on():
            self._woken.clear()
            self._looking.once()
            resting.wait(_REST_SECONDS)
            self._woken.wait(_LOOK_SECONDS)

    def _go_on(self) -> bool:
        with self._lock:
            self._has_thread = bool(self._followed) and not self._is_closed
            return self._has_thread


def _call(followers: Collection[Follower], change: Change | None) -> None:
    """Hand a change to followers, or the end, with one call into each of their loops."""

    def hand_out(some: Collection[Follower]) -> None:
        for each in some:
            if change is None:
                each.end()
            else:
                each.put(change)

    for loop in {each.loop for each in followers}:
        mine = [each for each in followers if each.loop is loop]
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(hand_out, mine)


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
