"""The heartbeat of an executor: it renews leases, and stops the runs whose lease is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from uuid import UUID

from towline.errors import Cancelled
from towline_server.errors import LeaseLost
from towline_server.loops import Ticker

from .domain import Lease
from .queue import Leases


class Stop(StrEnum):
    """Why a run is to stop before its commit point."""

    CANCELLED = "cancelled"
    LOST = "lost"
    """Another executor has it, or it has ended: nothing that is done now counts."""
    SHUTDOWN = "shutdown"


class RunToken:
    """A cancel token (`towline.ports.CancelToken`) with a reason; the first one counts."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self.why: Stop | None = None
        """Why it was set; None if it was not."""
        self.write_progress: Callable[[], None] = lambda: None
        """Writes the progress that was made since; raises as `Leases.move`."""

    def is_set(self) -> bool:
        """Return whether to stop."""
        return self._event.is_set()

    def set(self, why: Stop) -> None:
        """Ask to stop."""
        with self._lock:
            if self.why is None:
                self.why = why
                self._event.set()


_LOOK_SECONDS = 1.0


class Heartbeat:
    """The leases that this process holds, all renewed by one thread.

    Every second it asks whether one of them was cancelled elsewhere, every
    ``renew_seconds`` it renews them.
    """

    def __init__(
        self,
        leases: Leases,
        *,
        renew_seconds: float = 10,
    ) -> None:
        self._leases = leases
        self._renew_seconds = renew_seconds
        self._lock = threading.Lock()
        self._held: dict[UUID, tuple[Lease, RunToken]] = {}
        self.is_closed = False
        """Whether the process shuts down, and no run may begin any more."""
        self._renewed_at = time.monotonic()
        self.ticker = Ticker("towline-heartbeat", _LOOK_SECONDS, self._tick)

    @contextmanager
    def holding(self, lease: Lease) -> Iterator[RunToken]:
        """Renew a lease during the block; the token is set when the run is to stop."""
        token = RunToken()
        with self._lock:
            if self.is_closed:
                token.set(Stop.SHUTDOWN)
            self._held[lease.run_id] = (lease, token)
        try:
            yield token
        finally:
            with self._lock:
                if self._held.get(lease.run_id, (None,))[0] is lease:
                    del self._held[lease.run_id]

    def stop_run(self, run_id: UUID) -> None:
        """Stop a run that was cancelled, if this process executes it."""
        with self._lock:
            if (held := self._held.get(run_id)) is not None:
                held[1].set(Stop.CANCELLED)

    def close(self) -> None:
        """Stop every run, since the process shuts down."""
        with self._lock:
            self.is_closed = True
            for _, token in self._held.values():
                token.set(Stop.SHUTDOWN)

    def renew(self) -> None:
        """Renew every lease, and stop the runs whose lease is lost."""
        held = self._snapshot()
        found = self._leases.renew([lease for lease, _ in held])
        for lease, token in held:
            if lease.run_id not in found.held:
                token.set(Stop.LOST)
            elif lease.run_id in found.cancelled:
                token.set(Stop.CANCELLED)

    def look(self) -> None:
        """Stop the runs that were cancelled elsewhere."""
        held = self._snapshot()
        cancelled = self._leases.cancelled([lease for lease, _ in held])
        for lease, token in held:
            if lease.run_id in cancelled:
                token.set(Stop.CANCELLED)

    def write_progress(self) -> None:
        """Write the progress of the phases that last."""
        for _, token in self._snapshot():
            # Why the lease does not hold is for `look` and `renew` to say: it may have ended.
            with suppress(LeaseLost, Cancelled):
                token.write_progress()

    def _snapshot(self) -> list[tuple[Lease, RunToken]]:
        with self._lock:
            return list(self._held.values())

    def _tick(self) -> None:
        # A heartbeat that fails is followed by others; if all fail, the leases expire.
        if time.monotonic() - self._renewed_at >= self._renew_seconds:
            at = time.monotonic()
            self.renew()
            self._renewed_at = at
        else:
            self.look()
        self.write_progress()
