"""Keeps what ssh itself says apart from what the remote says: both would be on standard error."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from towline.remotes.cache import Cache

_READ_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class SshLog:
    """A file that ssh writes its messages to (``ssh -v -E``)."""

    path: str
    handle: int

    def read(self) -> str:
        """Return the end of what ssh wrote so far."""
        start = max(0, os.fstat(self.handle).st_size - _READ_BYTES)
        return os.pread(self.handle, _READ_BYTES, start).decode("utf-8", "replace")


@contextmanager
def ssh_log(cache: Cache) -> Iterator[SshLog]:
    """A log for one conversation; a process that is killed leaves it to the cache's next sweep."""
    handle, path = tempfile.mkstemp(prefix="tmp_ssh_", dir=cache.path / "objects/pack")
    try:
        yield SshLog(path, handle)
    finally:
        os.close(handle)
        with suppress(FileNotFoundError):
            os.unlink(path)
