"""The pure merge: CPU for 1% changed on each side, and growth while the change is held fixed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
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
from towline.plan import StoreState

from .measures import Measure, Scale, beside, best_cpu

SECTION = "merge"
TARGET_MS = 2.0
MOST_GROWTH = 1.5
FIXED = 10
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


def measures(scale: Scale) -> Iterator[Measure]:
    """All of this section."""
    smallest = scale.merge_sizes[0]
    one_percent = Share(smallest, smallest // 100)
    yield from beside(PEER, _side_by_side("1% changed on each side", one_percent, scale))
    fixed = [Share(size, min(FIXED, smallest // 100)) for size in scale.merge_sizes]
    for share in fixed[1:]:
        case = f"{share.changed} changed on each side"
        yield from beside(PEER, _side_by_side(case, share, scale))
    yield from _growth(fixed, scale)


def _growth(shares: list[Share], scale: Scale) -> Iterator[Measure]:
    """The change held fixed. Each alone: a peer in between would empty the processor's caches."""
    first = _alone(shares[0], scale)
    for share in shares[1:]:
        yield Measure(
            section=SECTION,
            case=f"growth from {shares[0].count:,} assets, the change fixed",
            size=share.count,
            who="towline",
            value=_alone(share, scale) / first,
            unit="times",
            target=scale.target(MOST_GROWTH),
        )


def _alone(share: Share, scale: Scale) -> float:
    return best_cpu({"towline": our_merge(share)}, rounds=scale.repeat * 30)["towline"]


def _side_by_side(case: str, share: Share, scale: Scale) -> Iterator[Measure]:
    contenders = {"towline": our_merge(share)}
    with tempfile.TemporaryDirectory(prefix="towline-bench-") as folder:
        with suppress(ImportError):
            contenders[PEER] = _peer(share, folder)
        found = best_cpu(contenders, rounds=scale.repeat * 10)
    for who, seconds in found.items():
        judged = who == "towline" and share.count == 1_000
        yield Measure(
            section=SECTION,
            case=case,
            size=share.count,
            who=who,
            value=seconds * 1000,
            unit="ms CPU",
            target=scale.target(TARGET_MS) if judged else None,
        )


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
