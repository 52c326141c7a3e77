"""Whether a disk has room left."""

from __future__ import annotations

import shutil
from pathlib import Path

_LEAST_BYTES = 1024 * 1024


def free(folder: Path) -> int:
    """Return how many bytes are free where a folder is, or will be made."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def is_full(folder: Path) -> bool:
    """Whether less than a mebibyte is free there."""
    return free(folder) < _LEAST_BYTES
