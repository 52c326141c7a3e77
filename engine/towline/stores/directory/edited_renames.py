"""Which new file is which asset that vanished, where its content is not the last known one.

They are paired as theirs' renames are (`towline.merge.pairs`). Contents are read only where an
asset's file is gone and a new file is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from towline.changes import RemoteAsset
from towline.content.values import MAX_BYTES
from towline.merge.pairs import MAX_CANDIDATES, MAX_WORK, RenameCandidate, pair_renames
from towline.model import AssetId, AssetPath, AssetState
from towline.options import Renames
from towline.records import ReadContent

if TYPE_CHECKING:
    from towline.stores.directory.database import StateDatabase
    from towline.stores.directory.digests import DigestCache
    from towline.stores.directory.disk import Disk
    from towline.stores.directory.files import FileStat
    from towline.stores.directory.rows import TrackedAsset


class EditedRenames:
    """The renames of one folder that the last known contents do not show.

    ``read`` and ``mode`` are those of the snapshot that looks for them.
    """

    def __init__(
        self,
        disk: Disk,
        state: StateDatabase,
        digests: DigestCache,
        mode: Renames,
        read: ReadContent,
    ) -> None:
        self._disk = disk
        self._state = state
        self._digests = digests
        self._mode = mode
        self._read = read
        self._last: tuple[object, dict[AssetPath, AssetPath]] | None = None

    def find(
        self, missing: Sequence[TrackedAsset], new: Mapping[AssetPath, FileStat]
    ) -> dict[AssetId, AssetPath]:
        """Return the new path of each of the missing assets that has one."""
        gone = {
            row.recorded.path: row
            for row in missing
            if row.base is not None and isinstance(row.recorded, AssetState)
        }
        if not gone or not new or self._mode is Renames.OFF:
            return {}
        # At its own path it is what it was, whatever its content.
        back = {path: path for path in gone.keys() & new.keys()}
        gone_rows = [row for path, row in gone.items() if path not in back]
        files = {path: stat for path, stat in new.items() if path not in back}
        pairs = back | self._pairs(gone_rows, files)
        return {gone[old].id: path for old, path in pairs.items()}

    def _pairs(
        self, gone: Sequence[TrackedAsset], new: Mapping[AssetPath, FileStat]
    ) -> dict[AssetPath, AssetPath]:
        # The limits of similarity, before files are read to know their digests.
        few = len(gone) * len(new) <= MAX_CANDIDATES**2
        for mode in (self._mode if few else Renames.EXACT, Renames.EXACT):
            files = self._worth_reading(gone, new, mode)
            if sum(stat.size for stat in files.values()) <= MAX_WORK:
                return self._compared(gone, files, mode)
        return {}

    def _compared(
        self, gone: Sequence[TrackedAsset], files: Mapping[AssetPath, FileStat], mode: Renames
    ) -> dict[AssetPath, AssetPath]:
        digests = {
            path: checked.digest
            for path, stat in files.items()
            if (checked := self._digests.hashed(path, stat)) is not None
        }
        compared = (mode, [row.id for row in gone], sorted(digests.items()))
        if self._last is None or self._last[0] != compared:
            new = [
                RemoteAsset(state=AssetState(path=path, digest=digest), size=files[path].size)
                for path, digest in digests.items()
            ]
            if any(row.embedded_id for row in gone):
                new = [self._with_embedded_id(asset) for asset in new]
            self._last = compared, self._paired(gone, new, mode)
        return self._last[1]

    def _worth_reading(
        self, gone: Sequence[TrackedAsset], new: Mapping[AssetPath, FileStat], mode: Renames
    ) -> dict[AssetPath, FileStat]:
        """Return the files that an embedded id or a fitting size may pair with what is gone."""
        from towline.content.similarity import can_be_similar

        sizes = {row.size for row in gone}
        ids = any(row.embedded_id for row in gone)

        def is_worth_it(path: AssetPath, size: int) -> bool:
            if size in sizes or (ids and size <= MAX_BYTES and self._pointer(path) is not None):
                return True
            return mode is Renames.SIMILAR and any(can_be_similar(each, size) for each in sizes)

        return {path: stat for path, stat in new.items() if is_worth_it(path, stat.size)}

    def _pointer(self, path: AssetPath) -> str | None:
        kind = self._state.kinds.of(path)
        return None if kind is None else kind.id_pointer

    def _with_embedded_id(self, asset: RemoteAsset) -> RemoteAsset:
        pointer = self._pointer(asset.path)
        if pointer is None:
            return asset
        from towline.merge.embedded import with_embedded_id

        content = self._disk.read_content(asset.path, asset.state.digest, MAX_BYTES)
        return asset if content is None else with_embedded_id(asset, content, pointer)

    def _paired(
        self, gone: Sequence[TrackedAsset], new: Sequence[RemoteAsset], mode: Renames
    ) -> dict[AssetPath, AssetPath]:
        from towline.merge.embedded import ids_of_two

        assets = [
            (row.recorded, row.size, row.embedded_id)
            for row in gone
            if isinstance(row.recorded, AssetState)
        ]
        changed = {state.path for state, _, _ in assets} | {asset.path for asset in new}
        shared = ids_of_two(new, changed, self._recorded_at)

        def candidate(state: AssetState, size: int, embedded_id: str | None) -> RenameCandidate:
            own = None if embedded_id in shared else embedded_id
            return RenameCandidate(state.path, state.digest, size, own)

        pairs, _ = pair_renames(
            [candidate(*asset) for asset in assets],
            [candidate(asset.state, asset.size, asset.embedded_id) for asset in new],
            mode,
            self._read,
        )
        return pairs

    def _recorded_at(self, embedded_id: str) -> list[AssetPath]:
        rows = self._state.with_embedded_id(embedded_id)
        return [row.recorded.path for row in rows if isinstance(row.recorded, AssetState)]
