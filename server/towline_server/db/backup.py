"""Copies an SQLite database while others write to it. PostgreSQL brings programs of its own."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a database at one moment, with what is in its write-ahead log.

    Raises:
        FileExistsError: the target is there.
        OSError, sqlite3.Error: one of them cannot be read, or written.
    """
    # It contains password hashes: no other user may read it, whatever the umask.
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with (
        # Read-only would be refused where the log has to be made first.
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True)) as reading,
        closing(sqlite3.connect(target)) as writing,
    ):
        reading.backup(writing)
