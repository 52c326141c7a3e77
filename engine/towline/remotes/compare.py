"""Compares two trees, skipping equal subtrees unread; a listing is a comparison with nothing.

Reads at most the trees of touched folders and of their parents, once on either side, and no
content but what tells an LFS pointer from an asset. Limits count each side by itself, and all
that are broken are raised together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import IntEnum

from towline.changes import Change, RemoteAsset, RemoteEntry
from towline.errors import BrokenLimit, InvalidTree, LimitExceeded, limits_exceeded
from towline.model import AssetPath
from towline.ports import Phase, Watch
from towline.remotes.entries import Classifier, Place
from towline.remotes.trees import EMPTY, ParsedTree, TreeEntry, parse_tree, shown

_ENTRY_OVERHEAD = 28
"""Bytes of mode, separators and object id beside a name."""


class _Side(IntEnum):
    BEFORE = 0
    AFTER = 1


def tree_changes(
    before: str | None, after: str | None, scope: str, classifier: Classifier, watch: Watch
) -> tuple[Change, ...]:
    """What changed below the scope between two root trees (None: empty), sorted by path.

    Raises:
        InvalidTree: with every problem of all the trees visited.
        LimitExceeded: entries, depth, or an asset's size; every one that is broken. A listing
            adds the bounds on the project that are broken, too.
        ObjectMissing: the cache does not hold what the trees name.
    """
    walk = _Walk(classifier, watch, scope)
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
    tree: str, scope: str, classifier: Classifier, watch: Watch
) -> dict[AssetPath, RemoteEntry]:
    """Every entry below the scope, by path and in that order. Raises as `tree_changes`."""
    found = tree_changes(None, tree, scope, classifier, watch)
    return {change.path: change.after for change in found if change.after is not None}


@dataclass
class _Walk:
    classifier: Classifier
    watch: Watch
    scope: str
    changes: list[Change] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    files: list[int] = field(default_factory=lambda: [0, 0])
    folders: list[int] = field(default_factory=lambda: [0, 0])
    broken: dict[str, BrokenLimit] = field(default_factory=dict)
    """The broken limits but for those on the whole project, by name."""
    too_large: list[int] = field(default_factory=list)
    """The sizes of assets that are above the limit."""

    def note(self, error: LimitExceeded) -> None:
        """Remember a broken limit, with the most that was found of it."""
        for each in error.broken:
            known = self.broken.get(each.limit, replace(each, count=0))
            most = max(known, each, key=lambda one: one.found)
            self.broken[each.limit] = replace(most, count=known.count + each.count)

    def broken_totals(self, *, whole: bool) -> Iterator[BrokenLimit]:
        """The broken limits on all assets together, where the whole project was listed."""
        if not whole or "tree_entries" in self.broken:
            return
        assets = [change.after for change in self.changes if isinstance(change.after, RemoteAsset)]
        sizes = [asset.size for asset in assets] + self.too_large
        limits = self.classifier.limits
        for limit, found in (("assets", len(sizes)), ("project_bytes", sum(sizes))):
            if found > (allowed := getattr(limits, limit)):
                yield BrokenLimit(limit=limit, allowed=allowed, found=found)

    def scoped(self, before: str | None, after: str | None) -> tuple[str | None, str | None]:
        """The scope's own trees on both sides, told apart as soon as they are equal."""
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
        """Collect the changes between two trees; a stack, since the depth is a setting."""
        todo = [(before, after, Place(path=""))]
        while todo:
            old, new, place = todo.pop()
            if old != new:
                todo.extend(self._folder(old, new, place))

    def _folder(
        self, before: str | None, after: str | None, place: Place
    ) -> Iterator[tuple[str | None, str | None, Place]]:
        folder = "/".join(filter(None, (self.scope, place.path)))
        old = self._read(before, folder, _Side.BEFORE)
        new = self._read(after, folder, _Side.AFTER)
        self._count(_Side.BEFORE, old, folder)
        self._count(_Side.AFTER, new, folder)
        self.watch.report(Phase.COMPARING, sum(self.files) + sum(self.folders))
        for text, one, other in _differing(old, new):
            name = (other or one).name  # type: ignore[union-attr] # one side is there
            below = place.below(text, name, self.classifier.limits)
            if below.depth > self.classifier.limits.depth:
                self.note(self._exceeded("depth", below.depth, below.path))
                continue
            trees = tuple(e.oid if e is not None and e.is_tree else None for e in (one, other))
            if any(trees):
                yield trees[0], trees[1], below
            self._file(_not_tree(one), _not_tree(other), below)

    def _file(self, before: TreeEntry | None, after: TreeEntry | None, place: Place) -> None:
        if before is None and after is None:
            return
        try:
            change = Change(
                path=AssetPath(place.path),
                before=self.classifier.before(before, place) if before is not None else None,
                after=self.classifier.after(after, place) if after is not None else None,
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
        kind, size = self.classifier.reader.header(oid)
        if kind != "tree":
            self.problems.append(f"{folder!r} is a folder made of a {kind} object")
            return EMPTY
        limits = self.classifier.limits
        # A tree is bounded before it is unpacked: no honest one within the limits is larger.
        visited = self.files[side] + self.folders[side]
        if (least := visited + size // (_ENTRY_OVERHEAD + limits.name_bytes)) > (
            2 * limits.tree_entries
        ):
            raise self._exceeded("tree_entries", least, folder)
        self.classifier.traffic.trees_read += 1
        tree = parse_tree(self.classifier.reader.read(oid)[1])
        about = f"in {folder!r}: " if folder else ""
        self.problems.extend(about + problem for problem in tree.problems)
        return tree

    def _count(self, side: _Side, tree: ParsedTree, folder: str) -> None:
        """Count a folder's entries: files by themselves, and folders by themselves."""
        folders = sum(entry.is_tree for entry in tree.entries)
        self.folders[side] += folders
        self.files[side] += len(tree.entries) - folders
        most = max(self.files[side], self.folders[side])
        if most > self.classifier.limits.tree_entries:
            raise self._exceeded("tree_entries", most, folder)

    def _exceeded(self, limit: str, found: int, subject: str) -> LimitExceeded:
        allowed = getattr(self.classifier.limits, limit)
        return LimitExceeded(limit=limit, allowed=allowed, found=found, subject=subject)


def _not_tree(entry: TreeEntry | None) -> TreeEntry | None:
    return None if entry is None or entry.is_tree else entry


def _differing(
    before: ParsedTree, after: ParsedTree
) -> Iterator[tuple[str, TreeEntry | None, TreeEntry | None]]:
    """The names whose entries differ: shown, and on either side."""
    old = {entry.name: entry for entry in before.entries}
    new = {entry.name: entry for entry in after.entries}
    differing = [name for name in old.keys() | new.keys() if old.get(name) != new.get(name)]
    texts = _shown_names(differing, old.keys() | new.keys())
    for name in sorted(differing):
        yield texts[name], old.get(name), new.get(name)


def _shown_names(wanted: Iterable[bytes], all_names: Iterable[bytes]) -> dict[bytes, str]:
    """How names are shown: one that is not UTF-8 never looks like another of its folder."""
    texts: dict[bytes, str] = {}
    broken = []
    for name in wanted:
        text = shown(name)
        texts[name] = text
        if "\ufffd" in text and text.encode() != name:
            broken.append(name)
    if broken:
        everyone = sorted(all_names)
        taken = {shown(name) for name in everyone if shown(name).encode() == name}
        for name in everyone:
            if shown(name).encode() != name:
                text = shown(name)
                while text in taken:
                    text += "\ufffd"
                taken.add(text)
                texts[name] = text
    return texts
