"""One listing of a project's folder, and the local renames that it shows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from towline.model import AssetId, AssetPath, Digest
from towline.names import NamePolicy
from towline.stores.directory.digests import DigestCache
from towline.stores.directory.disk import Disk
from towline.stores.directory.files import FileStat, FileType
from towline.stores.directory.rows import AssetRow

OWN_FOLDER = ".towline"


def walk(disk: Disk, folder: str, enters: Callable[[str], bool]) -> Iterator[tuple[str, FileStat]]:
    """All below a folder that is no folder itself, in no order; ``enters`` says into which."""
    waiting = [folder]
    while waiting:
        above = waiting.pop()
        for name, seen in disk.listing(above):
            path = f"{above}/{name}" if above else name
            if path == OWN_FOLDER:
                continue
            if seen.type is not FileType.FOLDER:
                yield path, seen
            elif enters(path):
                waiting.append(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What one listing found.

    ``untracked`` are the files that no known asset accounts for, ``missing`` the assets that stand
    nowhere, ``moved`` those that stand elsewhere now.
    """

    files: Mapping[AssetPath, FileStat]
    untracked: Mapping[AssetPath, FileStat]
    missing: frozenset[AssetId]
    moved: Mapping[AssetId, AssetPath]
    """Of the missing: those found elsewhere."""


def survey(
    disk: Disk,
    digests: DigestCache,
    tracked: Iterable[AssetRow],
    *,
    names: NamePolicy,
    is_asset: Callable[[AssetPath], bool],
    enters: Callable[[str], bool],
) -> Survey:
    """List the whole project once and pair what is missing with what is new."""
    files = {
        AssetPath(path): seen for path, seen in walk(disk, "", enters) if seen.type is FileType.FILE
    }
    placed = {row.place: row for row in tracked if row.place is not None}
    untracked = {
        path: files[path] for path in sorted(files) if path not in placed and is_asset(path)
    }
    for path in _spelled_otherwise(disk, names, files, placed.keys()):
        untracked.pop(path, None)
    missing = [
        row for place, row in placed.items() if place not in files and not _is_file(disk, place)
    ]
    moved = dict(_renames(digests, missing, untracked))
    return Survey(
        files=files,
        untracked=untracked,
        missing=frozenset(row.id for row in missing if row.id not in moved),
        moved=moved,
    )


def _spelled_otherwise(
    disk: Disk, names: NamePolicy, files: Mapping[AssetPath, FileStat], places: Iterable[AssetPath]
) -> Iterator[AssetPath]:
    """Files that stand at an asset's place, though the file system spells the name otherwise."""
    if names is NamePolicy.EXACT:
        return
    keys = {names.key(path): path for path in files}
    for place in places:
        path = keys.get(names.key(place))
        if place in files or path is None:
            continue
        seen = disk.look(place)
        if seen is not None and seen.is_same_file(files[path]):
            yield path


def _is_file(disk: Disk, path: str) -> bool:
    """Asked of assets in folders that the listing did not enter."""
    seen = disk.look(path)
    return seen is not None and seen.type is FileType.FILE


def _renames(
    digests: DigestCache, missing: Iterable[AssetRow], untracked: Mapping[AssetPath, FileStat]
) -> Iterator[tuple[AssetId, AssetPath]]:
    """A rename is one missing asset and one new file of its digest; more than one are none."""
    gone: dict[Digest, list[AssetRow]] = defaultdict(list)
    sizes: set[int] = set()
    for row in missing:
        last = digests.last(row.place) if row.place is not None else None
        if last is not None:
            gone[last.digest].append(row)
            sizes.add(last.seen.size)
    new: dict[Digest, list[AssetPath]] = defaultdict(list)
    for path, seen in untracked.items():
        # Only a file of the right size is worth opening.
        if seen.size in sizes and (checked := digests.check(path, seen)) is not None:
            new[checked.digest].append(path)
    for digest, rows in gone.items():
        if len(rows) == 1 and len(new[digest]) == 1:
            yield rows[0].id, new[digest][0]
