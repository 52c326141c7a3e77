"""Speaks ssh for dulwich: the ssh program as a child, bounded and watched."""

from __future__ import annotations

import os
import select
import shlex
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress

from towline.errors import Cancelled, RemoteTimeout
from towline.remotes.fetcher import FetchRequest
from towline.remotes.git_environment import closed_environment, ssh_options
from towline.remotes.incoming import Incoming
from towline.remotes.rlimits import restrict
from towline.remotes.ssh_log import SshLog

_POLL_SECONDS = 0.1


class SshTransport:
    """An ssh child that runs git-upload-pack at the remote."""

    def __init__(self, talk: FetchRequest, environment: Mapping[str, str], log: SshLog) -> None:
        self._talk = talk
        self._log = log
        self.incoming = Incoming(talk)
        self.cause: Exception | None = None
        """Why this side ended the conversation, if it did."""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        self._child = subprocess.Popen(
            _command(talk, environment, log),
            env={**closed_environment(environment), "GIT_PROTOCOL": "version=2"},
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )
        restrict(self._child.pid, talk.limits)
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._stdin, self._stdout = self._child.stdin, self._child.stdout.fileno()

    def read(self, size: int) -> bytes:
        """So many bytes, or fewer at the end.

        Raises:
            RemoteTimeout: it stayed silent, or the time is over.
            Cancelled: the caller asked to stop.
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
        """Send."""
        with suppress(BrokenPipeError):  # reading tells that it ended
            self._stdin.write(data)
            self._stdin.flush()
        return len(data)

    def can_read(self) -> bool:
        """Whether there is something to read now."""
        return bool(select.select([self._stdout], [], [], 0)[0])

    def log(self) -> str:
        """What ssh itself said."""
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(1)
        return self._log.read()

    def messages(self) -> str:
        """What the remote said on its standard error."""
        self._errors.seek(0)
        return self._errors.read(65536).decode("utf-8", "replace")

    def close(self) -> None:
        """End the child."""
        with suppress(OSError):
            self._stdin.close()
        if self._child.stdout is not None:
            self._child.stdout.close()
        self._child.terminate()
        self._child.wait()
        self._errors.close()

    def _wait(self) -> None:
        limits, since = self._talk.limits, time.monotonic()
        while not select.select([self._stdout], [], [], _POLL_SECONDS)[0]:
            self._talk.check()
            if time.monotonic() - since > limits.idle_seconds:
                detail = f"silent for {limits.idle_seconds} s"
                raise RemoteTimeout(url=self._talk.url.shown, detail=detail)


def _command(talk: FetchRequest, environment: Mapping[str, str], log: SshLog) -> list[str]:
    url = talk.url
    program = shlex.split(environment.get("GIT_SSH_COMMAND") or "ssh")
    options = [*ssh_options(talk.limits), "SendEnv=GIT_PROTOCOL"]
    flags = [flag for option in options for flag in ("-o", option)]
    port = ["-p", str(url.port)] if url.port is not None else []
    place = f"{url.user}@{url.host}" if url.user else url.host
    # As git has it: ssh://host/~user/repo is below that user's home.
    path = url.path[1:] if url.path.startswith("/~") else url.path
    return [
        *program,
        "-v",
        "-E",
        log.path,
        *flags,
        *port,
        place,
        f"git-upload-pack {shlex.quote(path)}",
    ]
