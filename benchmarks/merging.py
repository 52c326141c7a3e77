"""The pure merge beside libgit2's: 1% changed on each side, and a change that does not grow."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from fixtures.projects import large
from towline import (
    AssetId,
    AssetIndex,
    AssetPath,
    AssetRecord,
    AssetState,
    Change,
    Changes,
    Context,
    Digest,
    Kinds,
    Limits,
    PullOptions,
    Revision,
    merge,
)
from towline.changes import RemoteAsset
from towline.records import StoreState

from .bench import US, Bench, BenchCase, Work
from .processes import in_process

SECTION = "merge"
FIXED = 10
MOST_GROWTH = 1.5
PEER = "libgit2 (pygit2)"


@dataclass(frozen=True, slots=True)
class Share:
    """Which of a project's assets changed: some here, others there."""

    count: int
    changed: int

    @property
    def here(self) -> range:
        """Spread over the project."""
        return range(0, self.count, self.count // self.changed)[: self.changed]

    @property
    def there(self) -> range:
        """The neighbours of those."""
        return range(1, self.count, self.count // self.changed)[: self.changed]


def measure(bench: Bench) -> None:
    """All of this section."""
    for size in bench.scale.sizes:
        share = Share(size, max(1, size // 100))
        _compare(bench, "1% changed on each side", share)
    _grow(bench)


def _compare(bench: Bench, name: str, share: Share) -> None:
    contenders: dict[str, Work] = {US: in_process(our_merge(share))}
    with tempfile.TemporaryDirectory(prefix="towline-bench-") as folder:
        with suppress(ImportError):
            contenders[PEER] = in_process(_peer(share, folder))
        case = BenchCase(section=SECTION, name=name, size=share.count, baseline=PEER)
        bench.compare(case, contenders)


def _grow(bench: Bench) -> None:
    """The change held fixed while the project grows a hundredfold."""
    least, most = Share(1_000, FIXED), Share(100_000, FIXED)
    base, grown = f"{US}, {least.count:,} assets", f"{US}, {most.count:,} assets"
    case = BenchCase(
        section=SECTION,
        name=f"{FIXED} changed on each side",
        size=most.count,
        baseline=base,
        target=MOST_GROWTH,
    )
    works = {base: in_process(our_merge(least)), grown: in_process(our_merge(most))}
    bench.compare(case, works)


def our_merge(share: Share) -> Callable[[], object]:
    """The merge of these changes, ready to be called; the lookup of ours is made before."""
    base, theirs = Revision("b" * 40), Revision("7" * 40)
    ours = AssetIndex(_record(n, edited=n in share.here) for n in range(share.count))
    changes = Changes(
        base=base,
        revision=theirs,
        items=tuple(
            Change(path=AssetPath(large.path(n)), before=_remote(n, 0), after=_remote(n, 1))
            for n in share.there
        ),
    )
    options = PullOptions(limits=Limits(assets=share.count))
    kinds = Kinds()
    state = StoreState(base=base, fingerprint=kinds.fingerprint, tracked=share.count)

    def call() -> object:
        # New kinds each time: they remember what they were asked, and a pull asks only once.
        context = Context(project="benchmark", state=state, kinds=Kinds())
        return merge(changes, ours, context=context, options=options)

    return call


def _record(number: int, *, edited: bool) -> AssetRecord:
    base = _state(number, 0)
    ours = _state(number, 2) if edited else base
    return AssetRecord(
        id=AssetId(f"{number:024x}"), kind="file", base=base, ours=ours, recorded=base, size=1
    )


def _remote(number: int, version: int) -> RemoteAsset:
    return RemoteAsset(state=_state(number, version), size=1)


def _state(number: int, version: int) -> AssetState:
    digest = Digest(f"{number:039x}{version}")
    return AssetState(path=AssetPath(large.path(number)), digest=digest)


def _peer(share: Share, folder: str) -> Callable[[], object]:
    """libgit2's merge of three trees, renames off, in this process."""
    import pygit2

    repository = pygit2.init_repository(folder, bare=True)
    blobs = [repository.create_blob(b"version %d" % version) for version in range(3)]

    def tree(version: int, changed: range) -> pygit2.Oid:
        versions = dict.fromkeys(changed, version)
        index = pygit2.Index()
        for n in range(share.count):
            blob = blobs[versions.get(n, 0)]
            index.add(pygit2.IndexEntry(large.path(n), blob, pygit2.enums.FileMode.BLOB))
        return index.write_tree(repository)

    base, ours, theirs = tree(0, range(0)), tree(2, share.here), tree(1, share.there)
    renames_off = pygit2.enums.MergeFlag(0)
    return lambda: repository.merge_trees(base, ours, theirs, flags=renames_off)
