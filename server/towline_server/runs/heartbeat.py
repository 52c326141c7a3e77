"""Keeps what this process executes alive, and hears when it shall stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from uuid import UUID

from towline_server.loops import Ticker

from .leases import Lease, Leases


class Stop(StrEnum):
    """Why a run shall stop before its commit point."""

    CANCELLED = "cancelled"
    LOST = "lost"
    """It is somebody else's, or has ended: whatever is done now counts for nothing."""
    SHUTDOWN = "shutdown"


class RunToken:
    """A cancel token (`towline.ports.CancelToken`) that knows its reason; the first one counts."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._why: Stop | None = None

    @property
    def why(self) -> Stop | None:
        """Why it was set; None if it was not."""
        return self._why

    def is_set(self) -> bool:
        """Whether to stop."""
        return self._event.is_set()

    def set(self, why: Stop) -> None:
        """Ask to stop."""
        with self._lock:
            if self._why is None:
                self._why = why
                self._event.set()


class Heartbeat:
    """The leases that this process holds: one thread beats for all of them.

    Every ``look_seconds`` it asks whether one of them was cancelled elsewhere, every
    ``renew_seconds`` it renews them.
    """

    def __init__(
        self,
        leases: Leases,
        *,
        renew_seconds: float = 10,
        look_seconds: float = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._leases = leases
        self._renew_seconds = renew_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._held: dict[UUID, tuple[Lease, RunToken]] = {}
        self._idle = threading.Condition(self._lock)
        self._closed = False
        self._renewed_at = clock()
        self.ticker = Ticker("towline-heartbeat", look_seconds, self._tick)

    def start(self) -> None:
        """Begin to beat."""
        self.ticker.start()

    def stop(self) -> None:
        """Stop to renew."""
        self.ticker.stop()

    @contextmanager
    def holding(self, lease: Lease) -> Iterator[RunToken]:
        """Keep a lease alive during the block; the token tells when to stop."""
        token = RunToken()
        with self._lock:
            if self._closed:
                token.set(Stop.SHUTDOWN)
            self._held[lease.run_id] = (lease, token)
        try:
            yield token
        finally:
            with self._lock:
                if self._held.get(lease.run_id, (None,))[0] is lease:
                    del self._held[lease.run_id]
                self._idle.notify_all()

    def stop_run(self, run_id: UUID) -> None:
        """Tell a run that it was cancelled, if this process executes it."""
        with self._lock:
            if (held := self._held.get(run_id)) is not None:
                held[1].set(Stop.CANCELLED)

    @property
    def is_closed(self) -> bool:
        """Whether the process shuts down, and no run may begin any more."""
        return self._closed

    def close(self) -> bool:
        """Tell every run that the process shuts down; whether there is any."""
        with self._lock:
            self._closed = True
            for _, token in self._held.values():
                token.set(Stop.SHUTDOWN)
            return bool(self._held)

    def wait_idle(self, seconds: float) -> bool:
        """Wait until no run is held; False if it takes longer."""
        with self._lock:
            return self._idle.wait_for(lambda: not self._held, timeout=seconds)

    def renew(self) -> None:
        """Renew every lease; whoever lost his run is told so."""
        held = self._snapshot()
        found = self._leases.renew([lease for lease, _ in held])
        for lease, token in held:
            if lease.run_id not in found.held:
                token.set(Stop.LOST)
            elif lease.run_id in found.cancelled:
                token.set(Stop.CANCELLED)

    def look(self) -> None:
        """Tell those that were cancelled."""
        held = self._snapshot()
        cancelled = self._leases.cancelled([lease for lease, _ in held])
        for lease, token in held:
            if lease.run_id in cancelled:
                token.set(Stop.CANCELLED)

    def _snapshot(self) -> list[tuple[Lease, RunToken]]:
        with self._lock:
            return list(self._held.values())

    def _tick(self) -> None:
        # A beat that fails is followed by others; if all fail, the leases lapse, as they should.
        if self._clock() - self._renewed_at >= self._renew_seconds:
            at = self._clock()
            self.renew()
            self._renewed_at = at
        else:
            self.look()
