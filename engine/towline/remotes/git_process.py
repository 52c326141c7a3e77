"""Child processes: which git, without configuration and prompts, within limits, cancellable.

Progress and errors come from git's traces, never from its messages, which include the remote's
text. Each trace is a pipe, so that none is left on disk.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from towline.errors import RemoteTimeout
from towline.ports import Phase
from towline.remotes.fetcher import ADVERTISED, FetchRequest
from towline.remotes.url import Scheme

if TYPE_CHECKING:
    from towline.limits import Limits

DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin"
OLDEST = (2, 31)
"""The first version that reads settings from variables, as the closed environment requires."""
_ALLOC_BYTES = 512 * 1024 * 1024
"""The most that git may allocate at once to read the cache; a fetch has its own limit."""
_OTHER_FILES = 1024 * 1024
"""The size of a pack's index beside a pack at its limit."""

# The variables of the caller's environment that git and ssh get; no others.
_PASSED = (
    "HOME",
    "SSH_AUTH_SOCK",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "TMPDIR",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
)

_POLL_SECONDS = 0.1
_KILL_SECONDS = 2.0
STDERR_BYTES = 64 * 1024
"""What is stored of a child's messages: their end."""
_MAX_ERRORS = 100
_LINE_BYTES = 1024 * 1024
"""The longest line of a trace; git quotes up to 64 KiB of the remote's in one."""
_WORKING_TICKS = 20
"""Of a hundred a second; a process that waits for a remote uses none."""
_REQUEST = re.compile(rb"=> Send header: (?:GET|POST) ")
_STATUS = re.compile(rb"<= Recv header: HTTP/[0-9.]+ (\d{3})")
_SMART = re.compile(rb"<= Recv header: content-type: application/x-git-upload-pack", re.IGNORECASE)
_RETRY_AFTER = re.compile(rb"<= Recv header: retry-after: ([^\r\n]+)", re.IGNORECASE)
_LOCATION = re.compile(rb"<= Recv header: location: (\S+)", re.IGNORECASE)
_PACKET = re.compile(rb"\bpacket: +\S+(?:< |> (want) )")
TRACES = ("GIT_TRACE_CURL", "GIT_TRACE_PACKET", "GIT_TRACE2_EVENT")


def find_git(environment: Mapping[str, str]) -> str | None:
    """Return the name of the git executable on the PATH, if it is new enough."""
    return "git" if git_version(environment) >= OLDEST else None


def git_version(environment: Mapping[str, str]) -> tuple[int, ...]:
    """Return the first two numbers of the version of git on the PATH; () where there is none."""
    return _version_on(environment.get("PATH", DEFAULT_PATH))


@lru_cache(maxsize=8)
def _version_on(path: str) -> tuple[int, ...]:
    try:
        command = ["git", "version"]
        ended = subprocess.run(command, env={"PATH": path}, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ()
    match = re.search(rb"(\d+)\.(\d+)", ended.stdout)
    return (int(match[1]), int(match[2])) if match else ()


def closed_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the configuration of the user and the system, or prompts."""
    passed = {name: environment[name] for name in _PASSED if name in environment}
    if "SSL_CERT_FILE" in passed:  # git's curl ignores it
        passed.setdefault("GIT_SSL_CAINFO", passed["SSL_CERT_FILE"])
    return {
        **passed,
        "PATH": environment.get("PATH", DEFAULT_PATH),
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS": "",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_ALLOC_LIMIT": str(_ALLOC_BYTES),
    }


def restrict(pid: int, limits: Limits) -> None:
    """Limit a child process and its children in memory, processor time and file size.

    Does nothing where the system cannot (macOS). Memory counts without mapped files, up to five
    eighths of ``memory_bytes``: the children of a fetch share it with this process.
    """
    if not hasattr(resource, "prlimit"):
        return
    memory = max(limits.memory_bytes * 5 // 8, 3 * limits.asset_bytes)
    for what, bound in (
        (resource.RLIMIT_DATA, memory),
        (resource.RLIMIT_CPU, limits.total_seconds),
        (resource.RLIMIT_FSIZE, limits.pack_bytes + _OTHER_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(OSError):  # the child has ended
            _, hard = resource.prlimit(pid, what)
            most = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
            resource.prlimit(pid, what, (most, most))


class ErrorEvent(NamedTuple):
    """An error event of git's trace2: its format, without the values filled in, and the message."""

    format: str
    message: str


@dataclass(kw_only=True, eq=False, repr=False)
class GitExit:
    """What a git child process printed, traced, and exited with."""

    code: int = -1
    output: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    """The end of its standard error, which includes messages of the remote."""
    errors: deque[ErrorEvent] = field(default_factory=lambda: deque(maxlen=_MAX_ERRORS))
    requests: int = 0
    status: int | None = None
    """The last HTTP status."""
    location: str | None = None
    """The Location header of the last redirect."""
    retry_after: str | None = None
    """The last Retry-After header."""
    smart: bool = False
    """Whether the response is of smart HTTP; git reads any page as the refs of dumb HTTP."""

    @property
    def messages(self) -> str:
        """The standard error as text."""
        return self.stderr.decode("utf-8", "replace")


def run_git(
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: str,
    request: FetchRequest,
    pack_bytes: Callable[[], int],
) -> GitExit:
    """Run git in a folder until it exits; ``pack_bytes`` returns the size of the unfinished pack.

    Raises:
        Cancelled: the caller cancelled; the child and its children are killed.
        RemoteTimeout: no connection, no progress, or no exit within the limits.
        LimitExceeded: the remote advertises more refs than the limits allow.
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
        # Before it can have sent anything to the remote.
        restrict(child.pid, request.limits)
        for _, writer in pipes.values():
            os.close(writer)
        with child, _Monitor(child, request, pack_bytes) as monitor:
            monitor.run({name: reader for name, (reader, _) in pipes.items()})
            monitor.result.code = child.wait()
        return monitor.result


def _pipe(stack: contextlib.ExitStack) -> tuple[int, int]:
    reader, writer = os.pipe()
    stack.callback(os.close, reader)
    return reader, writer


@dataclass(eq=False, repr=False)
class _Lines:
    """Splits a stream into lines for a handler; a line that is too long is dropped."""

    handle: Callable[[bytes], None]
    rest: bytes = b""

    def __call__(self, data: bytes) -> None:
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.handle(line)
        if len(self.rest) > _LINE_BYTES:
            self.rest = b""


@dataclass(eq=False, repr=False)
class _Monitor:
    """Reads a child's output and traces, and stops it at a limit."""

    child: subprocess.Popen[bytes]
    request: FetchRequest
    pack_bytes: Callable[[], int]
    result: GitExit = field(default_factory=GitExit)
    refs: int = 0
    refs_bytes: int = 0
    progress: tuple[int, int] = (0, 0)
    """The size of the pack and the number of HTTP requests."""
    next_look: float = 0.0
    """When the size of the pack is looked at again: a listing of the cache's folder."""
    arrives: bool = False
    """Whether git has requested something."""
    ticks: int = 0

    def __enter__(self) -> _Monitor:
        self.started = self.last_progress = time.monotonic()
        self.next_look = self.started + _POLL_SECONDS
        return self

    def __exit__(self, *exc: object) -> None:
        if self.child.poll() is None:
            self._stop()

    def run(self, traces: Mapping[str, int]) -> None:
        assert self.child.stdout is not None
        assert self.child.stderr is not None
        handlers = (self._on_http, self._on_packet, self._on_event)
        with selectors.DefaultSelector() as selector:
            selector.register(self.child.stdout, selectors.EVENT_READ, self._on_output)
            selector.register(self.child.stderr, selectors.EVENT_READ, self._on_stderr)
            for name, handler in zip(TRACES, handlers, strict=True):
                selector.register(traces[name], selectors.EVENT_READ, _Lines(handler))
            while selector.get_map():
                for key, _ in selector.select(_POLL_SECONDS):
                    data = os.read(key.fd, 65536)
                    if data:
                        key.data(data)
                    else:
                        selector.unregister(key.fileobj)
                self.request.check()
                self._check_time()

    def _on_output(self, data: bytes) -> None:
        self.result.output += data  # bounded by the limits on refs

    def _on_stderr(self, data: bytes) -> None:
        self.last_progress = time.monotonic()
        self.result.stderr += data
        del self.result.stderr[:-STDERR_BYTES]

    def _on_http(self, line: bytes) -> None:
        result = self.result
        if _REQUEST.search(line):
            result.requests += 1
        elif match := _STATUS.search(line):
            result.status = int(match[1])
        elif match := _LOCATION.search(line):
            result.location = match[1].decode("utf-8", "replace")
        elif match := _RETRY_AFTER.search(line):
            result.retry_after = match[1].decode("utf-8", "replace")
        elif _SMART.search(line):
            result.smart = True

    def _on_packet(self, line: bytes) -> None:
        """Count the packets before the pack; git does not trace the pack itself."""
        if (match := _PACKET.search(line)) is None:
            return
        if match[1]:
            if not self.arrives:
                self.arrives = True
                self.request.watch.report_arriving()
            return
        self.refs += 1
        self.refs_bytes += len(line) - match.end()
        for limit in ("refs", "refs_bytes"):
            if (found := getattr(self, limit)) > getattr(self.request.limits, limit):
                raise self.request.limits.exceeded(limit, found, ADVERTISED)

    def _on_event(self, line: bytes) -> None:
        if b'"error"' not in line:
            return
        import json

        with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
            event = json.loads(line.decode("utf-8", "replace"))
            if event["event"] == "error":
                error = ErrorEvent(format=str(event["fmt"]), message=str(event["msg"]))
                self.result.errors.append(error)

    def _check_time(self) -> None:
        now, limits = time.monotonic(), self.request.limits
        is_http = self.request.url.is_http
        self._report(now)
        if self.request.url.scheme is Scheme.FILE:
            return
        if is_http and not self.result.requests:
            if now - self.started > limits.connect_seconds:
                detail = f"no connection within {limits.connect_seconds} s"
                raise self.request.error(RemoteTimeout, detail)
        # curl enforces the idle limit for HTTP, and sees keep-alives that the traces do not show.
        elif now - self.last_progress > limits.idle_seconds * (3 if is_http else 1):
            self._check_work(now)

    def _report(self, now: float) -> None:
        size = self.progress[0]
        if now >= self.next_look:
            size, self.next_look = self.pack_bytes(), now + _POLL_SECONDS
        progress = (size, self.result.requests)
        if progress != self.progress:
            self.progress, self.last_progress = progress, now
            self.request.watch.report(Phase.FETCHING, progress[0])

    def _check_work(self, now: float) -> None:
        """Raise if the remote is silent and this machine is not busy, such as with deltas."""
        ticks = _ticks(self.child.pid)
        if ticks - self.ticks < _WORKING_TICKS:
            detail = f"silent for {self.request.limits.idle_seconds} s"
            raise self.request.error(RemoteTimeout, detail)
        self.ticks, self.last_progress = ticks, now

    def _stop(self) -> None:
        """Stop the child and its children, which are one process group."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.child.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(_KILL_SECONDS)
                if sign is signal.SIGKILL:
                    return


def _ticks(group: int) -> int:
    """Return the processor time of a process group in clock ticks, where /proc has it."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group:
                total += int(fields[11]) + int(fields[12])
    return total
