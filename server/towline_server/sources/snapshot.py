"""One snapshot of a source, as a commit of the cache: a bare repository, as fetches fill it.

What was read is written first, then the list of versions, then the ref: a process that ends in
between leaves a repository in which nothing new is named.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Self

from dulwich.index import commit_tree
from dulwich.object_store import DiskObjectStore, MemoryObjectStore
from dulwich.objects import Blob, Commit, ObjectID, ShaFile

from towline.errors import InvalidTree
from towline.frozen import frozen
from towline.model import Revision
from towline.names import path_problem
from towline.ports import Phase
from towline.remotes.cache import Cache
from towline.remotes.fetcher import FetchRequest

from .ports import Source, SourceFile

BRANCH = "refs/heads/main"
"""The one ref of a source."""
_FILE = 0o100644
_AT_ONCE = 64
_LISTED = "listed.json"
_LOOSE = 100
"""Below so many objects none is put into a pack, as git's ``fetch.unpackLimit`` has it."""


def snapshot(source: Source, cache: Cache, settings: str, request: FetchRequest) -> Revision:
    """Commit what a source has now, unless the last commit has the same; return the commit.

    ``settings`` is what the content depends on beside the source; where it changed, every file is
    read. The caller holds the lock of the cache.

    Raises:
        InvalidTree: names are refused by git or by towline, or are used twice; all are listed.
        LimitExceeded: there are too many files, or they are too large.
        RemoteError: as the source raises it.
    """
    for left in (cache.path / "objects").glob("??/*.lock"):
        left.unlink()  # by a process that was killed
    tip = cache.tip_name(request.url.address, BRANCH)
    last = cache.tip(tip)
    with closing(_store(cache)) as store:
        before = _commit(store, last)
    if before is None and last is not None:
        cache.discard()  # it is damaged, and filled again
    with closing(_store(cache)) as store:
        listed = _ListedFiles.load(cache.path, settings)
        reading = _Reading(source, store, listed, request)
        tree = reading.tree()
        if before is None or before.tree != tree:
            before = _made(source.name, tree, before, len(reading.files))
            reading.new.append(before)
        _write(store, reading.new)
        revision = Revision(before.id.decode())
        listed.save(cache.path, reading.versions)
        if not before.parents and not cache.shallow:
            # What was here before this server's first snapshot is not known: not that it was none.
            (cache.path / "shallow").write_text(f"{revision}\n")
        cache.set_tip(tip, revision)
    return revision


def _store(cache: Cache) -> DiskObjectStore:
    return DiskObjectStore(str(cache.path / "objects"))


def _commit(store: DiskObjectStore, revision: Revision | None) -> Commit | None:
    """Return the last commit, or None where the cache does not have it whole (any more)."""
    if revision is None:
        return None
    with suppress(KeyError):
        found = store[ObjectID(revision.encode())]
        if isinstance(found, Commit) and found.tree in store:
            return found
    return None


def _made(name: str, tree: ObjectID, before: Commit | None, files: int) -> Commit:
    made = Commit()
    made.tree = tree
    made.parents = [] if before is None else [before.id]
    printable = "".join(each for each in name if each.isprintable() and each not in "<>")
    made.author = made.committer = f"{printable} <>".encode()
    made.author_time = made.commit_time = int(time.time())
    made.author_timezone = made.commit_timezone = 0
    made.message = f"Snapshot of {files} files\n".encode()
    return made


def _write(store: DiskObjectStore, objects: Sequence[ShaFile]) -> None:
    new = [each for each in objects if each.id not in store]
    if len(new) < _LOOSE:
        for each in new:
            store.add_object(each)
    else:
        store.add_objects([(each, None) for each in new])


@frozen(kw_only=True)
class _ListedFiles:
    """What was listed last: the version of each file, and its blob.

    A file in the cache. One that is damaged, or of other settings, lists nothing.
    """

    settings: str
    files: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @classmethod
    def load(cls, cache: Path, settings: str) -> Self:
        """Return what was listed with these settings."""
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            found = json.loads((cache / _LISTED).read_bytes())
            if found["settings"] == settings:
                files = {
                    path: (str(version), str(blob))
                    for path, (version, blob) in found["files"].items()
                }
                return cls(settings=settings, files=files)
        return cls(settings=settings)

    def save(self, cache: Path, files: Mapping[str, tuple[str, str]]) -> None:
        """Store what is listed now, unless it is the same."""
        if files == self.files and (cache / _LISTED).exists():
            return
        draft = cache / f".{_LISTED}"
        draft.write_text(json.dumps({"settings": self.settings, "files": files}))
        draft.replace(cache / _LISTED)


@dataclass
class _Reading:
    """Lists a source, and reads what its list shows to be new."""

    source: Source
    store: DiskObjectStore
    listed: _ListedFiles
    request: FetchRequest
    files: dict[str, ObjectID] = field(default_factory=dict)
    """The blob of each path."""
    versions: dict[str, tuple[str, str]] = field(default_factory=dict)
    """The version of each path, and its blob."""
    new: list[ShaFile] = field(default_factory=list)
    """What the repository may not have."""
    _size: int = 0

    def tree(self) -> ObjectID:
        """Return the tree of the source's files."""
        unread = [entry for entry in self._entries() if not self._is_known(entry)]
        for entry in unread:
            if entry.content is not None:
                self._add(entry, entry.content)
        for some in _batches(entry for entry in unread if entry.content is None):
            for entry, content in self.source.read(some):
                self._add(entry, content)
        trees = MemoryObjectStore()
        files = ((path.encode(), blob, _FILE) for path, blob in self.files.items())
        root = commit_tree(trees, files)
        self.new += [trees[each] for each in trees]
        return root

    def _entries(self) -> list[SourceFile]:
        limits, found = self.request.limits, dict[str, SourceFile]()
        problems = list[str]()
        for entry in self.source.entries():
            self.request.check()
            if problem := _problem(entry.path, found):
                problems.append(f"{entry.path!r} {problem}")
                continue
            found[entry.path] = entry
            if len(found) > limits.tree_entries:
                raise limits.exceeded("tree_entries", len(found), "files of the source")
            if (depth := entry.path.count("/") + 1) > limits.depth:
                raise limits.exceeded("depth", depth, entry.path)
            self._check_size(entry, entry.size)
        folders = {folder for path in found for folder in _folders(path)}
        problems += [f"{path!r} is a file and a folder" for path in found if path in folders]
        if problems:
            raise InvalidTree(problems=tuple(problems))
        return list(found.values())

    def _is_known(self, entry: SourceFile) -> bool:
        version, blob = self.listed.files.get(entry.path, ("", ""))
        if not entry.version or version != entry.version:
            return False
        oid = ObjectID(blob.encode())
        if oid not in self.store:
            return False
        self.files[entry.path], self.versions[entry.path] = oid, (version, blob)
        return True

    def _add(self, entry: SourceFile, content: bytes) -> None:
        self.request.check()
        self._check_size(entry, len(content))
        self._size += len(content)
        limits = self.request.limits
        if self._size > limits.pack_bytes:
            raise limits.exceeded("pack_bytes", self._size, "what changed at the source")
        self.request.watch.report(Phase.FETCHING, self._size)
        blob = Blob.from_string(content)
        self.files[entry.path] = blob.id
        if entry.version:
            self.versions[entry.path] = entry.version, blob.id.decode()
        self.new.append(blob)

    def _check_size(self, entry: SourceFile, size: int) -> None:
        limits = self.request.limits
        if size > limits.asset_bytes:
            raise limits.exceeded("asset_bytes", size, entry.path)


def _problem(path: str, found: Iterable[str]) -> str | None:
    if path in found:
        return "is listed twice"
    return path_problem(path)


def _folders(path: str) -> Iterator[str]:
    at = path.rfind("/")
    while at > 0:
        yield path[:at]
        at = path.rfind("/", 0, at)


def _batches(entries: Iterator[SourceFile]) -> Iterator[list[SourceFile]]:
    while some := list(islice(entries, _AT_ONCE)):
        yield some
