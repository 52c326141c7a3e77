"""How a run that executes is told to stop, and why."""

from __future__ import annotations

import threading
from enum import StrEnum


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
