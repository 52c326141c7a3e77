"""What is in a project's folder: scans, the renames that they find, what is in the way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from towline.frozen import frozen
from towline.model import AssetId, AssetPath, Digest
from towline.names import NamePolicy
from towline.stores.directory.digests import DigestCache, PulledFiles
from towline.stores.directory.disk import Disk
from towline.stores.directory.files import FileStat, FileType, stat_entries
from towline.stores.directory.rows import TrackedAsset
from towline.stores.directory.state_folder import STATE_FOLDER


def walk(
    disk: Disk,
    folder: str,
    enters: Callable[[str], bool],
    pulled: PulledFiles | None = None,
) -> Iterator[tuple[str, FileStat]]:
    """Yield everything below a folder but folders, in no order; ``enters`` selects folders.

    Without the files that are as they were ``pulled``.
    """
    waiting = [folder]
    while waiting:
        above = waiting.pop()
        stats = stat_entries if pulled is None else partial(pulled.others, above)
        for name, stat in disk.scandir(above, stats):
            path = f"{above}/{name}" if above else name
            if path == STATE_FOLDER:
                continue
            if stat.type is not FileType.FOLDER:
                yield path, stat
            elif enters(path):
                waiting.append(path)


@frozen(kw_only=True)
class FolderScan:
    """The result of a scan.

    ``tracked`` are the rows that it was made from, ``untracked`` the files that belong to no known
    asset, ``missing`` the assets without a file, ``moved`` the renamed assets with their new paths.
    """

    tracked: Sequence[TrackedAsset]
    files: Mapping[AssetPath, FileStat]
    untracked: Mapping[AssetPath, FileStat]
    missing: frozenset[AssetId]
    moved: Mapping[AssetId, AssetPath]


def scan_folder(
    disk: Disk,
    digests: DigestCache,
    tracked: Callable[[], Sequence[TrackedAsset]],
    *,
    names: NamePolicy,
    is_asset: Callable[[AssetPath], bool],
    enters: Callable[[str], bool],
    pulled: PulledFiles | None = None,
) -> FolderScan:
    """List the whole project once, and match missing assets with new files.

    ``tracked`` is called after that. If there are ``pulled`` files, what is as it was pulled is
    left out of both: none of it is missing, or new.
    """
    found = walk(disk, "", enters, pulled)
    files = {AssetPath(path): stat for path, stat in found if stat.type is FileType.FILE}
    rows = tracked()
    placed = {row.place: row for row in rows if row.place is not None}
    new = sorted(path for path in files if path not in placed)
    untracked = {path: files[path] for path in new if is_asset(path)}
    for path in _differently_spelled(disk, names, files, placed.keys()):
        untracked.pop(path, None)
    missing = [
        row for place, row in placed.items() if place not in files and not _is_file(disk, place)
    ]
    moved = dict(_renames(digests, missing, untracked))
    return FolderScan(
        tracked=rows,
        files=files,
        untracked=untracked,
        missing=frozenset(row.id for row in missing if row.id not in moved),
        moved=moved,
    )


def _differently_spelled(
    disk: Disk, names: NamePolicy, files: Mapping[AssetPath, FileStat], places: Iterable[AssetPath]
) -> Iterator[AssetPath]:
    """Yield files of assets whose names the file system spells differently."""
    if names is NamePolicy.EXACT:
        return
    keys = {names.key(path): path for path in files}
    for place in places:
        path = keys.get(names.key(place))
        if place in files or path is None:
            continue
        stat = disk.stat(place)
        if stat is not None and stat.is_same_file(files[path]):
            yield path


def _is_file(disk: Disk, path: str) -> bool:
    """Whether a path is a file; for assets in folders that the scan did not enter."""
    stat = disk.stat(path)
    return stat is not None and stat.type is FileType.FILE


def _renames(
    digests: DigestCache, missing: Iterable[TrackedAsset], untracked: Mapping[AssetPath, FileStat]
) -> Iterator[tuple[AssetId, AssetPath]]:
    """Yield renames: exactly one missing asset and one new file with the same digest."""
    gone: dict[Digest, list[TrackedAsset]] = defaultdict(list)
    sizes: set[int] = set()
    for row in missing:
        last = digests.last(row.place) if row.place is not None else None
        if last is not None:
            gone[last.digest].append(row)
            sizes.add(last.stat.size)
    new: dict[Digest, list[AssetPath]] = defaultdict(list)
    for path, stat in untracked.items():
        # Read only files of a matching size.
        if stat.size in sizes and (checked := digests.hashed(path, stat)) is not None:
            new[checked.digest].append(path)
    for digest, rows in gone.items():
        if len(rows) == 1 and len(new[digest]) == 1:
            yield rows[0].id, new[digest][0]


def in_the_way(
    disk: Disk, names: NamePolicy, path: str, known: dict[str, FileStat | None]
) -> Iterator[tuple[str, FileStat]]:
    """Yield what exists at a path or at one of its folders, except folders above it.

    ``known`` are the stats of folders that were looked at before; others are added.
    """
    if names is NamePolicy.EXACT:
        yield from _exactly_in_the_way(disk, AssetPath(path), known)
        return
    folders = [""]
    parts = path.split("/")
    for depth, name in enumerate(parts, 1):
        alike = [entry for folder in folders for entry in _alike(disk, names, folder, name)]
        folders = []
        for existing, stat in alike:
            if stat.type is FileType.FOLDER and depth < len(parts):
                folders.append(existing)
            else:
                yield existing, stat


def _exactly_in_the_way(
    disk: Disk, path: AssetPath, known: dict[str, FileStat | None]
) -> Iterator[tuple[str, FileStat]]:
    for folder in path.folders:
        if folder not in known:
            known[folder] = disk.stat(folder)
        stat = known[folder]
        if stat is None:
            return
        if stat.type is not FileType.FOLDER:
            yield folder, stat
            return
    if (stat := disk.stat(path)) is not None:
        yield path, stat


def _alike(disk: Disk, names: NamePolicy, folder: str, name: str) -> Iterator[tuple[str, FileStat]]:
    """Yield the entries of a folder whose names are equal by the policy."""
    above = f"{folder}/" if folder else ""
    key = names.key(name)
    for other, stat in disk.scandir(folder):
        if names.key(other) == key:
            yield above + other, stat
