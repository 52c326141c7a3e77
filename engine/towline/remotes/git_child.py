"""Runs the git executable: no shell, a closed environment, bounded, watched, stopped promptly."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from towline.errors import RemoteTimeout
from towline.limits import Limits
from towline.ports import Phase, Watch

_POLL_SECONDS = 0.1
_KILL_SECONDS = 2.0
_KEPT_BYTES = 64 * 1024
_OTHER_FILES = 1024 * 1024
"""What a pack's index, or curl's trace, may need beside a pack at its limit."""
_MAX_OUTPUT = 64 * 1024 * 1024
_WORKING_TICKS = 20
"""Of a hundred a second: who waits for a remote uses none."""
_REQUEST = re.compile(r"=> Send header: (?:GET|POST) ")
_STATUS = re.compile(r"<= Recv header: HTTP/[0-9.]+ (\d{3})")
_SMART = re.compile(r"<= Recv header: content-type: application/x-git-upload-pack", re.IGNORECASE)
_LOCATION = re.compile(r"<= Recv header: location: (\S+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a git child ended."""

    code: int
    output: bytes
    messages: str
    """What it said on its standard error, the last of it, without the remote's words: those are
    not to be mistaken for git's."""
    requests: int = 0
    status: int | None = None
    """The last HTTP status."""
    location: str | None = None
    """Where the last redirect pointed."""
    smart: bool = False
    """Whether a Git server answered. Git itself takes any page for the refs of a dumb one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a git child is held to."""

    shown_url: str
    limits: Limits
    watch: Watch
    network: bool
    """Whether silence means that the remote does not answer."""
    http: bool
    arrived: Callable[[], int]
    """How much of a pack has been written. Progress that the remote tells would cost bytes."""


def run_git(
    command: Sequence[str], environment: Mapping[str, str], bounds: Bounds, folder: str = "/"
) -> Ended:
    """Run git in a folder, to its end.

    Raises:
        Cancelled: the caller asked to stop; the child and all its children are gone.
        RemoteTimeout: no connection, no progress, or no end within the limits.
    """
    # It has no name, so that nothing is left of it however this process ends.
    with tempfile.TemporaryFile() as trace:
        variables = {**environment, **_traced(trace.fileno())}
        child = _start(command, variables, folder, trace, bounds.limits)
        with child, _Following(child, trace, bounds) as following:
            following.run()
            code = child.wait()
        return following.ended(code)


def _traced(trace: int) -> dict[str, str]:
    """Make curl log statuses and redirects, of which git's messages say little."""
    return {
        "GIT_TRACE_CURL": f"/dev/fd/{trace}",
        "GIT_TRACE_CURL_NO_DATA": "1",
        "GIT_TRACE_REDACT": "1",
    }


def _start(
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: str,
    trace: IO[bytes],
    limits: Limits,
) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(
        command,
        env=dict(environment),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=(trace.fileno(),),
        start_new_session=True,
    )
    if hasattr(resource, "prlimit"):  # Linux; elsewhere the size is checked when it has arrived
        # Set before the child can have asked anything of the remote; its children inherit it.
        with contextlib.suppress(OSError):
            most = limits.pack_bytes + _OTHER_FILES
            resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (most, most))
    return child


@dataclass
class _Following:
    child: subprocess.Popen[bytes]
    trace: IO[bytes]
    bounds: Bounds
    output: bytearray = field(default_factory=bytearray)
    messages: bytearray = field(default_factory=bytearray)
    traced: int = 0
    """The requests sent so far."""
    arrived: int = 0
    ticks: int = 0

    def __enter__(self) -> _Following:
        self.started = self.alive = time.monotonic()
        return self

    def __exit__(self, *exc: object) -> None:
        if self.child.poll() is None:
            self._stop()

    def run(self) -> None:
        assert self.child.stdout is not None
        assert self.child.stderr is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.child.stdout, selectors.EVENT_READ, self._take_output)
            selector.register(self.child.stderr, selectors.EVENT_READ, self._take_message)
            while selector.get_map():
                for key, _ in selector.select(_POLL_SECONDS):
                    data = os.read(key.fd, 65536)
                    if data:
                        key.data(data)
                    else:
                        selector.unregister(key.fileobj)
                self.bounds.watch.check()
                self._check_time()

    def _take_output(self, data: bytes) -> None:
        if len(self.output) < _MAX_OUTPUT:
            self.output += data

    def _take_message(self, data: bytes) -> None:
        self.alive = time.monotonic()
        self.messages += data
        del self.messages[:-_KEPT_BYTES]

    def _check_time(self) -> None:
        now, limits = time.monotonic(), self.bounds.limits
        total = limits.total_seconds
        if total is not None and now - self.started > total:
            raise self._timeout(f"did not end within {total} s")
        self._look(now)
        if not self.bounds.network:
            return
        if self.bounds.http and not self.traced:
            if now - self.started > limits.connect_seconds:
                raise self._timeout(f"no connection within {limits.connect_seconds} s")
        # curl holds HTTP to the idle limit by itself, and sees keep-alives that we do not.
        elif now - self.alive > limits.idle_seconds * (3 if self.bounds.http else 1):
            self._check_work(now)

    def _look(self, now: float) -> None:
        arrived = self.bounds.arrived()
        traced = len(_REQUEST.findall(self._trace())) if self.bounds.http else 0
        if (arrived, traced) != (self.arrived, self.traced):
            self.arrived, self.traced, self.alive = arrived, traced, now
            self.bounds.watch.report(Phase.FETCHING, arrived)

    def _check_work(self, now: float) -> None:
        """Tell a silent remote from work on this machine, such as resolving deltas."""
        ticks = _ticks(self.child.pid)
        if ticks - self.ticks < _WORKING_TICKS:
            raise self._timeout(f"silent for {self.bounds.limits.idle_seconds} s")
        self.ticks, self.alive = ticks, now

    def _trace(self) -> str:
        descriptor = self.trace.fileno()
        size = os.fstat(descriptor).st_size
        return os.pread(descriptor, size, 0).decode("utf-8", "replace")

    def _timeout(self, detail: str) -> RemoteTimeout:
        return RemoteTimeout(url=self.bounds.shown_url, detail=detail)

    def _stop(self) -> None:
        """End the child with all its children: they are a process group of their own."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.child.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(_KILL_SECONDS)
                if sign is signal.SIGKILL:
                    return

    def ended(self, code: int) -> Ended:
        trace = self._trace()
        statuses, locations = _STATUS.findall(trace), _LOCATION.findall(trace)
        return Ended(
            code=code,
            output=bytes(self.output),
            messages=_own_words(self.messages.decode("utf-8", "replace")),
            requests=len(_REQUEST.findall(trace)),
            status=int(statuses[-1]) if statuses else None,
            location=locations[-1] if locations else None,
            smart=_SMART.search(trace) is not None,
        )


def _own_words(messages: str) -> str:
    lines = re.split(r"[\r\n]+", messages)
    return "\n".join(line for line in lines if line and not line.startswith("remote:"))


def _ticks(group: int) -> int:
    """The processor time of a process group in clock ticks, where the machine tells it."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group:
                total += int(fields[11]) + int(fields[12])
    return total
