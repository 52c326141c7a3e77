"""Compares two trees, skipping equal subtrees; a listing is a comparison with the empty tree.

Reads the trees of changed folders and their parents, once on each side, and the small blobs that
may be LFS pointers. Limits apply to each side; all that are exceeded are in one error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import TypeAlias

from towline.changes import Change, RemoteAsset, RemoteEntry
from towline.errors import BrokenLimit, InvalidTree, LimitExceeded
from towline.limits import limits_exceeded
from towline.model import AssetPath
from towline.ports import Phase, Watch
from towline.remotes.objects import PREFETCHED_BYTES
from towline.remotes.tree_filter import LFS_MAX_BYTES, EntryPath, TreeFilter
from towline.remotes.trees import EMPTY, ParsedTree, TreeEntry, entry_of, parse_tree, shown

_ENTRY_OVERHEAD = 28
"""Bytes of mode, separators and object id beside a name."""


_FOLDERS = 128
"""Folders that are compared at once."""
_File: TypeAlias = tuple[TreeEntry | None, TreeEntry | None, EntryPath]
"""The entries of a file on both sides, and its path."""


class _Side(IntEnum):
    BEFORE = 0
    AFTER = 1


def tree_changes(
    before: str | None, after: str | None, scope: str, tree_filter: TreeFilter, watch: Watch
) -> tuple[Change, ...]:
    """Return the changes in the scope between two root trees (None: empty), sorted by path.

    Raises:
        InvalidTree: with every problem of all the trees visited.
        LimitExceeded: every exceeded limit on entries, depth and assets' sizes; of a listing
            also those on the whole project.
        ObjectMissing: the cache lacks an object of the trees.
    """
    walk = _Comparison(tree_filter, watch, scope)
    try:
        walk.compare(*walk.scoped(before, after))
    except LimitExceeded as error:
        walk.note(error)
    if walk.broken:
        raise limits_exceeded([*walk.broken.values(), *walk.broken_totals(whole=before is None)])
    if walk.problems:
        raise InvalidTree(problems=tuple(walk.problems))
    return tuple(sorted(walk.changes, key=lambda change: change.path))


def tree_listing(
    tree: str, scope: str, tree_filter: TreeFilter, watch: Watch
) -> dict[AssetPath, RemoteEntry]:
    """Return every entry in the scope, sorted by path. Raises as `tree_changes`."""
    found = tree_changes(None, tree, scope, tree_filter, watch)
    return {change.path: change.after for change in found if change.after is not None}


@dataclass
class _Comparison:
    tree_filter: TreeFilter
    watch: Watch
    scope: str
    changes: list[Change] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    files: list[int] = field(default_factory=lambda: [0, 0])
    folders: list[int] = field(default_factory=lambda: [0, 0])
    broken: dict[str, BrokenLimit] = field(default_factory=dict)
    """The exceeded limits by name, without those on the whole project."""
    too_large: list[int] = field(default_factory=list)
    """The sizes of assets that exceed the limit."""

    def note(self, error: LimitExceeded) -> None:
        """Record an exceeded limit, with the largest value found."""
        for each in error.broken:
            known = self.broken.get(each.limit, replace(each, count=0))
            most = max(known, each, key=lambda one: one.found)
            self.broken[each.limit] = replace(most, count=known.count + each.count)

    def broken_totals(self, *, whole: bool) -> Iterator[BrokenLimit]:
        """Yield the exceeded limits on the whole project, if it was listed."""
        if not whole or "tree_entries" in self.broken:
            return
        assets = [change.after for change in self.changes if isinstance(change.after, RemoteAsset)]
        sizes = [asset.size for asset in assets] + self.too_large
        limits = self.tree_filter.limits
        for limit, found in (("assets", len(sizes)), ("project_bytes", sum(sizes))):
            if found > (allowed := getattr(limits, limit)):
                yield BrokenLimit(limit=limit, allowed=allowed, found=found)

    def scoped(self, before: str | None, after: str | None) -> tuple[str | None, str | None]:
        """Return the trees of the scope on both sides; stops where they are equal."""
        folder = ""
        for name in filter(None, self.scope.split("/")):
            if before == after:
                break
            before = self._subfolder(before, name, folder, _Side.BEFORE)
            after = self._subfolder(after, name, folder, _Side.AFTER)
            folder = f"{folder}/{name}" if folder else name
        return before, after

    def _subfolder(self, tree: str | None, name: str, folder: str, side: _Side) -> str | None:
        for entry in self._read(tree, folder, side).entries:
            if entry.is_tree and entry.name == name.encode():
                return entry.oid
        return None

    def compare(self, before: str | None, after: str | None) -> None:
        """Collect the changes between two trees, with a stack: the depth is configurable."""
        todo = [(before, after, EntryPath(path=""))]
        while todo:
            folders = [each for each in todo[-_FOLDERS:] if each[0] != each[1]]
            del todo[-_FOLDERS:]
            reader = self.tree_filter.reader
            trees = [oid for old, new, _ in folders for oid in (old, new) if oid]
            reader.prefetch(trees, PREFETCHED_BYTES)
            files: list[_File] = []
            for old, new, at in folders:
                todo.extend(self._folder(old, new, at, files))
            reader.prefetch(self._blobs((each[0], each[2]) for each in files), 0)
            reader.prefetch(self._blobs((each[1], each[2]) for each in files), LFS_MAX_BYTES)
            for each in files:
                self._file(*each)

    def _blobs(self, files: Iterable[tuple[TreeEntry | None, EntryPath]]) -> list[str]:
        """Return the objects of files that may be assets, each once."""
        tree_filter = self.tree_filter
        return list(
            dict.fromkeys(
                entry.oid
                for entry, at in files
                if entry is not None and tree_filter.by_name(entry, at) is None
            )
        )

    def _folder(
        self, before: str | None, after: str | None, at: EntryPath, files: list[_File]
    ) -> Iterator[tuple[str | None, str | None, EntryPath]]:
        folder = "/".join(filter(None, (self.scope, at.path)))
        old = self._read(before, folder, _Side.BEFORE)
        new = self._read(after, folder, _Side.AFTER)
        self._count(_Side.BEFORE, old, folder)
        self._count(_Side.AFTER, new, folder)
        self.watch.report(Phase.COMPARING, sum(self.files) + sum(self.folders))
        for text, one, other in _differing(old, new):
            name = (other or one).name  # type: ignore[union-attr] # one side exists
            child = at.child(text, name, self.tree_filter.limits)
            if child.depth > self.tree_filter.limits.depth:
                self.note(self.tree_filter.limits.exceeded("depth", child.depth, child.path))
                continue
            trees = tuple(e.oid if e is not None and e.is_tree else None for e in (one, other))
            if any(trees):
                yield trees[0], trees[1], child
            if (file := (_not_tree(one), _not_tree(other), child))[:2] != (None, None):
                files.append(file)

    def _file(self, before: TreeEntry | None, after: TreeEntry | None, at: EntryPath) -> None:
        try:
            change = Change(
                path=AssetPath(at.path),
                before=self.tree_filter.before(before, at) if before is not None else None,
                after=self.tree_filter.after(after, at) if after is not None else None,
            )
        except InvalidTree as error:
            self.problems.extend(error.problems)
        except LimitExceeded as error:
            self.note(error)
            self.too_large.append(error.found)
        else:
            self.changes.append(change)

    def _read(self, oid: str | None, folder: str, side: _Side) -> ParsedTree:
        if oid is None:
            return EMPTY
        kind, size = self.tree_filter.reader.header(oid)
        if kind != "tree":
            self.problems.append(f"{folder!r} is a folder, but its object is a {kind}")
            return EMPTY
        limits = self.tree_filter.limits
        # Checked before unpacking: no valid tree within the limits is larger.
        visited = self.files[side] + self.folders[side]
        if (least := visited + size // (_ENTRY_OVERHEAD + limits.name_bytes)) > (
            2 * limits.tree_entries
        ):
            raise self.tree_filter.limits.exceeded("tree_entries", least, folder)
        self.tree_filter.traffic.trees_read += 1
        tree = parse_tree(self.tree_filter.reader.read(oid)[1])
        about = f"in {folder!r}: " if folder else ""
        self.problems.extend(about + problem for problem in tree.problems)
        return tree

    def _count(self, side: _Side, tree: ParsedTree, folder: str) -> None:
        """Count the files and the folders of a folder, each against the limit."""
        folders = tree.folders
        self.folders[side] += folders
        self.files[side] += len(tree.raw) - folders
        most = max(self.files[side], self.folders[side])
        if most > self.tree_filter.limits.tree_entries:
            raise self.tree_filter.limits.exceeded("tree_entries", most, folder)


def _not_tree(entry: TreeEntry | None) -> TreeEntry | None:
    return None if entry is None or entry.is_tree else entry


def _differing(
    before: ParsedTree, after: ParsedTree
) -> Iterator[tuple[str, TreeEntry | None, TreeEntry | None]]:
    """Yield the entries that differ: the name as shown, and the entry on each side."""
    common = set(before.raw) & set(after.raw)
    old, new = (
        {raw[1]: entry_of(raw) for raw in tree.raw if raw not in common} for tree in (before, after)
    )
    differing = sorted(old.keys() | new.keys())
    texts = _shown_names(differing, (raw[1] for tree in (before, after) for raw in tree.raw))
    for name in differing:
        yield texts[name], old.get(name), new.get(name)


def _shown_names(wanted: Sequence[bytes], all_names: Iterable[bytes]) -> dict[bytes, str]:
    """Return names as shown: one that is not UTF-8 differs from all others in its folder."""
    if all(shown(name).encode() == name for name in wanted):
        return {name: shown(name) for name in wanted}
    names = sorted(set(all_names))
    texts = {name: shown(name) for name in names if shown(name).encode() == name}
    taken = set(texts.values())
    for name in names:
        if name not in texts:
            text = shown(name)
            while text in taken:
                text += "\ufffd"
            taken.add(text)
            texts[name] = text
    return texts
