"""Resolves names of selections and resolutions: a path, a folder, or a glob, in this order.

Paths and folders are looked up in the changes and the store; only an unknown name costs a walk of
the project.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from towline.changes import Changes, RemoteAsset
from towline.errors import UnknownAssets
from towline.globs import matches_any
from towline.model import AssetId, AssetPath
from towline.names import path_problem
from towline.options import Naming, Resolutions, Selection
from towline.records import AssetRecord

if TYPE_CHECKING:
    from towline.conflicts import Conflict
    from towline.ports import Snapshot

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


def resolve_names(
    resolutions: Resolutions,
    snapshot: Snapshot,
    changes: Changes,
    open_conflicts: Callable[[Resolutions], Iterable[Conflict]],
) -> Resolutions:
    """Return the resolutions with each folder and glob as the ids of the conflicts that it covers.

    ``open_conflicts`` returns what stays open under resolutions that name single assets; so these
    go before folders and globs. A name that covers no asset stays as it is, for the merge to judge.

    Raises:
        ConflictingResolutions: folders and globs of both sides cover one conflict.
    """
    if resolutions.naming is not Naming.IDS_OR_PATHS:
        return resolutions
    known = _Known(snapshot, changes)
    globs = {
        name: found
        for name, _ in resolutions.named()
        if not known.has(name) and (found := known.globs_of(name))
    }
    if not globs:
        return resolutions
    single = replace(
        resolutions,
        use_theirs=resolutions.use_theirs - globs.keys(),
        use_ours=resolutions.use_ours - globs.keys(),
    )
    parties = [
        party
        for conflict in open_conflicts(single)
        for party in conflict.parties
        if not party.local_only
    ]

    def covered(names: frozenset[str]) -> frozenset[str]:
        wanted = [glob for name in names for glob in globs.get(name, ())]
        return frozenset(party.asset_id for party in parties if _match(wanted, party.paths))

    return replace(
        single,
        use_theirs=single.use_theirs | covered(resolutions.use_theirs),
        use_ours=single.use_ours | covered(resolutions.use_ours),
    )


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

    def has(self, name: str) -> bool:
        """Whether a name is the id or the path of one asset."""
        if AssetId.allows(name) and self.snapshot.with_id(AssetId(name)) is not None:
            return True
        if path_problem(name) is not None:
            return False
        path = AssetPath(name)
        return path in self.changed or self._recorded(path)

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
        if self._recorded(path):
            return True
        return any(
            isinstance(occupant, AssetRecord)
            and occupant.ours is not None
            and occupant.ours.path.startswith(f"{path}/")
            for occupant in self.snapshot.occupants(path)
        )

    def _recorded(self, path: AssetPath) -> bool:
        return self.snapshot.at(path) is not None or self.snapshot.aligned_at(path) is not None


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
