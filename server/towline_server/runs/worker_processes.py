"""Processes beside the one that answers requests, which execute its runs (``towline work``).

Each is connected to it by two pipes. A byte to one says that a run was queued, a byte from one
that a run changed; where the pipe ends, it hands its runs back and leaves.
"""

from __future__ import annotations

import logging
import os
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

from towline_server.loops import ChangeSignal, Ticker
from towline_server.metrics import worker_ended

from .domain import BackendName

_LOG = logging.getLogger("towline.runs")
_LOOK_SECONDS = 5.0
"""After how long a process that ended is started again, at most."""
_GRACE_SECONDS = 10.0
"""How much longer than its runs a process may take to leave."""


class WorkerProcesses:
    """The native backend of a process that executes no run itself: ``count`` others do."""

    name = BackendName.NATIVE

    def __init__(self, command: Sequence[str], count: int, changes: ChangeSignal) -> None:
        self._command = command
        self._changes = changes
        self._lock = threading.Lock()
        self._children: list[subprocess.Popen[bytes] | None] = [None] * count
        self.ticker = Ticker("towline-workers", _LOOK_SECONDS, self._fill)

    def submit(self, run_ids: Sequence[UUID]) -> None:
        """Wake every process; the first with a free slot takes the run."""
        del run_ids  # they take the run that is next
        with self._lock:
            for child in self._children:
                if child is not None and child.stdin is not None:
                    # A full pipe has woken it already; one that ended is started again.
                    with suppress(OSError, ValueError):
                        os.write(child.stdin.fileno(), b"\n")

    def stop_run(self, run_id: UUID) -> None:
        """Do nothing: the process that executes it looks each second."""

    def stop(self, seconds: float) -> None:
        """Let each process hand its runs back and leave; end those that do not in time."""
        self.ticker.stop()
        deadline = time.monotonic() + seconds + _GRACE_SECONDS
        children = [child for child in self._children if child is not None]
        for child in children:
            assert child.stdin is not None
            child.stdin.close()
        for child in children:
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def _fill(self) -> None:
        """Start each process that does not run."""
        for number, child in enumerate(self._children):
            if child is not None and child.poll() is None:
                continue
            if child is not None:
                worker_ended(child.pid)
                _LOG.error("worker %d ended with %d; it is started again", number, child.returncode)
            started = self._started()
            with self._lock:
                self._children[number] = started

    def _started(self) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Ctrl-C is for this process, which stops it.
            start_new_session=True,
        )
        assert child.stdin is not None
        os.set_blocking(child.stdin.fileno(), False)
        listener = threading.Thread(
            target=self._listen, args=(child,), name="towline-worker", daemon=True
        )
        listener.start()
        return child

    def _listen(self, child: subprocess.Popen[bytes]) -> None:
        """Pass on that runs have changed, until the process ends."""
        assert child.stdout is not None
        with child.stdout:
            while os.read(child.stdout.fileno(), 4096):
                self._changes.changed()
