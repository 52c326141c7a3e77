"""One fetch per repository and ref, shared by every run that waits for it.

A run wants the ref as it stood when the run was asked for, or later. So any fetch that began after
that serves it: one under way, and one that has ended already. One that began before may have
missed what was pushed since, and does not.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

from towline.errors import Cancelled
from towline.limits import Limits
from towline.model import Revision
from towline.ports import Phase, Watch
from towline_server import metrics

from .repositories import Repository
from .tokens import RunToken, Stop

_LOOK_SECONDS = 0.1
_REMEMBERED = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to fetch: the ref of a repository, or one revision of it."""

    repository: Repository
    limits: Limits
    revision: Revision | None = None

    @property
    def key(self) -> tuple[Path, str, Revision | None]:
        """What makes two fetches the same."""
        return self.repository.cache, self.repository.ref, self.revision


Talk: TypeAlias = Callable[[Wanted, Watch], Revision]
"""Fetches; raises as `towline.ports.Remote.fetch`."""


@dataclass(eq=False)
class _Flight:
    """A fetch under way, or ended."""

    began: datetime
    stop: RunToken = field(default_factory=RunToken)
    ended: threading.Event = field(default_factory=threading.Event)
    waiting: int = 0
    progress: tuple[int, int | None] = (0, None)
    revision: Revision | None = None
    error: BaseException | None = None


class SharedFetches:
    """The fetches of this process. ``now`` must be of the clock that runs are stamped with."""

    def __init__(self, talk: Talk, *, now: Callable[[], datetime], at_once: int = 4) -> None:
        self._talk = talk
        self._now = now
        self._turns = threading.BoundedSemaphore(at_once)
        self._lock = threading.Lock()
        self._flights: OrderedDict[object, _Flight] = OrderedDict()
        self.count = 0
        """How many fetches were begun."""

    def fetch(self, wanted: Wanted, watch: Watch, *, since: datetime) -> Revision:
        """The revision that a ref named at some moment after ``since``, with its objects here.

        Raises:
            Cancelled: the watch says so; the fetch goes on for whoever else waits for it.
            TowlineError: as `towline.ports.Remote.fetch`.
        """
        flight = self._board(wanted, since)
        try:
            while not flight.ended.wait(_LOOK_SECONDS):
                watch.report(Phase.FETCHING, *flight.progress)
        finally:
            self._leave(flight)
        watch.check()
        if flight.error is not None:
            raise flight.error
        assert flight.revision is not None, "a fetch that did not fail has a revision"
        return flight.revision

    def _board(self, wanted: Wanted, since: datetime) -> _Flight:
        with self._lock:
            flight = self._flights.get(wanted.key)
            if flight is None or flight.began < since or flight.stop.is_set():
                flight = _Flight(began=self._now())
                self._remember(wanted, flight)
                self.count += 1
                metrics.fetch_begun()
                thread = threading.Thread(
                    target=self._fly, args=(wanted, flight), name="towline-fetch", daemon=True
                )
                thread.start()
            else:
                metrics.fetch_shared()
            flight.waiting += 1
            return flight

    def _remember(self, wanted: Wanted, flight: _Flight) -> None:
        self._flights[wanted.key] = flight
        self._flights.move_to_end(wanted.key)
        while len(self._flights) > _REMEMBERED:
            self._flights.popitem(last=False)

    def _leave(self, flight: _Flight) -> None:
        """Who leaves last stops a fetch that nobody wants any more."""
        with self._lock:
            flight.waiting -= 1
            if flight.waiting == 0 and not flight.ended.is_set():
                flight.stop.set(Stop.CANCELLED)

    def _fly(self, wanted: Wanted, flight: _Flight) -> None:
        def progress(_phase: Phase, done: int, total: int | None) -> None:
            flight.progress = (done, total)

        watch = Watch(progress=progress, cancel=flight.stop)
        try:
            with self._turns:
                watch.check()
                flight.revision = self._talk(wanted, watch)
        except BaseException as error:  # noqa: BLE001 - it is raised where it was asked for
            flight.error = error
            if isinstance(error, Cancelled):
                # Nobody may take the answer of a fetch that was stopped for an answer.
                flight.stop.set(Stop.CANCELLED)
        finally:
            flight.ended.set()


def fetch_here(wanted: Wanted, watch: Watch) -> Revision:
    """Fetch in this process. For tests; `fetch_process` has the bounds that a server needs."""
    from towline.remotes.git import GitRemote

    repository = wanted.repository
    with GitRemote(
        repository.url,
        ref=repository.ref,
        cache=repository.cache,
        credentials=lambda _url: repository.credential,
    ) as remote:
        return remote.fetch(wanted.revision, wanted.limits, watch)
