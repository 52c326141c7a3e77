"""The renames of assets in a folder, which a scan of it finds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from towline.model import AssetId, AssetPath, Digest
from towline.names import name_problem, path_problem
from towline.records import ReadContent
from towline.stores.directory.digests import DigestCache, PulledFiles
from towline.stores.directory.files import FileType

if TYPE_CHECKING:
    from towline.options import Renames
    from towline.stores.directory.database import StateDatabase
    from towline.stores.directory.disk import Disk
    from towline.stores.directory.edited_renames import EditedRenames
    from towline.stores.directory.rows import TrackedAsset
    from towline.stores.directory.scan import FolderScan

_SAVED_EDIT = re.compile(r"\.local-[0-9a-f]{8}(-[0-9]+)?(/|$)")


class LocalRenames:
    """Where each asset is: at its last known path, or where the last scan found it.

    The folder is scanned once until `discard_scan`.
    """

    def __init__(
        self,
        disk: Disk,
        state: StateDatabase,
        digests: DigestCache,
        *,
        recover_missing: Callable[[], None],
        save_cache: Callable[[], None],
    ) -> None:
        self._disk = disk
        self._state = state
        self._digests = digests
        self._recover_missing = recover_missing
        self._save_cache = save_cache
        self._moved: dict[AssetId, AssetPath] = {}
        self._moved_to: dict[AssetPath, AssetId] = {}
        self._scan: FolderScan | None = None
        self._finds: tuple[Renames, ReadContent] | None = None
        self._edited: EditedRenames | None = None

    def find_edited(self, mode: Renames, read: ReadContent) -> None:
        """Find renames that edit, too, until `discard_edited`; ``read`` is asked for contents."""
        if self._finds is None or self._finds[0] is not mode:
            self._finds, self._edited = (mode, read), None
            self._scan = None

    def discard_edited(self) -> None:
        """Find none of the renames that edit any more; those that were found stay."""
        self._finds = self._edited = None

    def discard_scan(self) -> None:
        """Forget the last scan."""
        self._scan = None

    def clear_pending(self) -> None:
        """Forget the renames that are not in the state file yet."""
        self._moved, self._moved_to = {}, {}

    @property
    def moved(self) -> Mapping[AssetId, tuple[AssetPath, str]]:
        """The renames that are not in the state file yet: the new path and its kind."""
        return {asset_id: (path, self.kind(path)) for asset_id, path in self._moved.items()}

    def tracked(self, pulled: PulledFiles | None = None) -> list[TrackedAsset]:
        """Return every asset, or those that are not as they were pulled."""
        if pulled is None:
            rows = self._state.assets()
        else:
            changed = pulled.changed()
            rows = self._state.assets_of(changed) if changed else []
        return [self.with_place(row) for row in rows]

    def with_place(self, row: TrackedAsset) -> TrackedAsset:
        """Return the row with the path of a pending rename."""
        place = self._moved.get(row.id)
        return row if place is None else row._replace(place=place, kind=self.kind(place))

    def placed_at(self, path: AssetPath) -> TrackedAsset | None:
        """Return the asset whose file is at this path, as far as is known."""
        moved = self._moved_to.get(path)
        if moved is not None and (row := self._state.asset(moved)) is not None:
            return self.with_place(row)
        row = self._state.placed_at(path)
        return None if row is None or row.id in self._moved else row

    def returned_to(self, path: AssetPath) -> TrackedAsset | None:
        """Return the absent asset that a new file at this path restores."""
        row = self._state.aligned_at(path)
        if row is None or row.place is not None:
            return None
        return row._replace(kind=self.kind(path))

    def renamed_to(self, path: AssetPath, digest: Digest) -> TrackedAsset | None:
        """Return the asset that was renamed to this path, of a new file with this digest."""
        known = self._scan is not None and path in self._scan.untracked
        if any(self.is_missing(AssetPath(place)) for place in self._state.paths_of(digest)):
            pass
        elif self._finds is None:
            return None
        else:
            # Its content says nothing; what the last scan knew of it does.
            known = self._scan is not None
        if not known:
            self._scan = None
            self.scanned()
        return self.placed_at(path)

    def is_missing(self, place: AssetPath) -> bool:
        """Whether an asset's last known file is no file any more."""
        if self.placed_at(place) is None:
            return False
        stat = self._disk.stat(place)
        return stat is None or stat.type is not FileType.FILE

    def find_renamed(self, asset_id: AssetId) -> None:
        """Scan for a missing asset, unless the last scan did not find it either."""
        if self._scan is None or asset_id not in self._scan.missing:
            self._scan = None
            self.scanned()

    def scanned(self, pulled: PulledFiles | None = None) -> FolderScan:
        """Return the last scan, or scan; without the files that are as they were ``pulled``."""
        from towline.stores.directory.scan import scan_folder

        if self._scan is None:
            self._recover_missing()
            self._scan = scan_folder(
                self._disk,
                self._digests,
                partial(self.tracked, pulled),
                names=self._state.names,
                is_asset=self.is_asset,
                enters=self._may_hold_assets,
                pulled=pulled,
            )
            self._scan = self._with_edited(self._scan)
            self._moved |= self._scan.moved
            self._moved_to = {path: asset_id for asset_id, path in self._moved.items()}
            if self._scan.moved:
                self._save_cache()
        return self._scan

    def _with_edited(self, scan: FolderScan) -> FolderScan:
        """Return the scan with the renames that edit, if these are to be found."""
        if self._finds is None or not scan.missing or not scan.untracked:
            return scan
        if self._edited is None:
            from towline.stores.directory.edited_renames import EditedRenames

            self._edited = EditedRenames(self._disk, self._state, self._digests, *self._finds)
        taken = set(scan.moved.values())
        found = self._edited.find(
            [row for row in scan.tracked if row.id in scan.missing],
            {path: stat for path, stat in scan.untracked.items() if path not in taken},
        )
        missing = scan.missing - found.keys()
        return replace(scan, moved={**scan.moved, **found}, missing=missing)

    def _may_hold_assets(self, folder: str) -> bool:
        name = folder.rpartition("/")[2]
        if name.startswith(".") and not self._state.kinds.hidden:
            return False
        return name_problem(name) is None

    def kind(self, path: AssetPath) -> str:
        """Return the kind of an asset at this path."""
        kind = self._state.kinds.of(path)
        assert kind is not None, "only assets have kinds"
        return kind.name

    def is_asset(self, path: str) -> bool:
        """Whether a file at this path would be an asset."""
        if self._state.kinds.of(path) is None or path_problem(path) is not None:
            return False
        return not is_saved_edit(path)


def is_saved_edit(path: str) -> bool:
    """Whether this is the path of a saved edit, or of something inside it."""
    return ".local-" in path and _SAVED_EDIT.search(path) is not None
