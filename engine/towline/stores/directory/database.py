"""The directory store's state: one SQLite file (docs/architecture.md).

It contains the record and last known path of each asset, the digests of files by their stat, the
log of pulls, and which contents undoing them needs. All writers hold the store's lock; readers need
none.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from towline.codec import decode, encode
from towline.errors import StoreDamaged, StoreError, TowlineError
from towline.kinds import Kinds
from towline.model import AssetId, AssetPath, Digest
from towline.names import NamePolicy
from towline.records import StoreState
from towline.stores.directory.digests import SETTLED, HashedFile
from towline.stores.directory.rows import (
    AMONG,
    COLUMNS,
    HASHED,
    RowsAhead,
    TrackedAsset,
    tracked_asset_of,
    write_edits,
)
from towline.stores.directory.schema import FORMAT, UPGRADES, connect

if TYPE_CHECKING:
    from towline.plan import Edit, Plan
    from towline.stores.directory.pull_log import PullLog

# An asset whose base is behind, or whose last known file is another, is not as it was pulled.
_PULLED = f"""
SELECT a.id,
    CASE WHEN {SETTLED} AND NOT a.lagging AND a.base_path = a.place AND a.base_digest = f.digest
        AND coalesce(a.executable, a.base_executable) = a.base_executable THEN a.place END,
    f.size, f.mtime_ns, f.ctime_ns, f.inode, a.base_executable
FROM assets a LEFT JOIN files f ON f.path = a.place
"""  # noqa: S608 - constants


class DescribedProject:
    """What the state file says of a project, in the store and in its snapshots."""

    _state: StateDatabase

    @property
    def project(self) -> str:
        return self._state.project

    @property
    def kinds(self) -> Kinds:
        return self._state.kinds

    @property
    def names(self) -> NamePolicy:
        return self._state.names


class StateDatabase:
    """The open state file."""

    def __init__(self, path: str, project: str) -> None:
        """Open a file from `create_state`.

        Raises:
            StoreDamaged: it cannot be read; it is not changed.
        """
        self.shown = project
        """The project as errors name it."""
        self.closed = False
        self._connection = connect(path, "rw")
        self._path = path
        self._opened_pulls: PullLog | None = None
        self._ahead = RowsAhead()
        try:
            self._meta = dict(self._connection.execute("SELECT name, value FROM meta"))
            if self._meta.get("format") not in (FORMAT, *UPGRADES):
                raise self._damaged(f"its format is {self._meta.get('format')!r}, not {FORMAT!r}")
            self.project = str(self._meta["project"])
            self.names = NamePolicy(self._meta["names"])
            self.keep = int(self._meta["keep"])
            self.filemode = self._meta.get("filemode") == "true"
            self.fsync = self._meta.get("fsync") != "false"
            self.kinds = decode(Kinds, json.loads(self._meta["kinds"]))
            self.summary()
        except (KeyError, ValueError, RecursionError, TowlineError, sqlite3.DatabaseError) as error:
            self._connection.close()
            if isinstance(error, StoreDamaged) or _is_transient(error):
                raise
            raise self._damaged(str(error)) from error

    @property
    def outdated(self) -> bool:
        """Whether an older version made the file; then only `upgrade` may be called."""
        return self._meta.get("format") != FORMAT

    def upgrade(self, *, filemode: bool) -> None:
        """Convert the file to the current format, unless another process did."""
        with self.writing(flushed_by_caller=False):
            found = self._value("format")
            for older in filter(lambda each: each >= found, sorted(UPGRADES)):
                for statement in UPGRADES[older]:
                    self._connection.execute(statement)
            self.set_meta({"format": FORMAT})
            if found == "1":
                self.set_filemode(filemode)
        self._meta["format"] = FORMAT

    @property
    def pulls(self) -> PullLog:
        """The log of pulls; what needs none does not load it."""
        if self._opened_pulls is None:
            from towline.stores.directory.pull_log import PullLog

            self._opened_pulls = PullLog(self._connection, self._path, self.shown)
        return self._opened_pulls

    def check_open(self) -> None:
        """Refuse to go on after `close`: a descriptor may be reused for another file.

        Raises:
            StoreError: it was closed.
        """
        if self.closed:
            raise StoreError(project=self.shown, problem="the store is closed")

    def close(self) -> None:
        """Close the file; SQLite flushes what is not flushed yet."""
        self.closed = True
        if self._opened_pulls is not None:
            self._opened_pulls.closed = True
        self._connection.execute(f"PRAGMA synchronous = {'NORMAL' if self.fsync else 'OFF'}")
        self._connection.close()

    def _damaged(self, problem: str) -> StoreDamaged:
        return StoreDamaged(project=self.shown, problem=f"its state cannot be read: {problem}")

    # --- reading ------------------------------------------------------------------------------

    def _value(self, name: str) -> str:
        row = self._connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise self._damaged(f"{name} is missing")
        return str(row[0])

    def summary(self) -> StoreState:
        """Return the recorded base and counts."""
        return decode(StoreState, json.loads(self._value("state")))

    def fence(self) -> int:
        """Return the number of applied plans: a fencing token for the lock."""
        return int(self._value("fence"))

    def setting(self, name: str) -> str | None:
        """Return a setting of the application."""
        row = self._connection.execute(
            "SELECT value FROM settings WHERE name = ?", (name,)
        ).fetchone()
        return None if row is None else str(row[0])

    def _assets(self, where: str, *values: object) -> list[TrackedAsset]:
        rows = self._connection.execute(f"SELECT {COLUMNS} FROM assets {where}", values)  # noqa: S608 - constants
        return [tracked_asset_of(row) for row in rows]

    def asset(self, asset_id: str) -> TrackedAsset | None:
        """Return the asset with this id."""
        known = self._ahead.by_id
        return known[asset_id] if asset_id in known else self._one("id", asset_id)

    def _one(self, column: str, value: str) -> TrackedAsset | None:
        return next(iter(self._assets(f"WHERE {column} = ?", value)), None)

    def read_ahead(self, paths: Iterable[str], asset_ids: Iterable[str]) -> None:
        """Read in a few statements what lookups by these paths and ids will find.

        Up to the end of `reading` or the next write; the caller holds the lock, or is reading.
        """
        self._ahead.load(self._connection, list(paths), list(asset_ids))

    @property
    def is_reading(self) -> bool:
        """Whether a transaction is open."""
        return self._connection.in_transaction

    def forget(self) -> None:
        """Forget what was read ahead."""
        self._ahead = RowsAhead()

    def assets(self) -> list[TrackedAsset]:
        """Return every asset, by id."""
        return self._assets("ORDER BY id")

    def assets_of(self, asset_ids: Iterable[str]) -> list[TrackedAsset]:
        """Return the assets with these ids, by id."""
        asked = json.dumps(list(asset_ids))
        return self._assets(f"WHERE id {AMONG} ORDER BY id", asked)

    def pulled(self) -> list[tuple[Any, ...]]:
        """Return the row of each asset for `PulledFiles`."""
        return self._connection.execute(_PULLED).fetchall()

    def placed_at(self, path: str) -> TrackedAsset | None:
        """Return the asset whose last known path this is."""
        known = self._ahead.placed
        return known[path] if path in known else self._one("place", path)

    def aligned_at(self, path: str) -> TrackedAsset | None:
        """Return the asset whose aligned path this is."""
        known = self._ahead.aligned
        return known[path] if path in known else self._one("aligned_path", path)

    def with_embedded_id(self, embedded_id: str) -> list[TrackedAsset]:
        """Return the assets that embed this id, by id."""
        return self._assets("WHERE embedded_id = ? ORDER BY id", embedded_id)

    def lagging(self) -> list[TrackedAsset]:
        """Return the assets whose base is behind, by id."""
        return self._assets("WHERE lagging ORDER BY id")

    def is_used(self, asset_id: str) -> bool:
        """Whether an asset has, or ever had, this id."""
        if asset_id in self._ahead.used:
            return self._ahead.used[asset_id]
        found = self._connection.execute("SELECT 1 FROM used WHERE id = ?", (asset_id,))
        return found.fetchone() is not None

    def released_at(self, path: str) -> AssetId | None:
        """Return the id of the last dropped record that was last at this path."""
        if path in self._ahead.released:
            return self._ahead.released[path]
        row = self._connection.execute("SELECT id FROM used WHERE path = ?", (path,)).fetchone()
        return None if row is None else AssetId(row[0])

    def released_from(self, asset_id: str) -> AssetPath | None:
        """Return the path at which the dropped record of this id was last."""
        row = self._connection.execute(
            "SELECT path FROM used WHERE id = ? AND path IS NOT NULL", (asset_id,)
        ).fetchone()
        return None if row is None else AssetPath(row[0])

    def hashed(self, path: str) -> HashedFile | None:
        """Return the last known digest of the file at this path."""
        if path in self._ahead.hashed:
            return self._ahead.hashed[path]
        row = self._connection.execute(
            f"SELECT {HASHED} FROM files WHERE path = ?",  # noqa: S608 - constants
            (path,),
        ).fetchone()
        return None if row is None else HashedFile.of_row(row)

    def paths_of(self, digest: str) -> list[str]:
        """Return the paths whose last known digest this is."""
        rows = self._connection.execute(
            "SELECT path FROM files WHERE digest = ? ORDER BY path", (digest,)
        )
        return [str(path) for (path,) in rows]

    def all_hashed(self) -> dict[str, tuple[Any, ...]]:
        """Return the row of every last known digest, by path; see `HashedFile.of_row`."""
        rows = self._connection.execute(f"SELECT path, {HASHED} FROM files")  # noqa: S608 - constants
        return {row[0]: row[1:] for row in rows}

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A read transaction: all that is read is of one moment, up to the first write."""
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._end_reading()

    def _end_reading(self) -> None:
        self.forget()
        if self._connection.in_transaction:
            self._connection.execute("COMMIT")

    # --- writing, under the store's lock ------------------------------------------------------

    @contextmanager
    def writing(self, *, flushed_by_caller: bool) -> Iterator[None]:
        """Begin a transaction, which is committed at the end, or rolled back on an error.

        SQLite does not flush it if the caller flushes the log file afterwards.
        """
        if self._connection.in_transaction:
            self._end_reading()
        level = "OFF" if flushed_by_caller or not self.fsync else "NORMAL"
        self._connection.execute(f"PRAGMA synchronous = {level}")
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def checkpoint(self) -> None:
        """Copy the log file to the state file; the caller flushes before and after."""
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def truncate_wal(self) -> None:
        """Truncate the log file after a checkpoint, unless it is being read."""
        self._connection.execute("PRAGMA busy_timeout = 0")
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._connection.execute("PRAGMA busy_timeout = 5000")

    def set_setting(self, name: str, value: str | None) -> None:
        """Store a setting of the application; None removes it."""
        self._connection.execute("DELETE FROM settings WHERE name = ?", (name,))
        if value is not None:
            self._connection.execute("INSERT INTO settings VALUES (?, ?)", (name, value))

    def set_meta(self, values: Mapping[str, str]) -> None:
        """Store values of the project itself."""
        self._connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())

    def set_kinds(self, kinds: Kinds) -> None:
        """Store which files are assets."""
        self.set_meta({"kinds": json.dumps(encode(kinds))})
        self.kinds = kinds

    def set_names(self, names: NamePolicy) -> None:
        """Store which paths are equal."""
        self.set_meta({"names": str(names)})
        self.names = names

    def set_keep(self, keep: int) -> None:
        """Store how many pulls the log retains."""
        self.set_meta({"keep": str(keep)})
        self.keep = keep

    def set_filemode(self, filemode: bool) -> None:  # noqa: FBT001 - as the other settings
        """Store whether the executable bit is read from the files."""
        self.set_meta({"filemode": "true" if filemode else "false"})
        self.filemode = filemode

    def set_fsync(self, fsync: bool) -> None:  # noqa: FBT001 - as the other settings
        """Store whether what is written is flushed."""
        self.set_meta({"fsync": "true" if fsync else "false"})
        self.fsync = fsync

    def set_places(self, moved: Mapping[AssetId, tuple[AssetPath, str]]) -> None:
        """Store the new paths and kinds of renamed assets."""
        self.forget()
        self._connection.executemany(
            "UPDATE assets SET place = ?, kind = ? WHERE id = ?",
            [(place, kind, asset_id) for asset_id, (place, kind) in moved.items()],
        )

    def set_hashed(self, files: Mapping[str, HashedFile | None]) -> None:
        """Store the digests of files, by path; None removes one."""
        self.forget()
        self._connection.executemany(
            "DELETE FROM files WHERE path = ?",
            [(path,) for path, checked in files.items() if checked is None],
        )
        self._connection.executemany(
            "INSERT OR REPLACE INTO files VALUES (?,?,?,?,?,?,?)",
            [(path, *checked.row()) for path, checked in files.items() if checked is not None],
        )

    def record_edits(self, edits: Iterable[Edit]) -> None:
        """Store the records that a plan results in."""
        self.forget()
        write_edits(self._connection, tuple(edits))

    def record_pull(self, plan: Plan, plan_text: str, at: str | None) -> list[Digest]:
        """Store the state after a plan, and add it to the log; return what `PullLog.add` does."""
        number = self.fence() + 1
        self.set_meta({"fence": str(number), "state": json.dumps(encode(plan.after))})
        return self.pulls.add(plan, plan_text, number=number, at=at, keep=self.keep)


def _is_transient(error: Exception) -> bool:
    """Whether SQLite failed for a reason other than the file's content."""
    return isinstance(error, sqlite3.OperationalError) and "no such" not in str(error)
