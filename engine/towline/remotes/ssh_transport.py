"""The ssh program as a child process: its log, and the transport for dulwich."""

from __future__ import annotations

import os
import select
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from towline.errors import Cancelled, RemoteTimeout
from towline.remotes.cache import Cache
from towline.remotes.fetcher import FetchRequest, Incoming
from towline.remotes.git_environment import closed_environment, restrict, ssh_options

_POLL_SECONDS = 0.1
_LOG_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class SshLog:
    """A file for the messages of ssh (``ssh -v -E``); standard error has the remote's, too."""

    path: str
    handle: int

    def read(self) -> str:
        """Return the end of what ssh wrote so far."""
        start = max(0, os.fstat(self.handle).st_size - _LOG_BYTES)
        return os.pread(self.handle, _LOG_BYTES, start).decode("utf-8", "replace")


@contextmanager
def ssh_log(cache: Cache) -> Iterator[SshLog]:
    """Open a log for one ssh process; `Cache.sweep` removes what a killed process leaves."""
    handle, path = tempfile.mkstemp(prefix="tmp_ssh_", dir=cache.path / "objects/pack")
    try:
        yield SshLog(path, handle)
    finally:
        os.close(handle)
        with suppress(FileNotFoundError):
            os.unlink(path)


class SshTransport:
    """An ssh process that runs git-upload-pack at the remote."""

    def __init__(self, request: FetchRequest, environment: Mapping[str, str], log: SshLog) -> None:
        self._request = request
        self._log = log
        self.incoming = Incoming(request)
        self.cause: Exception | None = None
        """Why this side ended the connection, if it did."""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        self._child = subprocess.Popen(
            _command(request, environment, log),
            env={**closed_environment(environment), "GIT_PROTOCOL": "version=2"},
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )
        restrict(self._child.pid, request.limits)
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._stdin, self._stdout = self._child.stdin, self._child.stdout.fileno()

    def read(self, size: int) -> bytes:
        """Return this many bytes, or fewer at the end.

        Raises:
            RemoteTimeout: it is silent, or the time is over.
            Cancelled: the caller cancelled.
        """
        got = bytearray()
        while len(got) < size:
            try:
                self._wait()
            except (Cancelled, RemoteTimeout) as cause:
                self.cause = cause
                raise
            data = os.read(self._stdout, size - len(got))
            if not data:
                break
            got += data
        self.incoming.add(bytes(got))
        return bytes(got)

    def write(self, data: bytes) -> int:
        """Send bytes."""
        with suppress(BrokenPipeError):  # the next read finds the end
            self._stdin.write(data)
            self._stdin.flush()
        return len(data)

    def can_read(self) -> bool:
        """Return whether a read would not block."""
        return bool(select.select([self._stdout], [], [], 0)[0])

    def log(self) -> str:
        """Return the messages of ssh."""
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(1)
        return self._log.read()

    def messages(self) -> str:
        """Return the remote's standard error."""
        self._errors.seek(0)
        return self._errors.read(65536).decode("utf-8", "replace")

    def close(self) -> None:
        """End the child process."""
        with suppress(OSError):
            self._stdin.close()
        if self._child.stdout is not None:
            self._child.stdout.close()
        self._child.terminate()
        self._child.wait()
        self._errors.close()

    def _wait(self) -> None:
        limits, since = self._request.limits, time.monotonic()
        while not select.select([self._stdout], [], [], _POLL_SECONDS)[0]:
            self._request.check()
            if time.monotonic() - since > limits.idle_seconds:
                detail = f"silent for {limits.idle_seconds} s"
                raise RemoteTimeout(url=self._request.url.shown, detail=detail)


def _command(request: FetchRequest, environment: Mapping[str, str], log: SshLog) -> list[str]:
    url = request.url
    program = shlex.split(environment.get("GIT_SSH_COMMAND") or "ssh")
    options = [*ssh_options(request.limits), "SendEnv=GIT_PROTOCOL"]
    flags = [flag for option in options for flag in ("-o", option)]
    port = ["-p", str(url.port)] if url.port is not None else []
    place = f"{url.user}@{url.host}" if url.user else url.host
    # As in git: ssh://host/~user/repo is in that user's home.
    path = url.path[1:] if url.path.startswith("/~") else url.path
    command = f"git-upload-pack {shlex.quote(path)}"
    return [*program, "-v", "-E", log.path, *flags, *port, place, command]
