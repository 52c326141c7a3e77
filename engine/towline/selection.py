"""Resolves the names of a selection in a project: a path, a folder, or a glob, in this order.

Paths and folders are looked up in the changes and the store; only an unknown name costs a walk of
the project.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from towline.changes import Changes, RemoteAsset
from towline.errors import UnknownAssets
from towline.globs import matches_any
from towline.model import AssetPath
from towline.names import path_problem
from towline.options import Selection
from towline.ports import Snapshot
from towline.records import AssetRecord

_MOST_NAMES = 10
"""How many unknown names are compared with known ones."""


def resolved(selection: Selection, snapshot: Snapshot, changes: Changes) -> Selection:
    """Return the selection with each of its globs as one that takes what the name means here.

    A path takes that asset, a folder what is below it (``.``: everything); any other name is a
    glob.

    Raises:
        UnknownAssets: a kind is not the project's, or a path, folder or glob matches no asset.
    """
    if selection.is_all:
        return selection
    known = _Known(snapshot, changes)
    unknown = sorted(selection.kinds - {kind.name for kind in snapshot.kinds.kinds})
    globs: list[str] = []
    for name in selection.globs:
        found = known.globs_of(name)
        globs.extend(found)
        if not found:
            unknown.append(name)
    if unknown:
        raise UnknownAssets(asset_ids=tuple(unknown), near=near_names(unknown, snapshot, changes))
    return replace(selection, globs=tuple(globs))


def near_names(unknown: Sequence[str], snapshot: Snapshot, changes: Changes) -> tuple[str, ...]:
    """Return kinds and paths of the project that resemble the unknown names, closest first."""
    import difflib

    known = {kind.name: kind.name for kind in snapshot.kinds.kinds}
    for path in _Known(snapshot, changes).everywhere:
        for folder in path.folders:
            known.setdefault(folder, folder)
        known.setdefault(path.name, path)
        known[path] = path
    found: dict[str, None] = {}
    for name in unknown[:_MOST_NAMES]:
        for close in difflib.get_close_matches(name, known, n=3):
            found[known[close]] = None
    return tuple(found)


@dataclass
class _Known:
    """The paths of the project's assets on any side."""

    snapshot: Snapshot
    changes: Changes

    def globs_of(self, name: str) -> tuple[str, ...]:
        """Return the globs that take what the name means; none where it matches no asset."""
        plain = name.strip("/")
        if plain in ("", "."):
            return ("**",) if name else ()
        exact = _exactly(plain)
        if _match(exact, self.changed) or self._exists(plain):
            return exact
        if _match((name,), self.changed):
            return (name,)
        return next((globs for globs in (exact, (name,)) if _match(globs, self.everywhere)), ())

    @cached_property
    def changed(self) -> frozenset[AssetPath]:
        """The assets that the remote changed."""
        return frozenset(
            change.path
            for change in self.changes.items
            if isinstance(change.before, RemoteAsset) or isinstance(change.after, RemoteAsset)
        )

    @cached_property
    def everywhere(self) -> frozenset[AssetPath]:
        """Every asset; walks the project."""
        recorded = (path for record in self.snapshot.records() for path in _paths(record))
        return self.changed.union(recorded)

    def _exists(self, name: str) -> bool:
        """Whether an asset is recorded at this path, or is below it."""
        if path_problem(name) is not None:
            return False
        path = AssetPath(name)
        if self.snapshot.at(path) is not None or self.snapshot.aligned_at(path) is not None:
            return True
        return any(
            isinstance(occupant, AssetRecord)
            and occupant.ours is not None
            and occupant.ours.path.startswith(f"{path}/")
            for occupant in self.snapshot.occupants(path)
        )


def _match(globs: Iterable[str], paths: Iterable[AssetPath]) -> bool:
    return any(matches_any(globs, path) for path in paths)


def _paths(record: AssetRecord) -> Iterator[AssetPath]:
    for state in (record.base, record.ours, record.recorded):
        if state is not None:
            yield state.path


def _exactly(path: str) -> tuple[str, ...]:
    """Return globs for the asset at a path, and for what is below it."""
    literal = re.sub(r"([*?\[])", r"[\1]", path)
    return (f"/{literal}", f"/{literal}/**")
