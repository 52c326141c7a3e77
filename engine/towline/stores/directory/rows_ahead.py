"""Rows of the state file that are read in sets, ahead of lookups one by one."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import TypeVar

from towline.model import AssetId
from towline.stores.directory.digests import HashedFile
from towline.stores.directory.rows import AMONG, COLUMNS, HASHED, AssetRow, asset_row_of

T = TypeVar("T")


class RowsAhead:
    """What lookups by some paths and ids find, until a row is written or the reading ends."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.by_id: dict[str, AssetRow | None] = {}
        self.placed: dict[str, AssetRow | None] = {}
        self.aligned: dict[str, AssetRow | None] = {}
        self.hashed: dict[str, HashedFile | None] = {}
        self.released: dict[str, AssetId | None] = {}
        self.used: dict[str, bool] = {}

    def load(self, paths: Iterable[str], asset_ids: Iterable[str]) -> None:
        """Read all rows of these paths and ids, in one statement for each kind of lookup."""
        paths, asset_ids = list(paths), list(asset_ids)
        self.placed |= dict.fromkeys(paths)
        self.aligned |= dict.fromkeys(paths)
        self.hashed |= dict.fromkeys(paths)
        self.released |= dict.fromkeys(paths)
        self.by_id |= dict.fromkeys(asset_ids)
        self.used |= dict.fromkeys(asset_ids, False)
        asked = json.dumps(paths)
        for row in self._assets("place", asked):
            if row.place is not None:
                self.placed[row.place] = row
        for row in self._assets("aligned_path", asked):
            if row.recorded is not None:
                self.aligned[row.recorded.path] = row
        files = self._rows(f"SELECT path, {HASHED} FROM files WHERE path {AMONG}", asked)  # noqa: S608 - constants
        self.hashed |= {path: HashedFile.of_row(row) for path, *row in files}
        released = self._rows(f"SELECT path, id FROM used WHERE path {AMONG}", asked)  # noqa: S608 - constants
        self.released |= {path: AssetId(asset_id) for path, asset_id in released}
        asked = json.dumps(asset_ids)
        self.by_id |= {row.id: row for row in self._assets("id", asked)}
        used = self._rows(f"SELECT id FROM used WHERE id {AMONG}", asked)  # noqa: S608 - constants
        self.used |= {asset_id: True for (asset_id,) in used}

    def _assets(self, column: str, asked: str) -> list[AssetRow]:
        rows = self._rows(f"SELECT {COLUMNS} FROM assets WHERE {column} {AMONG}", asked)  # noqa: S608 - constants
        return [asset_row_of(row) for row in rows]

    def _rows(self, statement: str, asked: str) -> sqlite3.Cursor:
        return self._connection.execute(statement, (asked,))
