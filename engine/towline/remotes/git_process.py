"""Runs the git executable: no shell, a closed environment, bounded, watched, stopped promptly.

What git does is followed through its own traces, never through its messages: a remote's text is
mixed into those. Each trace is a pipe, so that nothing of it is left on disk.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from towline.errors import RemoteTimeout
from towline.ports import Phase
from towline.remotes.fetcher import FetchRequest, too_many_refs
from towline.remotes.rlimits import restrict

_POLL_SECONDS = 0.1
_KILL_SECONDS = 2.0
_KEPT_BYTES = 64 * 1024
_KEPT_FAULTS = 100
_LINE_BYTES = 1024 * 1024
"""The longest line of a trace that is read; git quotes up to 64 KiB of the remote's in one."""
_WORKING_TICKS = 20
"""Of a hundred a second: who waits for a remote uses none."""
_REQUEST = re.compile(rb"=> Send header: (?:GET|POST) ")
_STATUS = re.compile(rb"<= Recv header: HTTP/[0-9.]+ (\d{3})")
_SMART = re.compile(rb"<= Recv header: content-type: application/x-git-upload-pack", re.IGNORECASE)
_RETRY_AFTER = re.compile(rb"<= Recv header: retry-after: ([^\r\n]+)", re.IGNORECASE)
_LOCATION = re.compile(rb"<= Recv header: location: (\S+)", re.IGNORECASE)
_PACKET = re.compile(rb"\bpacket: +\S+< ")
TRACES = ("GIT_TRACE_CURL", "GIT_TRACE_PACKET", "GIT_TRACE2_EVENT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """An error that git itself reported; ``form`` is its own text, without what it filled in."""

    form: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GitExit:
    """How a git child ended."""

    code: int
    output: bytes
    messages: str
    """The last of its standard error: a remote's words are mixed into it."""
    faults: tuple[Fault, ...] = ()
    requests: int = 0
    status: int | None = None
    """The last HTTP status."""
    location: str | None = None
    """Where the last redirect pointed."""
    retry_after: str | None = None
    """The last Retry-After header."""
    smart: bool = False
    """Whether a Git server answered. Git itself takes any page for the refs of a dumb one."""


def run_git(
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: str,
    talk: FetchRequest,
    arrived: Callable[[], int],
) -> GitExit:
    """Run git in a folder, to its end; ``arrived`` says how many bytes of a pack have been written.

    Raises:
        Cancelled: the caller asked to stop; the child and all its children are gone.
        RemoteTimeout: no connection, no progress, or no end within the limits.
        LimitExceeded: the remote lists more refs than the limits allow.
    """
    with contextlib.ExitStack() as stack:
        pipes = {name: _pipe(stack) for name in TRACES}
        variables = {name: f"/dev/fd/{writer}" for name, (_, writer) in pipes.items()}
        variables |= {"GIT_TRACE_CURL_NO_DATA": "1", "GIT_TRACE_REDACT": "1"}
        child = subprocess.Popen(
            command,
            env={**environment, **variables},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[writer for _, writer in pipes.values()],
            start_new_session=True,
        )
        # Before it can have asked anything of the remote.
        restrict(child.pid, talk.limits)
        for _, writer in pipes.values():
            os.close(writer)
        with child, _Following(child, talk, arrived) as following:
            following.run({name: reader for name, (reader, _) in pipes.items()})
            code = child.wait()
        return following.ended(code)


def _pipe(stack: contextlib.ExitStack) -> tuple[int, int]:
    reader, writer = os.pipe()
    stack.callback(os.close, reader)
    return reader, writer


@dataclass
class _Lines:
    """Splits what arrives in pieces into lines; one that is too long is dropped."""

    take: Callable[[bytes], None]
    rest: bytes = b""

    def __call__(self, data: bytes) -> None:
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.take(line)
        if len(self.rest) > _LINE_BYTES:
            self.rest = b""


@dataclass
class _Following:
    child: subprocess.Popen[bytes]
    talk: FetchRequest
    arrived: Callable[[], int]
    output: bytearray = field(default_factory=bytearray)
    messages: bytearray = field(default_factory=bytearray)
    faults: deque[Fault] = field(default_factory=lambda: deque(maxlen=_KEPT_FAULTS))
    requests: int = 0
    status: int | None = None
    location: str | None = None
    retry_after: str | None = None
    smart: bool = False
    refs: int = 0
    refs_bytes: int = 0
    seen: tuple[int, int] = (0, 0)
    ticks: int = 0

    def __enter__(self) -> _Following:
        self.started = self.alive = time.monotonic()
        return self

    def __exit__(self, *exc: object) -> None:
        if self.child.poll() is None:
            self._stop()

    def run(self, traces: Mapping[str, int]) -> None:
        assert self.child.stdout is not None
        assert self.child.stderr is not None
        takers = (self._take_http, self._take_packet, self._take_event)
        with selectors.DefaultSelector() as selector:
            selector.register(self.child.stdout, selectors.EVENT_READ, self._take_output)
            selector.register(self.child.stderr, selectors.EVENT_READ, self._take_message)
            for name, taker in zip(TRACES, takers, strict=True):
                selector.register(traces[name], selectors.EVENT_READ, _Lines(taker))
            while selector.get_map():
                for key, _ in selector.select(_POLL_SECONDS):
                    data = os.read(key.fd, 65536)
                    if data:
                        key.data(data)
                    else:
                        selector.unregister(key.fileobj)
                self.talk.check()
                self._check_time()

    def _take_output(self, data: bytes) -> None:
        self.output += data  # no more than the refs that the remote lists

    def _take_message(self, data: bytes) -> None:
        self.alive = time.monotonic()
        self.messages += data
        del self.messages[:-_KEPT_BYTES]

    def _take_http(self, line: bytes) -> None:
        if _REQUEST.search(line):
            self.requests += 1
        elif match := _STATUS.search(line):
            self.status = int(match[1])
        elif match := _LOCATION.search(line):
            self.location = match[1].decode("utf-8", "replace")
        elif match := _RETRY_AFTER.search(line):
            self.retry_after = match[1].decode("utf-8", "replace")
        elif _SMART.search(line):
            self.smart = True

    def _take_packet(self, line: bytes) -> None:
        """Count what the remote sends before a pack; git traces nothing of the pack itself."""
        if (match := _PACKET.search(line)) is None:
            return
        self.refs += 1
        self.refs_bytes += len(line) - match.end()
        limits = self.talk.limits
        for limit in ("refs", "refs_bytes"):
            found, allowed = getattr(self, limit), getattr(limits, limit)
            if found > allowed:
                raise too_many_refs(limit, allowed, found)

    def _take_event(self, line: bytes) -> None:
        with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
            event = json.loads(line.decode("utf-8", "replace"))
            if event["event"] == "error":
                self.faults.append(Fault(form=str(event["fmt"]), message=str(event["msg"])))

    def _check_time(self) -> None:
        now, limits = time.monotonic(), self.talk.limits
        self._look(now)
        if not self.talk.url.is_remote:
            return
        if self.talk.url.is_http and not self.requests:
            if now - self.started > limits.connect_seconds:
                raise self._timeout(f"no connection within {limits.connect_seconds} s")
        # curl holds HTTP to the idle limit by itself, and sees keep-alives that we do not.
        elif now - self.alive > limits.idle_seconds * (3 if self.talk.url.is_http else 1):
            self._check_work(now)

    def _look(self, now: float) -> None:
        arrived = self.arrived()
        if (arrived, self.requests) != self.seen:
            self.seen, self.alive = (arrived, self.requests), now
            self.talk.watch.report(Phase.FETCHING, arrived)

    def _check_work(self, now: float) -> None:
        """Tell a silent remote from work on this machine, such as resolving deltas."""
        ticks = _ticks(self.child.pid)
        if ticks - self.ticks < _WORKING_TICKS:
            raise self._timeout(f"silent for {self.talk.limits.idle_seconds} s")
        self.ticks, self.alive = ticks, now

    def _timeout(self, detail: str) -> RemoteTimeout:
        return RemoteTimeout(url=self.talk.url.shown, detail=detail)

    def _stop(self) -> None:
        """End the child with all its children: they are a process group of their own."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.child.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(_KILL_SECONDS)
                if sign is signal.SIGKILL:
                    return

    def ended(self, code: int) -> GitExit:
        return GitExit(
            code=code,
            output=bytes(self.output),
            messages=self.messages.decode("utf-8", "replace"),
            faults=tuple(self.faults),
            requests=self.requests,
            status=self.status,
            location=self.location,
            retry_after=self.retry_after,
            smart=self.smart,
        )


def _ticks(group: int) -> int:
    """The processor time of a process group in clock ticks, where the machine tells it."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group:
                total += int(fields[11]) + int(fields[12])
    return total
