"""Threads of a server: periodic work, workers of a queue, and what wakes those that wait."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar
from uuid import UUID

from towline_server import metrics
from towline_server.db.failures import passes, shown
from towline_server.recent import Recent

_LOG = logging.getLogger("towline_server.loops")
_STALL_SECONDS = 60.0

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")


class Ticker:
    """Does something every so often, or when woken, until it is stopped."""

    def __init__(
        self,
        name: str,
        seconds: float,
        *tasks: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.seconds = seconds
        """After how long it does them again, if nothing wakes it."""
        self._tasks = tasks
        self._clock = clock
        self._stopping = threading.Event()
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._done = [clock()] * len(tasks)
        """When each task succeeded last."""

    def start(self) -> None:
        """Begin, with doing it at once."""
        self._done = [self._clock()] * len(self._tasks)
        self._thread.start()

    def wake(self) -> None:
        """Do it now, or once more if it is being done."""
        self._woken.set()

    def stop(self) -> None:
        """Stop, once what is being done is done."""
        self._stopping.set()
        self._woken.set()
        if self._thread.ident is not None:
            self._thread.join()

    @property
    def lag(self) -> float:
        """How many seconds later than it should have one of its tasks has yet to succeed; or 0."""
        return max(0.0, self._clock() - min(self._done, default=self._clock()) - self.seconds)

    @property
    def is_stalled(self) -> bool:
        """Whether one of its tasks has not succeeded for a minute longer than it should have."""
        return self.lag > max(_STALL_SECONDS, self.seconds)

    def once(self) -> None:
        """Do each task now; one that fails keeps no other from being done."""
        for number, task in enumerate(self._tasks):
            try:
                task()
                self._done[number] = self._clock()
            except Exception as error:  # noqa: BLE001 - it has to go on for as long as the server does
                metrics.LOOP_FAILURES.labels(self.name).inc()
                if passes(error):
                    _LOG.warning("%s waits for the database: %s", self.name, shown(error))
                else:
                    _LOG.exception("a task of %s failed; it is tried again", self.name)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            self.once()
            self._woken.wait(self.seconds)


class Backoff(Generic[Key]):
    """Items of a loop that failed: each is left alone for a time that doubles."""

    def __init__(
        self,
        loop: str,
        *,
        first_seconds: float = 5,
        longest_seconds: float = 300,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loop = loop
        self._first, self._longest = first_seconds, longest_seconds
        self._clock = clock
        self._held = Recent[Key, tuple[float, float]](10_000)
        """Until when, and for how long; those that are forgotten are tried once more."""

    @property
    def waiting(self) -> Collection[Key]:
        """The items that are left alone now."""
        now = self._clock()
        return [key for key, (until, _) in self._held.items() if until > now]

    @contextmanager
    def attempting(self, key: Key) -> Iterator[None]:
        """Log and count what the block raises, and leave its item alone for a while."""
        try:
            yield
        except Exception:  # noqa: BLE001 - the loop's other items go on
            _, before = self._held.pop(key, (0.0, 0.0))
            seconds = min(self._longest, 2 * before or self._first)
            self._held[key] = self._clock() + seconds, seconds
            metrics.LOOP_FAILURES.labels(self._loop).inc()
            _LOG.exception("%s failed at %s; next try in %d s", self._loop, key, seconds)
        else:
            self._held.pop(key, None)


class WorkerThreads(Generic[Item]):
    """At most so many threads that work off a queue, each until nothing is left to take.

    ``take`` returns at most as many items as it is asked for; it is called by one thread at a time.
    """

    def __init__(
        self,
        name: str,
        most: int,
        take: Callable[[int], Sequence[Item]],
        work: Callable[[Item], None],
    ) -> None:
        self._name = name
        self._most = most
        metrics.SLOTS.labels(name).set(most)
        self._take = take
        self._work = work
        self.busy: list[Item] = []
        """The items that are being worked on."""
        self._changed = threading.Condition()
        self._stopping = False

    def fill(self) -> None:
        """Start threads for as long as there is something to take."""
        with self._changed:
            while items := self._next_items(self._most - len(self.busy)):
                for item in items:
                    self._start(item)

    def stop(self, seconds: float) -> bool:
        """Take no more, and wait for what is being done; False if it takes longer."""
        with self._changed:
            self._stopping = True
        return self.wait_idle(seconds)

    def wait_idle(self, seconds: float) -> bool:
        """Wait until nothing is being done; False if it takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self.busy, timeout=seconds)

    def _start(self, item: Item) -> None:
        # The process may end without it: its lease expires.
        thread = threading.Thread(target=self._run, args=(item,), name=self._name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            self.busy.remove(item)
            self._count()
            _LOG.exception("%s: no thread could be started; it is tried again", self._name)

    def _run(self, item: Item) -> None:
        following: Item | None = item
        while following is not None:
            try:
                self._work(following)
            except Exception:  # noqa: BLE001 - its lease expires, and it is tried again
                _LOG.exception("%s failed; it is tried again", self._name)
            following = self._next(following)

    def _next(self, done: Item) -> Item | None:
        with self._changed:
            self.busy.remove(done)
            self._count()
            self._changed.notify_all()
            try:
                return next(iter(self._next_items(1)), None)
            except Exception:  # noqa: BLE001 - the loop that fills takes it later
                _LOG.exception("%s could not take more; it is tried again", self._name)
                return None

    def _next_items(self, room: int) -> Sequence[Item]:
        if self._stopping or room <= 0:
            return ()
        items = self._take(room)
        self.busy += items
        self._count()
        return items

    def _count(self) -> None:
        metrics.SLOTS_USED.labels(self._name).set(len(self.busy))


class RowWaiter:
    """A thread that waits for one row to change."""

    def __init__(self, row_id: UUID) -> None:
        self.row_id = row_id
        self._woken = threading.Event()

    @property
    def is_woken(self) -> bool:
        """Whether the row may have changed."""
        return self._woken.is_set()

    def forget(self) -> None:
        """Forget the changes so far; call it before the row is read."""
        self._woken.clear()

    def wake(self) -> None:
        """Say that the row may have changed."""
        self._woken.set()

    def wait(self, seconds: float) -> None:
        """Wait for a change; one in another process wakes no thread here."""
        self._woken.wait(seconds)


class ChangeSignal:
    """Wakes the threads of this process that wait for a row to change."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiters: set[RowWaiter] = set()
        self._listeners: list[Callable[[], object]] = []
        self.is_closed = False
        """Whether the process stops, and waits for no change any more."""

    def listen(self, call: Callable[[], object]) -> None:
        """Call this with every change, in the thread that made it."""
        self._listeners.append(call)

    def changed(self, *row_ids: UUID) -> None:
        """Wake the threads that wait for these rows; every thread, where none is named."""
        with self._lock:
            for each in self._waiters:
                if not row_ids or each.row_id in row_ids:
                    each.wake()
        for call in self._listeners:
            call()

    @contextmanager
    def waiter(self, row_id: UUID) -> Iterator[RowWaiter]:
        """Yield what waits for a row, whose id may be replaced."""
        waiter = RowWaiter(row_id)
        with self._lock:
            self._waiters.add(waiter)
        try:
            yield waiter
        finally:
            with self._lock:
                self._waiters.remove(waiter)

    def close(self) -> None:
        """Wake every thread for the last time, since the process stops."""
        self.is_closed = True
        self.changed()
