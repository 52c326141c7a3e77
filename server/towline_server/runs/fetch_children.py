"""The children that fetch: started when they are needed, given one fetch after another, and ended.

A child is used again after it has answered, for so many fetches, and ended where it did not: when
it hangs, when its fetch is cancelled, when it takes too much memory. One that is idle for too long
ends; it ends by itself where its server was killed.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any

IDLE_SECONDS = 300.0
"""How long a child that has nothing to fetch stays alive."""
_MOST_IDLE = 8
FETCHES = 200
"""How many fetches a child makes at most: what a library leaks is returned."""
_LOOK_SECONDS = 0.1
_STOP_SECONDS = 6.0
"""How long a child has to stop its own children; git gets two seconds, twice."""


class FetchChild:
    """A child process that fetches under bounds; requests and answers are JSON, an object a line.

    ``bounds`` are what it was started with, as `resource` names them.
    """

    def __init__(self, variables: Mapping[str, str], bounds: Mapping[str, int]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-m", "towline_server.runs.fetch_process"],
            env=dict(variables),
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.bounds = bounds
        self.fetches = 0
        """How many fetches it was given."""
        self.has_answered = False
        """Whether it has answered its last request, and may be given another."""
        self.idle_since = 0.0

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def ask(
        self, request: Mapping[str, Any], seconds: float, check: Callable[[], None]
    ) -> Iterator[dict[str, Any]]:
        """Send a request, and yield what the child answers, until it ends.

        ``check`` is called now and then; what it raises is raised here.

        Raises:
            TimeoutError: it has answered no end in so many seconds.
        """
        self.fetches, self.has_answered = self.fetches + 1, False
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            # The input stays open: its end stops the child.
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        assert self._process.stdout is not None
        out, deadline, received = self._process.stdout.fileno(), time.monotonic() + seconds, b""
        with selectors.DefaultSelector() as selector:
            selector.register(out, selectors.EVENT_READ)
            while True:
                if selector.select(_LOOK_SECONDS):
                    data = os.read(out, 65536)
                    if not data:
                        return
                    *lines, received = (received + data).split(b"\n")
                    yield from map(json.loads, lines)
                check()
                if time.monotonic() > deadline:
                    raise TimeoutError

    def end(self) -> None:
        """End it, once it has stopped its own; git's are in a process group of their own."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process.stdout.close()


class FetchChildren:
    """The children of a server. Those that are idle end with it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._idle: list[FetchChild] = []
        weakref.finalize(self, _end_all, self._idle)

    @contextmanager
    def child(
        self, variables: Mapping[str, str], bounds: Mapping[str, int], *, fetches: int = FETCHES
    ) -> Iterator[FetchChild]:
        """Give a child for one fetch; it is ended after the block unless it has answered.

        ``fetches`` is after how many it is ended in any case.
        """
        child = self._take(bounds) or FetchChild(variables, bounds)
        try:
            yield child
        finally:
            if not child.has_answered or child.fetches >= fetches or not self._keep(child):
                child.end()

    def _take(self, bounds: Mapping[str, int]) -> FetchChild | None:
        """Return the child that was used last, of those with these bounds; end those too old."""
        since = self._clock() - IDLE_SECONDS
        with self._lock:
            old = [each for each in self._idle if each.has_ended or each.idle_since < since]
            young = [each for each in self._idle if each not in old]
            found = next((each for each in reversed(young) if each.bounds == bounds), None)
            self._idle[:] = [each for each in young if each is not found]
        _end_all(old)
        return found

    def _keep(self, child: FetchChild) -> bool:
        child.idle_since = self._clock()
        with self._lock:
            if len(self._idle) >= _MOST_IDLE:
                return False
            self._idle.append(child)
            return True


def _end_all(children: list[FetchChild]) -> None:
    while children:
        children.pop().end()
