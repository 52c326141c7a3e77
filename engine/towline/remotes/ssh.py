"""The ssh client below git and dulwich: its options, and a log of its own messages."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from towline.frozen import frozen
from towline.remotes.git_process import STDERR_BYTES

if TYPE_CHECKING:
    from towline.limits import Limits
    from towline.remotes.fetcher import FetchRequest


def ssh_options(limits: Limits) -> tuple[str, ...]:
    """Return ssh's ``-o`` options: no prompts, and time limits."""
    return (
        "BatchMode=yes",
        f"ConnectTimeout={limits.connect_seconds}",
        f"ServerAliveInterval={max(1, limits.idle_seconds // 2)}",
        "ServerAliveCountMax=2",
        "ForwardAgent=no",
        "PermitLocalCommand=no",
    )


def git_ssh_command(variables: Mapping[str, str], request: FetchRequest, log: SshLog) -> str:
    """Return git's ``GIT_SSH_COMMAND``: the caller's, with a log, and the options of a request."""
    command = variables.get("GIT_SSH_COMMAND") or "ssh"
    options = ssh_options(request.limits)
    if request.addresses:  # the first, with the host key of the name
        options += (f"HostName={request.addresses[0]}", f"HostKeyAlias={request.url.host}")
    words = [command, "-v", "-E", quote(log.path), *(f"-o {option}" for option in options)]
    return " ".join(words)


@frozen
class SshLog:
    """A file for the messages of ssh (``ssh -v -E``); standard error has the remote's, too."""

    path: str
    handle: int

    def read(self) -> str:
        """Return the end of what ssh wrote so far."""
        start = max(0, os.fstat(self.handle).st_size - STDERR_BYTES)
        return os.pread(self.handle, STDERR_BYTES, start).decode("utf-8", "replace")


@contextlib.contextmanager
def ssh_log(folder: Path) -> Iterator[SshLog]:
    """Open a log for one ssh process in the folder of packs, which `Cache.sweep` cleans."""
    handle, path = tempfile.mkstemp(prefix="tmp_ssh_", dir=folder)
    try:
        yield SshLog(path, handle)
    finally:
        os.close(handle)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
