"""Who this process is as an executor: the same when it comes back, and never two at once."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from uuid import uuid4


class Identity:
    """An executor's id, kept in a file that is locked while the process lives.

    A second process over the same folder has an id of its own, for its life alone: what it leaves
    behind when it is killed is for the reaper.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / "executor.id"
        self._handle: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            self.id = _new()
            return
        self.id = os.read(self._handle, 100).decode("ascii", "replace").strip() or _new()
        os.pwrite(self._handle, self.id.encode(), 0)

    def close(self) -> None:
        """Let another process be this one."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _new() -> str:
    return f"executor-{uuid4().hex}"
