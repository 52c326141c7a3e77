"""The tables of the state file, and the conversion from older formats."""

from __future__ import annotations

import json
import os
import sqlite3

from towline.codec import encode
from towline.kinds import Kinds
from towline.names import NamePolicy
from towline.records import StoreState

_USED_BY_PATH = "CREATE INDEX used_by_path ON used (path) WHERE path IS NOT NULL"

FORMAT = "3"
UPGRADES = {
    "1": ("ALTER TABLE assets ADD COLUMN executable INTEGER",),
    "2": (
        "ALTER TABLE log ADD COLUMN summary TEXT",
        "ALTER TABLE used ADD COLUMN path TEXT",
        _USED_BY_PATH,
    ),
}
"""What each older format lacks of the next one."""

_SCHEMA = f"""
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE assets (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL,
    base_path TEXT, base_digest TEXT, base_executable INTEGER,
    seen_path TEXT, seen_digest TEXT, seen_executable INTEGER, seen_reason TEXT,
    place TEXT, aligned_path TEXT, lagging INTEGER NOT NULL,
    size INTEGER NOT NULL, embedded_id TEXT, executable INTEGER
) WITHOUT ROWID;
CREATE INDEX assets_by_place ON assets (place) WHERE place IS NOT NULL;
CREATE INDEX assets_by_alignment ON assets (aligned_path) WHERE aligned_path IS NOT NULL;
CREATE INDEX assets_by_embedded_id ON assets (embedded_id) WHERE embedded_id IS NOT NULL;
CREATE INDEX assets_lagging ON assets (id) WHERE lagging;
CREATE TABLE used (id TEXT PRIMARY KEY, path TEXT) WITHOUT ROWID;
{_USED_BY_PATH};
CREATE TABLE files (
    path TEXT PRIMARY KEY, digest TEXT NOT NULL, checked_ns INTEGER NOT NULL,
    size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX files_by_digest ON files (digest);
CREATE TABLE log (
    number INTEGER PRIMARY KEY, plan TEXT NOT NULL, at TEXT, undone INTEGER NOT NULL, summary TEXT
);
CREATE TABLE blobs (digest TEXT PRIMARY KEY, content BLOB NOT NULL);
CREATE TABLE blob_uses (
    digest TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (digest, number)
) WITHOUT ROWID;
"""


def create_state(
    path: str, *, project: str, kinds: Kinds, names: NamePolicy, filemode: bool, keep: int
) -> None:
    """Make a new state file, for the caller to flush and rename."""
    connection = connect(path, "rwc")
    try:
        connection.execute("PRAGMA synchronous = OFF")
        connection.executescript(_SCHEMA)
        meta = {
            "format": FORMAT,
            "project": project,
            "names": str(names),
            "filemode": "true" if filemode else "false",
            "kinds": json.dumps(encode(kinds)),
            "keep": str(keep),
            "fence": "0",
            "state": json.dumps(encode(StoreState())),
        }
        connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
        connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()


def connect(path: str, mode: str) -> sqlite3.Connection:
    """Open a state file in a mode of SQLite's URIs."""
    from urllib.parse import quote

    connection = sqlite3.connect(
        f"file:{quote(os.fsencode(path))}?mode={mode}",
        uri=True,
        isolation_level=None,
        # A store may be passed between threads, as long as one uses it at a time.
        check_same_thread=False,
    )
    # The store checkpoints explicitly, to control the number of flushes.
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    return connection
