"""The folder of a cache that lives as long as its remote."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from towline.remotes.cache import FOLDER_FLAGS, try_lock

_TEMPORARY = "towline-cache-"


def temporary_folder() -> tuple[Path, Callable[[], None]]:
    """Make a temporary folder, and return it with what removes it.

    Its lock is held until then, so that what a killed process left is recognised and removed here.
    """
    for path in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY}*"):
        _remove_unlocked(path)
    while True:
        path = Path(tempfile.mkdtemp(prefix=_TEMPORARY))
        # Another process may find it, and remove it, before the lock is held.
        with suppress(FileNotFoundError):
            handle = os.open(path, FOLDER_FLAGS)
            with suppress(OSError):  # a file system without locks; nothing is removed there
                fcntl.flock(handle, fcntl.LOCK_EX)
            if path.exists():
                return path, partial(_remove, path, handle)
            os.close(handle)


def _remove(path: Path, handle: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    os.close(handle)


def _remove_unlocked(path: Path) -> None:
    with suppress(OSError):
        handle = os.open(path, FOLDER_FLAGS)
        try:
            if os.fstat(handle).st_uid == os.geteuid() and try_lock(handle):
                shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(handle)
