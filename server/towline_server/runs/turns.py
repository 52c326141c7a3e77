"""Who fetches next: tenants take turns, in bounds, and hosts that do not answer are left alone."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from towline.errors import Cancelled
from towline.frozen import frozen
from towline_server import metrics
from towline_server.errors import HostPaused
from towline_server.recent import Recent

from .bounds import AtOnce

_SLOT = "towline-fetch"
_FIRST_SECONDS = 5.0
_LONGEST_SECONDS = 300.0
_REMEMBERED = 10_000
"""Tenants and hosts whose last fetch is remembered."""


@frozen
class _Pause:
    """A host that did not answer."""

    until: float
    seconds: float


class Breaker:
    """Hosts that did not answer: each is asked once after a time, which doubles at each failure.

    Until then, and until that one fetch has ended, no other fetch begins there.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._paused = Recent[str, _Pause](_REMEMBERED)
        self._asked: set[str] = set()
        """The paused hosts that are asked now, whether they answer again."""

    def check(self, host: str, url: str) -> None:
        """Refuse a fetch at a host that is paused. Raises HostPaused."""
        if (pause := self._paused.get(host)) is None:
            return
        left = pause.until - self._clock()
        if left > 0 or host in self._asked:
            seconds = max(1, math.ceil(left if left > 0 else _FIRST_SECONDS))
            detail = f"{host} did not answer; it is asked again in {seconds} s"
            raise HostPaused(url=url, detail=detail, retry_after=seconds)

    def ask(self, host: str) -> None:
        """Begin a fetch there; at a paused host it is the only one."""
        if host in self._paused:
            self._asked.add(host)

    def answered(self, host: str) -> None:
        """End the pause of a host."""
        self._asked.discard(host)
        if self._paused.pop(host, None) is not None:
            metrics.HOSTS_PAUSED.set(len(self._paused))

    def silent(self, host: str) -> None:
        """Pause a host, or pause it for longer if it is paused."""
        before = self._paused.pop(host, None)
        if before is not None and host not in self._asked:
            self._paused[host] = before  # fetches that began together count once
            return
        self._asked.discard(host)
        seconds = _FIRST_SECONDS if before is None else min(2 * before.seconds, _LONGEST_SECONDS)
        self._paused[host] = _Pause(self._clock() + seconds, seconds)
        metrics.HOSTS_PAUSED.set(len(self._paused))

    def left(self, host: str) -> None:
        """End a fetch that shows neither."""
        self._asked.discard(host)


@dataclass(slots=True, kw_only=True, eq=False)
class Turn:
    """A fetch that waits for its turn, or has begun."""

    tenant_id: UUID
    host: str | None
    number: int = 0
    """How many had begun, with this one."""
    got_nothing: bool = False
    """Set by the fetch: the host did not answer at all."""


class FetchTurns:
    """The fetches of a process that have begun, and those that wait.

    A fetch that waits begins when its tenant was served the longest ago of all that are within
    their bounds; those of one tenant begin in their order.
    """

    def __init__(self, at_once: AtOnce, breaker: Breaker | None = None) -> None:
        self._at_once = at_once
        metrics.SLOTS.labels(_SLOT).set(at_once.total)
        self._breaker = breaker or Breaker()
        self._changed = threading.Condition()
        self._waiting: list[Turn] = []
        self._begun: list[Turn] = []
        self._number = 0
        self._served = Recent[UUID, int](_REMEMBERED)
        """The number of the last fetch that began, of each tenant."""
        self._answered = Recent[str, int](_REMEMBERED)
        """How many fetches had begun when a host answered last."""

    @contextmanager
    def turn(
        self, tenant_id: UUID, host: str | None, url: str, check: Callable[[], None]
    ) -> Iterator[Turn]:
        """Wait for a turn, and fetch in the block. ``check`` raises what ends the wait.

        Raises:
            HostPaused: the host did not answer when it was asked last.
        """
        mine = Turn(tenant_id=tenant_id, host=host)
        self._begin(mine, url, check)
        stopped = False
        try:
            yield mine
        except Cancelled:
            stopped = True
            raise
        finally:
            with self._changed:
                self._begun.remove(mine)
                metrics.SLOTS_USED.labels(_SLOT).set(len(self._begun))
                if mine.host is not None:
                    self._judge(mine, mine.host, stopped=stopped)
                self._changed.notify_all()

    def wake(self) -> None:
        """Let each fetch that waits check whether it still has to."""
        with self._changed:
            self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """How many fetches wait."""
        return len(self._waiting)

    def _begin(self, mine: Turn, url: str, check: Callable[[], None]) -> None:
        with self._changed:
            self._waiting.append(mine)
            try:
                while True:
                    check()
                    if mine.host is not None:
                        self._breaker.check(mine.host, url)
                    if self._next() is mine:
                        break
                    self._changed.wait()
                self._note_begun(mine)
            finally:
                self._waiting.remove(mine)
                self._changed.notify_all()

    def _note_begun(self, mine: Turn) -> None:
        self._begun.append(mine)
        metrics.SLOTS_USED.labels(_SLOT).set(len(self._begun))
        self._number += 1
        mine.number = self._number
        self._served[mine.tenant_id] = self._number
        if mine.host is not None:
            self._breaker.ask(mine.host)

    def _next(self) -> Turn | None:
        if len(self._begun) >= self._at_once.total:
            return None
        tenants, hosts = self._at_once.full(self._begun)
        may_begin = [
            each
            for each in self._waiting
            if each.tenant_id not in tenants and each.host not in hosts
        ]
        return min(may_begin, key=lambda each: self._served.get(each.tenant_id, 0), default=None)

    def _judge(self, mine: Turn, host: str, *, stopped: bool) -> None:
        if stopped:
            self._breaker.left(host)
        elif not mine.got_nothing:
            self._answered[host] = self._number
            self._breaker.answered(host)
        elif self._answered.get(host, 0) < mine.number:
            self._breaker.silent(host)
        # Else it answered others meanwhile: one repository is to blame, not the host.
