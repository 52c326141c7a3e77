"""The rows of assets in the state file: converted to records and back, read and written in sets."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from towline.model import AssetId, AssetPath, AssetState, Digest, NonAsset, NonAssetReason
from towline.records import AssetRecord
from towline.stores.directory.digests import HashedFile

if TYPE_CHECKING:
    from towline.plan import Edit

AMONG = "IN (SELECT value FROM json_each(?))"
"""A condition of SQL on a column; its values are a JSON list."""
HASHED = "digest, checked_ns, size, mtime_ns, ctime_ns, inode"
"""The columns of `HashedFile.of_row`."""
_INSERT = "INSERT INTO assets VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
COLUMNS = (
    "id, kind, base_path, base_digest, base_executable,"
    " seen_path, seen_digest, seen_executable, seen_reason, place, size, embedded_id, executable"
)


class TrackedAsset(NamedTuple):
    """A tracked asset: its record without ours, and its last known path (``place``).

    ``executable`` is the bit as last written, for file systems that do not store it.
    """

    id: AssetId
    kind: str
    base: AssetState | None
    recorded: AssetState | NonAsset | None
    place: AssetPath | None
    size: int
    embedded_id: str | None
    executable: bool

    def record(self, ours: AssetState | None, *, kind: str | None = None) -> AssetRecord:
        """Return the record, with ours as it is on disk."""
        return AssetRecord(
            id=self.id,
            kind=self.kind if kind is None else kind,
            base=self.base,
            ours=ours,
            recorded=self.recorded,
            size=self.size,
            embedded_id=self.embedded_id,
        )


def tracked_asset_of(row: Sequence[Any]) -> TrackedAsset:
    """Decode a row of `COLUMNS`."""
    (asset_id, kind, *states, seen_reason, place, size, embedded_id, executable) = row
    base = _state(*states[:3])
    recorded: AssetState | NonAsset | None
    recorded = base if states[:3] == states[3:] else _state(*states[3:])
    known = base or recorded
    if executable is None and isinstance(known, AssetState):
        executable = known.executable
    if seen_reason is not None:
        recorded = NonAsset(path=AssetPath(states[3]), reason=NonAssetReason(seen_reason))
    return TrackedAsset(
        id=AssetId(asset_id),
        kind=kind,
        base=base,
        recorded=recorded,
        place=base.path if base is not None and base.path == place else _path(place),
        size=size,
        embedded_id=embedded_id,
        executable=bool(executable),
    )


def _path(text: str | None) -> AssetPath | None:
    return None if text is None else AssetPath(text)


def _state(path: str | None, digest: str | None, executable: int | None) -> AssetState | None:
    if path is None or digest is None:
        return None
    return AssetState(path=AssetPath(path), digest=Digest(digest), executable=bool(executable))


def _row_of(record: AssetRecord) -> tuple[object, ...]:
    """Encode a record as a row, in the table's order."""
    recorded = record.recorded
    seen_reason = recorded.reason if isinstance(recorded, NonAsset) else None
    seen_state = (
        (recorded.path, None, None)
        if isinstance(recorded, NonAsset)
        else _state_columns(record.recorded)
    )
    return (
        record.id,
        record.kind,
        *_state_columns(record.base),
        *seen_state,
        None if seen_reason is None else str(seen_reason),
        None if record.ours is None else record.ours.path,
        record.aligned_path,
        record.lagging,
        record.size,
        record.embedded_id,
        None if record.ours is None else record.ours.executable,
    )


def _state_columns(state: object) -> tuple[object, ...]:
    if not isinstance(state, AssetState):
        return (None, None, None)
    return (state.path, state.digest, state.executable)


class RowsAhead:
    """What lookups by some paths and ids find, until a row is written or the reading ends."""

    def __init__(self) -> None:
        self.by_id: dict[str, TrackedAsset | None] = {}
        self.placed: dict[str, TrackedAsset | None] = {}
        self.aligned: dict[str, TrackedAsset | None] = {}
        self.hashed: dict[str, HashedFile | None] = {}
        self.released: dict[str, AssetId | None] = {}
        self.used: dict[str, bool] = {}

    def load(
        self, connection: sqlite3.Connection, paths: Sequence[str], asset_ids: Sequence[str]
    ) -> None:
        """Read all rows of these paths and ids, in one statement for each kind of lookup."""

        def among(asked: Sequence[str], select: str) -> sqlite3.Cursor:
            return connection.execute(f"{select} {AMONG}", (json.dumps(asked),))

        def assets(column: str, asked: Sequence[str]) -> list[TrackedAsset]:
            rows = among(asked, f"SELECT {COLUMNS} FROM assets WHERE {column}")  # noqa: S608 - constants
            return [tracked_asset_of(row) for row in rows]

        for by_path in (self.placed, self.aligned, self.hashed, self.released):
            by_path.update(dict.fromkeys(paths))
        self.by_id |= dict.fromkeys(asset_ids)
        self.used |= dict.fromkeys(asset_ids, False)
        self.placed |= {row.place: row for row in assets("place", paths) if row.place}
        for row in assets("aligned_path", paths):
            if row.recorded is not None:
                self.aligned[row.recorded.path] = row
        files = among(paths, f"SELECT path, {HASHED} FROM files WHERE path")  # noqa: S608 - constants
        self.hashed |= {path: HashedFile.of_row(row) for path, *row in files}
        released = among(paths, "SELECT path, id FROM used WHERE path")
        self.released |= {path: AssetId(asset_id) for path, asset_id in released}
        self.by_id |= {row.id: row for row in assets("id", asset_ids)}
        self.used |= {row[0]: True for row in among(asset_ids, "SELECT id FROM used WHERE id")}


def write_edits(connection: sqlite3.Connection, edits: Sequence[Edit]) -> None:
    """Write the rows of the records that a plan results in, and of the ids that it uses."""
    from towline.stores.checks import released_ids

    # The plan was checked to find the paths free, so an asset that was there is gone.
    arrivals = [path for edit in edits if (path := edit.arrival) is not None]
    connection.execute(
        f"UPDATE assets SET place = NULL WHERE place {AMONG}",  # noqa: S608 - constants
        (json.dumps(arrivals),),
    )
    ids = [(edit.asset_id,) for edit in edits]
    connection.executemany("INSERT OR REPLACE INTO used (id) VALUES (?)", ids)
    released = list(released_ids(edits).items())
    connection.executemany(
        "UPDATE used SET path = NULL WHERE path = ?", [(path,) for path, _ in released]
    )
    connection.executemany("UPDATE used SET path = ? WHERE id = ?", released)
    connection.execute(
        f"DELETE FROM assets WHERE id {AMONG}",  # noqa: S608 - constants
        (json.dumps([edit.asset_id for edit in edits]),),
    )
    rows = [_row_of(edit.after) for edit in edits if edit.after is not None]
    connection.executemany(_INSERT, rows)
