"""What followers have in common: they wait in a loop, and one thread of the process looks for all.

A follower holds neither a thread nor a session, however many there are. The thread looks when this
process changed something, else twice a second for what another one changes; without followers there
is none.
"""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Generic, TypeVar
from uuid import UUID

from towline_server.loops import ChangeSignal, Ticker

_LOOK_SECONDS = 0.5
_REST_SECONDS = 0.1
"""How long changes that follow one another are collected."""


class Waiting:
    """A follower of one thing, within a coroutine."""

    def __init__(self, followed: UUID) -> None:
        self.followed = followed
        self.loop = asyncio.get_running_loop()
        self.is_over = False
        """Whether nothing follows: what is followed is gone, or the process stops."""
        self._woken = asyncio.Event()

    def end(self) -> None:
        """Say that nothing follows, in the thread of the loop."""
        self.is_over = True
        self._woken.set()

    async def wait(self, seconds: float) -> None:
        """Wait to be woken, but no longer than this."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), seconds)
        self._woken.clear()


F = TypeVar("F", bound=Waiting)


class FollowersOf(ABC, Generic[F]):
    """The followers of a process that follow one sort of thing."""

    def __init__(self, name: str, changes: ChangeSignal) -> None:
        self._looking = Ticker(name, _LOOK_SECONDS, self.look)
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._followers: dict[UUID, set[F]] = {}
        self._is_closed = self._has_thread = False
        changes.listen(self._woken.set)

    @abstractmethod
    def look(self) -> None:
        """Read what changed of what is followed, and hand it out."""

    def close(self) -> None:
        """End every follower, since the process stops."""
        with self._lock:
            self._is_closed = True
            everyone = [each for some in self._followers.values() for each in some]
        end_all(everyone)
        self._woken.set()

    @contextmanager
    def _following(self, follower: F) -> Iterator[F]:
        """Let one follow within the block."""
        with self._lock:
            if self._is_closed:
                follower.end()
            self._add(follower)
            if not self._has_thread:
                self._has_thread = True
                self._start()
        try:
            yield follower
        finally:
            with self._lock:
                self._remove(follower)

    def _add(self, follower: F) -> bool:
        """Add a follower, under the lock; return whether it is the first of what it follows."""
        others = self._followers.setdefault(follower.followed, set())
        others.add(follower)
        return len(others) == 1

    def _remove(self, follower: F) -> bool:
        """Remove a follower, under the lock; return whether it was the last."""
        others = self._followers[follower.followed]
        others.discard(follower)
        if not others:
            del self._followers[follower.followed]
        return not others

    def _all_of(self, followed: UUID) -> list[F]:
        with self._lock:
            return list(self._followers.get(followed, ()))

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
            self._has_thread = bool(self._followers) and not self._is_closed
            return self._has_thread


def hand_out(followers: Collection[F], give: Callable[[F], None]) -> None:
    """Give something to followers, with one call into each of their loops."""

    def give_all(some: Collection[F]) -> None:
        for each in some:
            give(each)

    for loop in {each.loop for each in followers}:
        mine = [each for each in followers if each.loop is loop]
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(give_all, mine)


def end_all(followers: Collection[Waiting]) -> None:
    """Say to followers that nothing follows."""
    hand_out(followers, lambda each: each.end())
