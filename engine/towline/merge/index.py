"""Ours as plain dicts: what the merge asks of a project, answered from values."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence

from towline.model import AssetId, AssetPath
from towline.names import NamePolicy
from towline.records import AssetRecord, LocalFile, Occupant


class AssetIndex:
    """The `AssetLookup` protocol over records in memory.

    Building it costs one pass over the records; a lookup costs the depth of its path. It can be
    updated with `put` and `forget`, which cost what they change.
    """

    def __init__(
        self,
        records: Iterable[AssetRecord] = (),
        *,
        files: Iterable[AssetPath] = (),
        names: NamePolicy = NamePolicy.EXACT,
        used: Iterable[AssetId] = (),
    ) -> None:
        self._records: dict[AssetId, AssetRecord] = {}
        self._used: set[AssetId] = set(used)
        self._at: dict[AssetPath, AssetRecord] = {}
        self._aligned: dict[AssetPath, AssetRecord] = {}
        self._embedded: dict[str, dict[AssetId, AssetRecord]] = {}
        self._lagging: dict[AssetId, AssetRecord] = {}
        self._occupants = _OccupantIndex(names)
        self.put(records)
        for path in files:
            self.put_file(path)

    def at(self, path: AssetPath) -> AssetRecord | None:
        """Return the asset at exactly this path."""
        return self._at.get(path)

    def aligned_at(self, path: AssetPath) -> AssetRecord | None:
        """Return the asset whose aligned path this is."""
        return self._aligned.get(path)

    def with_id(self, asset_id: AssetId) -> AssetRecord | None:
        """Return the asset of this id, as long as it has any state."""
        return self._records.get(asset_id)

    def with_embedded_id(self, embedded_id: str) -> Sequence[AssetRecord]:
        """Return the assets that embed this id at the recorded revision, by id."""
        return _by_id(self._embedded.get(embedded_id, {}))

    def lagging(self) -> Sequence[AssetRecord]:
        """Return the assets whose base is behind, by id."""
        return _by_id(self._lagging)

    def occupants(self, path: AssetPath) -> Sequence[Occupant]:
        """Return all that cannot exist together with a file at this path, by path."""
        return self._occupants.against(path)

    def is_used(self, asset_id: AssetId) -> bool:
        """Whether an asset has, or ever had, this id."""
        return asset_id in self._used

    def records(self) -> Iterator[AssetRecord]:
        """Return every asset, by id."""
        return iter(_by_id(self._records))

    def files(self) -> Sequence[AssetPath]:
        """Return the paths of the local files that are no asset, sorted."""
        return self._occupants.files()

    def put(self, records: Iterable[AssetRecord]) -> None:
        """Store records, of known assets or new ones, which may trade places among themselves."""
        records_by_id = {record.id: record for record in records}
        for known in [self._records[asset_id] for asset_id in records_by_id.keys() & self._records]:
            self._remove(known)
        for record in records_by_id.values():
            self._used.add(record.id)
            if not (record.base is None and record.ours is None and record.recorded is None):
                self._add(record)

    def forget(self, asset_ids: Iterable[AssetId]) -> None:
        """Drop assets; their ids stay used."""
        for asset_id in asset_ids:
            self._used.add(asset_id)
            if asset_id in self._records:
                self._remove(self._records[asset_id])

    def put_file(self, path: AssetPath) -> None:
        """Add a local file that is no asset."""
        self._occupants.add(path, LocalFile(path=path))

    def _add(self, record: AssetRecord) -> None:
        self._records[record.id] = record
        if record.ours is not None:
            self._at[record.ours.path] = record
            self._occupants.add(record.ours.path, record)
        if record.aligned_path is not None:
            self._aligned[record.aligned_path] = record
        if record.embedded_id is not None:
            self._embedded.setdefault(record.embedded_id, {})[record.id] = record
        if record.lagging:
            self._lagging[record.id] = record

    def _remove(self, record: AssetRecord) -> None:
        del self._records[record.id]
        if record.ours is not None:
            del self._at[record.ours.path]
            self._occupants.remove(record.ours.path)
        if record.aligned_path is not None:
            del self._aligned[record.aligned_path]
        if record.embedded_id is not None:
            del self._embedded[record.embedded_id][record.id]
        self._lagging.pop(record.id, None)


def _by_id(records: dict[AssetId, AssetRecord]) -> list[AssetRecord]:
    return [records[asset_id] for asset_id in sorted(records)]


class _OccupantIndex:
    """What is at each path, found by the name policy's key.

    The keys are sorted on the first question, so that what is below a folder is one slice;
    a merge that never asks does not pay for it.
    """

    def __init__(self, names: NamePolicy) -> None:
        self._names = names
        self._at: dict[str, dict[AssetPath, Occupant]] = {}
        self._keys: list[str] | None = None

    def add(self, path: AssetPath, occupant: Occupant) -> None:
        key = self._names.key(path)
        if key not in self._at:
            self._at[key] = {}
            if self._keys is not None:
                insort(self._keys, key)
        self._at[key][path] = occupant

    def remove(self, path: AssetPath) -> None:
        key = self._names.key(path)
        del self._at[key][path]
        if not self._at[key]:
            del self._at[key]
            if self._keys is not None:
                del self._keys[bisect_left(self._keys, key)]

    def against(self, path: AssetPath) -> list[Occupant]:
        key = self._names.key(path)
        parts = key.split("/")
        keys = ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
        found = {
            at: occupant
            for each in (*keys, *self._below(key))
            for at, occupant in self._at.get(each, {}).items()
        }
        return [found[at] for at in sorted(found)]

    def files(self) -> list[AssetPath]:
        return sorted(
            path
            for occupants in self._at.values()
            for path, occupant in occupants.items()
            if isinstance(occupant, LocalFile)
        )

    def _below(self, key: str) -> Sequence[str]:
        if self._keys is None:
            self._keys = sorted(self._at)
        # "0" is the character after "/".
        return self._keys[bisect_left(self._keys, key + "/") : bisect_left(self._keys, key + "0")]
