"""The lookups of the directory store: the files of a folder, joined with the state file."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

from towline.model import AssetId, AssetPath, AssetState, Digest
from towline.names import NamePolicy
from towline.records import AssetRecord, ChangedRecords, LocalFile, Occupant, changed_among
from towline.stores import SAVED_RESOLUTIONS
from towline.stores.directory.database import DescribedProject
from towline.stores.directory.digests import DigestCache, HashedFile, PulledFiles
from towline.stores.directory.files import FileStat, FileType
from towline.stores.directory.state_folder import store_errors

if TYPE_CHECKING:
    from towline.options import Renames
    from towline.ports import LoggedPull
    from towline.records import ReadContent, StoreState
    from towline.resolutions import SavedResolution
    from towline.stores.directory.database import StateDatabase
    from towline.stores.directory.disk import Disk
    from towline.stores.directory.local_renames import LocalRenames
    from towline.stores.directory.rows import TrackedAsset
    from towline.stores.directory.scan import FolderScan

_PLANNED = re.compile("[0-9a-f]{24}")
READ_BYTES = 64 * 1024 * 1024
"""The most bytes of a content that `DirectoryStore.read` returns."""

Method = TypeVar("Method", bound=Callable[..., Any])


def _lookup(method: Method) -> Method:
    """Raise errors of the machine as those of the port, as all of the store's methods do."""

    @wraps(method)
    def guarded(self: WorkingCopy, *asked: Any) -> Any:
        self._state.check_open()
        try:
            return method(self, *asked)
        except (OSError, sqlite3.Error):
            with store_errors(self._state.shown):
                raise

    return cast(Method, guarded)


class WorkingCopy(DescribedProject):
    """The current files of the folder, as assets.

    A lookup reads only the paths that it is asked for. Only a missing asset, or a new file with the
    content of a missing one (any new file, after `find_renames`), makes it scan the whole folder,
    once until `refresh`, to find renames.
    """

    def __init__(
        self,
        disk: Disk,
        state: StateDatabase,
        *,
        keeps_executable: bool,
        recover_missing: Callable[[], None],
        save_cache: Callable[[], None],
    ) -> None:
        self._disk = disk
        self._state = state
        self._recover_missing = recover_missing
        self.keeps_executable = keeps_executable
        """Whether the executable bit is read from the files, not from the records."""
        self._fence = state.fence()
        self.digests = DigestCache(disk, state.hashed, on_change=recover_missing)
        self._save_cache = save_cache
        self._opened_renames: LocalRenames | None = None
        self._folders: dict[str, FileStat | None] = {}
        self._planned: dict[AssetId, AssetPath] = {}

    def refresh(self) -> None:
        """Discard the last scan, and what is known of folders."""
        self.check_fence()
        if self._opened_renames is not None:
            self._opened_renames.discard_scan()
        self._folders = {}
        self._planned = {}

    def check_fence(self) -> None:
        """Discard pending digests and renames if another process has applied since."""
        fence = self._state.fence()
        if fence != self._fence:
            self.clear_pending()
            self._fence = fence

    @property
    def moved(self) -> Mapping[AssetId, tuple[AssetPath, str]]:
        """The renames that are not in the state file yet: the new path and its kind."""
        return {} if self._opened_renames is None else self._opened_renames.moved

    def clear_pending(self) -> None:
        """Forget the pending digests and renames."""
        if self._opened_renames is not None:
            self._opened_renames.clear_pending()
        self.digests.clear_pending()

    @property
    def _renames(self) -> LocalRenames:
        """Where assets are; a pull with nothing to do does not load it."""
        if self._opened_renames is None:
            from towline.stores.directory.local_renames import LocalRenames

            self._opened_renames = LocalRenames(
                self._disk,
                self._state,
                self.digests,
                recover_missing=self._recover_missing,
                save_cache=self._save_cache,
            )
        return self._opened_renames

    # --- the project --------------------------------------------------------------------------

    @_lookup
    def state(self) -> StoreState:
        return self._state.summary()

    @_lookup
    def log(self) -> Sequence[LoggedPull]:
        return self._state.pulls.entries()

    @_lookup
    def saved_resolutions(self) -> Sequence[SavedResolution]:
        if self._state.setting(SAVED_RESOLUTIONS) is None:
            return []
        from towline.stores.resolutions import saved_resolutions

        return saved_resolutions(self._state.setting)

    @_lookup
    def remembered_resolutions(self) -> Sequence[SavedResolution]:
        from towline.stores.resolutions import remembered_resolutions

        return remembered_resolutions(self._state.setting)

    @_lookup
    def read(self, digest: Digest) -> bytes | None:
        """See `DirectoryStore.read`."""
        for path in self._paths_of(digest):
            if (content := self._disk.read_content(path, digest, READ_BYTES)) is not None:
                return content
        from towline.stores.directory.undo_contents import UndoContents

        return UndoContents(self._disk, self._state).read(digest, READ_BYTES)

    def read_ahead(self, paths: Iterable[AssetPath]) -> None:
        """See the port."""
        from towline.asset_ids import planned_id

        if not self._state.is_reading:
            # Nothing would end it.
            return
        paths = list(paths)
        first_ids = [planned_id(self._state.project, path, lambda _: False) for path in paths]
        self._state.read_ahead(paths, first_ids)

    @_lookup
    def find_renames(self, mode: Renames, read: ReadContent) -> None:
        """See the port; up to the end of the snapshot. What was never pulled has none."""
        if self._state.summary().base is not None:
            self._renames.find_edited(mode, read)

    def end_snapshot(self) -> None:
        """Find none of the renames that edit any more: contents cannot be read."""
        if self._opened_renames is not None:
            self._opened_renames.discard_edited()

    # --- the protocol -------------------------------------------------------------------------

    @_lookup
    def at(self, path: AssetPath) -> AssetRecord | None:
        stat = self._stat(path)
        row = self._renames.placed_at(path)
        if stat is None or stat.type is not FileType.FILE:
            if row is not None:
                self._recover_missing()
            return None
        if row is None and not (self._renames.is_asset(path) and self._is_spelled(path)):
            return None
        checked = self.digests.hashed(path, stat)
        if checked is None:
            return None
        row = (
            row or self._renames.renamed_to(path, checked.digest) or self._renames.returned_to(path)
        )
        if row is None:
            return self._local(path, checked)
        return row.record(self._state_of(path, checked.digest, checked.stat, row))

    @_lookup
    def aligned_at(self, path: AssetPath) -> AssetRecord | None:
        row = self._state.aligned_at(path)
        return None if row is None else self.record(row)

    @_lookup
    def with_id(self, asset_id: AssetId) -> AssetRecord | None:
        """See the port. An id that is not recorded takes one scan to find."""
        row = self._state.asset(asset_id)
        if row is not None:
            record = self.record(row)
            gone = record.base is None and record.recorded is None and record.ours is None
            return None if gone else record
        if self.is_used(asset_id):
            path_then = self._state.released_from(asset_id)
        elif _PLANNED.fullmatch(asset_id):
            path_then = self._planned_path(asset_id)
        else:
            return None
        found = self.at(path_then) if path_then is not None else None
        return found if found is not None and found.id == asset_id else None

    @_lookup
    def with_embedded_id(self, embedded_id: str) -> Sequence[AssetRecord]:
        return [self.record(row) for row in self._state.with_embedded_id(embedded_id)]

    @_lookup
    def lagging(self) -> Sequence[AssetRecord]:
        return [self.record(row) for row in self._state.lagging()]

    def _planned_path(self, asset_id: AssetId) -> AssetPath | None:
        if asset_id not in self._planned:
            for path in self._renames.scanned().untracked:
                self._planned[self._new_id(path)] = path
        return self._planned.get(asset_id)

    @_lookup
    def former_id(self, path: AssetPath) -> AssetId | None:
        """See the port. A local-only asset whose file was deleted has its record still."""
        row = self._renames.placed_at(path)
        if row is not None and row.base is None and row.recorded is None:
            return row.id if self._renames.is_missing(path) else None
        return self._state.released_at(path)

    @_lookup
    def is_used(self, asset_id: AssetId) -> bool:
        return self._state.is_used(asset_id)

    @_lookup
    def occupants(self, path: AssetPath) -> Sequence[Occupant]:
        from towline.stores.directory.scan import walk

        found: dict[str, Occupant] = {}
        for existing, stat in self._in_the_way(path):
            if stat.type is FileType.FOLDER:
                below = walk(self._disk, existing, lambda _: True)
                found |= {file: self._occupant(file, of) for file, of in below}
            else:
                found[existing] = self._occupant(existing, stat)
        return [found[existing] for existing in sorted(found)]

    @_lookup
    def records(self) -> Iterator[AssetRecord]:
        """Every asset, by id. Lists the folder."""
        self.refresh()
        hashed = self._state.all_hashed()
        self.digests.load(hashed)
        scan = self._renames.scanned()
        rows = self._renames.tracked() if scan.moved else scan.tracked
        records = self._records_of(scan, rows)
        # Of assets without a file digests are needed, to find renames.
        for gone in hashed.keys() - scan.files.keys() - {row.place for row in rows}:
            self.digests.put(gone, None)
        self.digests.clear_rows()
        return iter(records)

    def _records_of(self, scan: FolderScan, rows: Sequence[TrackedAsset]) -> list[AssetRecord]:
        """Return the records of these rows and of local-only files, by id."""
        records = [self._scanned_record(row, scan.files) for row in rows]
        placed = {record.ours.path for record in records if record.ours is not None}
        for path, stat in scan.untracked.items():
            if path not in placed and (checked := self.digests.hashed(path, stat)) is not None:
                records.append(self._local(path, checked))
        stateful = (r for r in records if not (r.local_only and r.ours is None))
        return sorted(stateful, key=lambda record: record.id)

    @_lookup
    def changed_records(self) -> ChangedRecords:
        """See the port. Lists the folder."""
        self.refresh()
        if self._disk.redirects:
            return changed_among(self.records())
        pulled = PulledFiles(self._state.pulled(), reads_executable=self.keeps_executable)
        for path in self.digests.pending:
            pulled.discard(path)
        scan = self._renames.scanned(pulled)
        records = self._records_of(scan, [self._renames.with_place(row) for row in scan.tracked])
        found = changed_among(records)
        return replace(found, unchanged=found.unchanged + pulled.unchanged)

    # --- one asset ----------------------------------------------------------------------------

    def record(self, row: TrackedAsset) -> AssetRecord:
        """Return the current record of a tracked asset, which may have been renamed."""
        row = self._renames.with_place(row)
        if row.place is None:
            absent = row.record(None)
            there = self.at(absent.aligned_path) if absent.aligned_path is not None else None
            return there if there is not None and there.id == row.id else absent
        ours = self._file(row)
        if ours is None:
            self._renames.find_renamed(row.id)
            row = self._renames.with_place(self._state.asset(row.id) or row)
            ours = self._file(row)
        return row.record(ours)

    def _stat(self, path: AssetPath) -> FileStat | None:
        """Return the stat of a path; of the folders that are missing each is looked for once."""
        folder = path.rpartition("/")[0]
        if folder and folder in self._folders and self._folders[folder] is None:
            return None
        stat = self._disk.stat(path)
        if stat is None and folder and folder not in self._folders:
            self._folders[folder] = self._disk.stat(folder)
        return stat

    def _paths_of(self, digest: Digest) -> list[str]:
        """Return the paths of assets whose last known digest this is."""
        found = [path for path, of in self.digests.pending.items() if of and of.digest == digest]
        return [
            path
            for path in dict.fromkeys(found + self._state.paths_of(digest))
            if self._renames.placed_at(AssetPath(path)) is not None or self._renames.is_asset(path)
        ]

    def _file(self, row: TrackedAsset) -> AssetState | None:
        if row.place is None:
            return None
        stat = self._disk.stat(row.place)
        if stat is None or stat.type is not FileType.FILE:
            self._recover_missing()
            return None
        return self._ours(row.place, stat, row)

    def _ours(self, path: AssetPath, stat: FileStat, row: TrackedAsset) -> AssetState | None:
        checked = self.digests.hashed(path, stat)
        return None if checked is None else self._state_of(path, checked.digest, checked.stat, row)

    def _state_of(
        self, path: AssetPath, digest: Digest, stat: FileStat, row: TrackedAsset | None
    ) -> AssetState:
        recorded = row is not None and row.executable
        executable = stat.executable if self.keeps_executable else recorded
        return AssetState(path=path, digest=digest, executable=executable)

    def _scanned_record(
        self, row: TrackedAsset, files: Mapping[AssetPath, FileStat]
    ) -> AssetRecord:
        if row.place is None or row.place not in files:
            return self.record(row)
        stat = files[row.place]
        digest = self.digests.current(row.place, stat)
        if digest is None:
            return row.record(self._ours(row.place, stat, row))
        return row.record(self._state_of(row.place, digest, stat, row))

    def _local(self, path: AssetPath, checked: HashedFile) -> AssetRecord:
        asset_id = self._new_id(path)
        self._planned[asset_id] = path
        ours = self._state_of(path, checked.digest, checked.stat, None)
        return AssetRecord(
            id=asset_id, kind=self._renames.kind(path), base=None, ours=ours, recorded=None
        )

    def _new_id(self, path: AssetPath) -> AssetId:
        from towline.asset_ids import planned_id

        former = self._state.released_at(path)
        return planned_id(self._state.project, path, self.is_used) if former is None else former

    # --- names --------------------------------------------------------------------------------

    def _occupant(self, path: str, stat: FileStat) -> Occupant:
        shown = AssetPath(path.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
        # A name that is not UTF-8 is no asset's.
        record = self.at(shown) if stat.type is FileType.FILE and shown == path else None
        return record or LocalFile(path=shown)

    def _is_spelled(self, path: AssetPath) -> bool:
        """Whether the file's name is spelled like this on disk, which a folding system ignores."""
        exact = self._state.names is NamePolicy.EXACT
        return exact or any(existing == path for existing, _ in self._in_the_way(path))

    def _in_the_way(self, path: AssetPath) -> Iterator[tuple[str, FileStat]]:
        from towline.stores.directory.scan import in_the_way

        return in_the_way(self._disk, self._state.names, path, self._folders)
