"""Ours as plain dicts: what the merge asks of a project, answered from values."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from towline.model import AssetId, AssetPath
from towline.names import NamePolicy
from towline.records import AssetRecord, LocalFile, Occupant


class AssetIndex:
    """The `AssetLookup` protocol over records in memory.

    Building it costs one pass over the records; a lookup costs the depth of its path. What is in
    the way is found by the name policy's key; the keys are sorted on the first such question, so
    that what is below a folder is one slice, and a merge that never asks does not pay for it.
    ``used`` are the ids of assets that are gone, each with the path at which it was last.
    """

    def __init__(
        self,
        records: Iterable[AssetRecord] = (),
        *,
        files: Iterable[AssetPath] = (),
        names: NamePolicy = NamePolicy.EXACT,
        used: Mapping[AssetId, AssetPath | None] = MappingProxyType({}),
    ) -> None:
        self._names = names
        self._records: dict[AssetId, AssetRecord] = {}
        self._used: set[AssetId] = set(used)
        self._former = {path: asset_id for asset_id, path in used.items() if path is not None}
        self._at: dict[AssetPath, AssetRecord] = {}
        self._aligned: dict[AssetPath, AssetRecord] = {}
        self._embedded: dict[str, list[AssetRecord]] = {}
        self._lagging: list[AssetRecord] = []
        self._occupants: dict[str, dict[AssetPath, Occupant]] = {}
        self._keys: list[str] | None = None
        for record in sorted(records, key=lambda record: record.id):
            self._add(record)
        for path in files:
            self._occupy(path, LocalFile(path=path))

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
        return self._embedded.get(embedded_id, [])

    def lagging(self) -> Sequence[AssetRecord]:
        """Return the assets whose base is behind, by id."""
        return self._lagging

    def occupants(self, path: AssetPath) -> Sequence[Occupant]:
        """Return all that cannot exist together with a file at this path, by path."""
        key = self._names.key(path)
        parts = key.split("/")
        keys = ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
        found = {
            at: occupant
            for each in (*keys, *self._below(key))
            for at, occupant in self._occupants.get(each, {}).items()
        }
        return [found[at] for at in sorted(found)]

    def is_used(self, asset_id: AssetId) -> bool:
        """Whether an asset has, or ever had, this id."""
        return asset_id in self._used

    def former_id(self, path: AssetPath) -> AssetId | None:
        """Return the id that an asset which returns at this path has again."""
        asset_id = self._former.get(path)
        record = None if asset_id is None else self._records.get(asset_id)
        is_elsewhere = record is not None and (record.ours is None or record.ours.path != path)
        return None if is_elsewhere else asset_id

    def records(self) -> Iterator[AssetRecord]:
        """Return every asset, by id."""
        return iter(self._records.values())

    def _add(self, record: AssetRecord) -> None:
        self._used.add(record.id)
        if record.base is None and record.ours is None and record.recorded is None:
            return
        self._records[record.id] = record
        if record.ours is not None:
            self._at[record.ours.path] = record
            self._occupy(record.ours.path, record)
        if record.aligned_path is not None:
            self._aligned[record.aligned_path] = record
        if record.embedded_id is not None:
            self._embedded.setdefault(record.embedded_id, []).append(record)
        if record.lagging:
            self._lagging.append(record)

    def _occupy(self, path: AssetPath, occupant: Occupant) -> None:
        self._occupants.setdefault(self._names.key(path), {})[path] = occupant

    def _below(self, key: str) -> Sequence[str]:
        if self._keys is None:
            self._keys = sorted(self._occupants)
        # "0" is the character after "/".
        return self._keys[bisect_left(self._keys, key + "/") : bisect_left(self._keys, key + "0")]
