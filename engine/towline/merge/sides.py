"""The three sides of a merge at a path, each looked up once."""

from __future__ import annotations

from dataclasses import replace

from towline.changes import Change, Changes, RemoteAsset, RemoteEntry
from towline.model import AssetPath, NonAsset
from towline.records import AssetLookup, AssetRecord


class Sides:
    """What base, ours and theirs have at a path."""

    def __init__(self, changes: Changes, ours: AssetLookup, *, keeps_executable: bool) -> None:
        self.changes: dict[AssetPath, Change] = {item.path: item for item in changes.items}
        """What theirs changed, by path."""
        self._ours = ours
        self._keeps_executable = keeps_executable
        self._aligned: dict[AssetPath, AssetRecord | None] = {}
        self._ours_by_path: dict[AssetPath, AssetRecord | None] = {}
        self.lagging = tuple(ours.lagging())
        """Every lagging asset, looked up once."""
        # The recorded tree has no path for these, and no other asset may take their place.
        self._lagging_deletions: dict[AssetPath, AssetRecord] = {
            record.ours.path: record
            for record in self.lagging
            if record.recorded is None and record.ours is not None
        }

    def aligned_at(self, path: AssetPath) -> AssetRecord | None:
        """Return the record of the asset that the recorded tree has at a path."""
        if path not in self._aligned:
            self._aligned[path] = self._ours.aligned_at(path) or self._lagging_deletions.get(path)
        return self._aligned[path]

    def ours_at(self, path: AssetPath) -> AssetRecord | None:
        """Return the record of the asset that is at a path in ours."""
        if path not in self._ours_by_path:
            self._ours_by_path[path] = self._with_executable(path, self._ours.at(path))
        return self._ours_by_path[path]

    def _with_executable(self, path: AssetPath, record: AssetRecord | None) -> AssetRecord | None:
        """Theirs' executable bit for what was never pulled, where files have none."""
        if self._keeps_executable or record is None or record.ours is None or record.base:
            return record
        theirs = self.theirs_at(path)
        if record.recorded is not None or not isinstance(theirs, RemoteAsset):
            return record
        return replace(record, ours=replace(record.ours, executable=theirs.state.executable))

    def theirs_at(self, path: AssetPath) -> RemoteEntry | None:
        """Return what theirs has at a path."""
        if (change := self.changes.get(path)) is not None:
            return change.after
        record = self.aligned_at(path)
        if record is None or record.recorded is None:
            return None
        if isinstance(record.recorded, NonAsset):
            return record.recorded
        return RemoteAsset(state=record.recorded, size=record.size, embedded_id=record.embedded_id)

    def agree_at(self, path: AssetPath) -> bool:
        """Rule 1: whether ours and theirs agree at this path."""
        theirs, record = self.theirs_at(path), self.ours_at(path)
        return (
            isinstance(theirs, RemoteAsset) and record is not None and record.ours == theirs.state
        )
