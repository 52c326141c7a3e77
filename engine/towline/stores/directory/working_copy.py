"""Ours in a folder of ordinary files that anyone may edit: the lookups of the directory store."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from towline.model import AssetId, AssetPath, AssetState, Digest, planned_id
from towline.names import NamePolicy, name_problem, path_problem
from towline.records import AssetRecord, LocalFile, Occupant
from towline.stores.directory.database import StateDatabase
from towline.stores.directory.digests import DigestCache, HashedFile
from towline.stores.directory.disk import Disk
from towline.stores.directory.files import FileStat, FileType
from towline.stores.directory.rows import AssetRow
from towline.stores.directory.saved_edits import is_saved_edit
from towline.stores.directory.walk import Survey, survey, walk

_PLANNED = re.compile("[0-9a-f]{24}")


class WorkingCopy:
    """What stands in the folder now, joined with what the state file knows.

    A lookup asks the file system for what it is asked for alone. Only an asset that is missing,
    or a new file with the content of a missing one, makes it list the whole folder, once until
    `refresh`, to see whether the asset was renamed.
    """

    def __init__(
        self,
        disk: Disk,
        state: StateDatabase,
        *,
        reads_executable: bool,
        await_rest: Callable[[], None],
        write_down: Callable[[], None],
    ) -> None:
        self._disk = disk
        self._state = state
        self._await_rest = await_rest
        self._write_down = write_down
        self.reads_executable = reads_executable
        """Whether the executable bit is the file's; else the recorded one counts."""
        self._fence = state.fence()
        self.digests = DigestCache(disk, state.checked, on_change=await_rest)
        self._moved: dict[AssetId, AssetPath] = {}
        self._moved_to: dict[AssetPath, AssetId] = {}
        self._survey: Survey | None = None
        self._planned: dict[AssetId, AssetPath] = {}

    def refresh(self) -> None:
        """Begin a new moment: what was listed before counts no more."""
        self.keep_up()
        self._survey = None
        self._planned = {}

    def keep_up(self) -> None:
        """Forget what was learnt of the files if someone has applied since."""
        fence = self._state.fence()
        if fence != self._fence:
            self.written_down()
            self._fence = fence

    @property
    def moved(self) -> Mapping[AssetId, tuple[AssetPath, str]]:
        """Renames that were found and are not written down: the new path and its kind."""
        return {asset_id: (path, self._kind(path)) for asset_id, path in self._moved.items()}

    def written_down(self) -> None:
        """Call when the state file holds all that was found."""
        self._moved, self._moved_to = {}, {}
        self.digests.forget_found()

    # --- the protocol -------------------------------------------------------------------------

    def at(self, path: AssetPath) -> AssetRecord | None:
        """See `AssetLookup.at`."""
        seen = self._disk.look(path)
        row = self._placed_at(path)
        if seen is None or seen.type is not FileType.FILE:
            if row is not None:
                self._await_rest()
            return None
        if row is None and not (self.is_asset(path) and self._is_spelled(path)):
            return None
        checked = self.digests.check(path, seen)
        if checked is None:
            return None
        row = row or self._renamed_to(path, checked.digest) or self._returned_to(path)
        if row is None:
            return self._local(path, checked)
        return row.record(self._state_of(path, checked, row))

    def aligned_at(self, path: AssetPath) -> AssetRecord | None:
        """See `AssetLookup.aligned_at`."""
        row = self._state.aligned_at(path)
        return None if row is None else self.record(row)

    def with_id(self, asset_id: AssetId) -> AssetRecord | None:
        """See `AssetLookup.with_id`. An id that is not written down takes one listing to find."""
        row = self._state.asset(asset_id)
        if row is not None:
            record = self.record(row)
            gone = record.base is None and record.seen is None and record.ours is None
            return None if gone else record
        if self.is_used(asset_id) or not _PLANNED.fullmatch(asset_id):
            return None
        if asset_id not in self._planned:
            for path in self._surveyed().untracked:
                self._planned[self._planned_id(path)] = path
        path_then = self._planned.get(asset_id)
        found = self.at(path_then) if path_then is not None else None
        return found if found is not None and found.id == asset_id else None

    def with_embedded_id(self, embedded_id: str) -> Sequence[AssetRecord]:
        """See `AssetLookup.with_embedded_id`."""
        return [self.record(row) for row in self._state.with_embedded_id(embedded_id)]

    def lagging(self) -> Sequence[AssetRecord]:
        """See `AssetLookup.lagging`."""
        return [self.record(row) for row in self._state.lagging()]

    def is_used(self, asset_id: AssetId) -> bool:
        """See `AssetLookup.is_used`."""
        return self._state.is_used(asset_id)

    def occupants(self, path: AssetPath) -> Sequence[Occupant]:
        """See `AssetLookup.occupants`."""
        found: dict[str, Occupant] = {}
        for standing, seen in self._in_the_way(path):
            if seen.type is FileType.FOLDER:
                below = walk(self._disk, standing, lambda _: True)
                found |= {file: self._occupant(file, of) for file, of in below}
            else:
                found[standing] = self._occupant(standing, seen)
        return [found[standing] for standing in sorted(found)]

    def records(self) -> Iterator[AssetRecord]:
        """Every asset, by id. Lists the folder."""
        self.refresh()
        surveyed = self._surveyed()
        records = [self._surveyed_record(row, surveyed.files) for row in self._tracked()]
        placed = {record.ours.path for record in records if record.ours is not None}
        for path, seen in surveyed.untracked.items():
            if path not in placed and (checked := self.digests.check(path, seen)) is not None:
                records.append(self._local(path, checked))
        self._forget_gone(surveyed)
        stateful = (r for r in records if not (r.local_only and r.ours is None))
        return iter(sorted(stateful, key=lambda record: record.id))

    # --- one asset ----------------------------------------------------------------------------

    def current(self, record: AssetRecord) -> AssetRecord | None:
        """How an asset that had this record stands now."""
        row = self._state.asset(record.id)
        if row is not None:
            return self.record(row)
        found = self.at(record.ours.path) if record.ours is not None else None
        if found is None or found.ours is None or record.ours is None or self.reads_executable:
            return found
        # The file does not say, and nothing is recorded: it may be what the plan takes it for.
        return replace(found, ours=replace(found.ours, executable=record.ours.executable))

    def record(self, row: AssetRow) -> AssetRecord:
        """The record of a known asset, wherever it stands now."""
        row = self._where(row)
        if row.place is None:
            absent = row.record(None)
            there = self.at(absent.aligned_path) if absent.aligned_path is not None else None
            return there if there is not None and there.id == row.id else absent
        ours = self._file(row)
        if ours is None:
            self._look_for(row.id)
            row = self._where(self._state.asset(row.id) or row)
            ours = self._file(row)
        return row.record(ours)

    def paths_of(self, digest: Digest) -> list[str]:
        """Where assets of this digest were when last looked at."""
        found = [path for path, of in self.digests.found.items() if of and of.digest == digest]
        stored = [path for path in self._state.paths_of(digest) if path not in found]
        return [
            path
            for path in found + stored
            if self._placed_at(AssetPath(path)) is not None or self.is_asset(path)
        ]

    def _file(self, row: AssetRow) -> AssetState | None:
        if row.place is None:
            return None
        seen = self._disk.look(row.place)
        if seen is None or seen.type is not FileType.FILE:
            self._await_rest()
            return None
        return self._ours(row.place, seen, row)

    def _ours(self, path: AssetPath, seen: FileStat, row: AssetRow) -> AssetState | None:
        checked = self.digests.check(path, seen)
        return None if checked is None else self._state_of(path, checked, row)

    def _state_of(self, path: AssetPath, checked: HashedFile, row: AssetRow | None) -> AssetState:
        executable = checked.seen.executable
        if not self.reads_executable:
            executable = row is not None and row.executable
        return AssetState(path=path, digest=checked.digest, executable=executable)

    def _surveyed_record(self, row: AssetRow, files: Mapping[AssetPath, FileStat]) -> AssetRecord:
        if row.place is None or row.place not in files:
            return self.record(row)
        return row.record(self._ours(row.place, files[row.place], row))

    def _local(self, path: AssetPath, checked: HashedFile) -> AssetRecord:
        asset_id = self._planned_id(path)
        self._planned[asset_id] = path
        ours = self._state_of(path, checked, None)
        return AssetRecord(id=asset_id, kind=self._kind(path), base=None, ours=ours, seen=None)

    def _planned_id(self, path: AssetPath) -> AssetId:
        return planned_id(self._state.project, path, self.is_used)

    def _kind(self, path: AssetPath) -> str:
        kind = self._state.kinds.of(path)
        assert kind is not None, "asked of assets alone"
        return kind.name

    def is_asset(self, path: str) -> bool:
        """Whether a file at this path, known or not, is an asset."""
        if self._state.kinds.of(path) is None or path_problem(path) is not None:
            return False
        return not is_saved_edit(path)

    # --- renames ------------------------------------------------------------------------------

    def _tracked(self) -> list[AssetRow]:
        return [self._where(row) for row in self._state.assets()]

    def _where(self, row: AssetRow) -> AssetRow:
        """The same, at the place where it was found since the state file was written."""
        place = self._moved.get(row.id)
        return row if place is None else replace(row, place=place, kind=self._kind(place))

    def _placed_at(self, path: AssetPath) -> AssetRow | None:
        moved = self._moved_to.get(path)
        if moved is not None and (row := self._state.asset(moved)) is not None:
            return self._where(row)
        row = self._state.placed_at(path)
        return None if row is None or row.id in self._moved else row

    def _returned_to(self, path: AssetPath) -> AssetRow | None:
        """The absent asset that returns where a file stands at this path again."""
        row = self._state.aligned_at(path)
        if row is None or row.place is not None:
            return None
        return replace(row, kind=self._kind(path))

    def _renamed_to(self, path: AssetPath, digest: Digest) -> AssetRow | None:
        """The asset that was renamed to the path of a new file with this digest."""
        if not any(self._is_missing(AssetPath(place)) for place in self._state.paths_of(digest)):
            return None
        known = self._survey is not None and path in self._survey.untracked
        if not known:
            self._survey = None
            self._surveyed()
        return self._placed_at(path)

    def _is_missing(self, place: AssetPath) -> bool:
        if self._placed_at(place) is None:
            return False
        seen = self._disk.look(place)
        return seen is None or seen.type is not FileType.FILE

    def _look_for(self, asset_id: AssetId) -> None:
        """Find a missing asset, unless it was missing already when the folder was listed."""
        if self._survey is None or asset_id not in self._survey.missing:
            self._survey = None
            self._surveyed()

    def _surveyed(self) -> Survey:
        if self._survey is None:
            self._await_rest()
            self._survey = survey(
                self._disk,
                self.digests,
                self._tracked(),
                names=self._state.names,
                is_asset=self.is_asset,
                enters=self._may_hold_assets,
            )
            self._moved |= self._survey.moved
            self._moved_to = {path: asset_id for asset_id, path in self._moved.items()}
            if self._survey.moved:
                self._write_down()
        return self._survey

    def _may_hold_assets(self, folder: str) -> bool:
        name = folder.rpartition("/")[2]
        if name.startswith(".") and not self._state.kinds.hidden:
            return False
        return name_problem(name) is None

    def _forget_gone(self, surveyed: Survey) -> None:
        """Drop the digests of files that are no more; those of missing assets find renames."""
        places = {row.place for row in self._tracked()}
        for path in self._state.checked_paths() - places - surveyed.files.keys():
            self.digests.put(path, None)

    # --- names --------------------------------------------------------------------------------

    def _occupant(self, path: str, seen: FileStat) -> Occupant:
        may_be_asset = seen.type is FileType.FILE and _is_text(path)
        record = self.at(AssetPath(path)) if may_be_asset else None
        return record or LocalFile(path=_shown(path))

    def _in_the_way(self, path: AssetPath) -> Iterator[tuple[str, FileStat]]:
        """What stands at the path or at one of its folders, but the folders themselves."""
        folders = [""]
        names = path.split("/")
        for depth, name in enumerate(names, 1):
            alike = [entry for folder in folders for entry in self._alike(folder, name)]
            folders = []
            for standing, seen in alike:
                if seen.type is FileType.FOLDER and depth < len(names):
                    folders.append(standing)
                else:
                    yield standing, seen

    def _alike(self, folder: str, name: str) -> Iterator[tuple[str, FileStat]]:
        """What stands in a folder under a name that the policy holds equal to this one."""
        if self._state.names is NamePolicy.EXACT:
            path = f"{folder}/{name}" if folder else name
            if (seen := self._disk.look(path)) is not None:
                yield path, seen
            return
        key = self._state.names.key(name)
        for other, seen in self._disk.listing(folder):
            if self._state.names.key(other) == key:
                yield f"{folder}/{other}" if folder else other, seen

    def _is_spelled(self, path: AssetPath) -> bool:
        """Whether names are as asked: a file system that folds answers to others too."""
        if self._state.names is NamePolicy.EXACT:
            return True
        return any(standing == path for standing, _ in self._in_the_way(path))


def _is_text(path: str) -> bool:
    """Whether a name in the file system was UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(path: str) -> AssetPath:
    return AssetPath(path.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
