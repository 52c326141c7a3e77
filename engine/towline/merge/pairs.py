"""Pairs of a vanished and a new path that are one asset: by embedded id, equal, similar content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product

from towline.frozen import frozen
from towline.model import AssetPath, Digest
from towline.options import Renames
from towline.records import ReadContent

MAX_CANDIDATES = 400
"""How many vanished and new paths are compared: more pairs than its square are not, as in git."""
MAX_WORK = 50_000_000
"""Bytes that are read, and counts of lines that are compared, in all: some seconds."""


@frozen
class RenameCandidate:
    """A path that vanished or is new, and what its asset is."""

    path: AssetPath
    digest: Digest
    size: int
    """Bytes."""
    embedded_id: str | None = None


def pair_renames(
    gone: Sequence[RenameCandidate],
    new: Sequence[RenameCandidate],
    mode: Renames,
    read: ReadContent | None,
) -> tuple[dict[AssetPath, AssetPath], bool]:
    """Return the vanished paths with the new path of each, and whether all were compared.

    Nothing that is ambiguous is paired. Similarity is left out without ``read``, which returns
    contents, and where it takes too much to compare them.
    """
    if mode is Renames.OFF:
        return {}, True
    pairs: dict[AssetPath, AssetPath] = {}
    for mark in (lambda asset: asset.embedded_id, lambda asset: asset.digest):
        pairs |= _equal_pairs(*_unpaired(gone, new, pairs), mark)
    if mode is not Renames.SIMILAR or read is None:
        return pairs, True
    similar = _similar_pairs(*_unpaired(gone, new, pairs), read)
    return pairs | (similar or {}), similar is not None


def _unpaired(
    gone: Sequence[RenameCandidate],
    new: Sequence[RenameCandidate],
    pairs: dict[AssetPath, AssetPath],
) -> tuple[list[RenameCandidate], list[RenameCandidate]]:
    taken = set(pairs.values())
    return (
        [asset for asset in gone if asset.path not in pairs],
        [asset for asset in new if asset.path not in taken],
    )


def _equal_pairs(
    gone: Sequence[RenameCandidate],
    new: Sequence[RenameCandidate],
    mark_of: Callable[[RenameCandidate], str | None],
) -> dict[AssetPath, AssetPath]:
    """Return pairs of one gone and one new path under a mark that occurs once on each side."""
    gone_count = Counter(map(mark_of, gone))
    new_count = Counter(map(mark_of, new))
    by_mark = {mark_of(asset): asset.path for asset in new}
    return {
        asset.path: by_mark[mark]
        for asset in gone
        if (mark := mark_of(asset)) is not None and gone_count[mark] == 1 and new_count[mark] == 1
    }


# --- similar contents --------------------------------------------------------------------------


def _similar_pairs(
    gone: Sequence[RenameCandidate], new: Sequence[RenameCandidate], read: ReadContent
) -> dict[AssetPath, AssetPath] | None:
    """Return the vanished paths with the new path of each, where neither is similar to another.

    Contents are read only where sizes leave it open, each once. Two embedded ids that differ are
    two assets, whatever their contents. None where it takes too much to compare them.
    """
    if len(gone) * len(new) > MAX_CANDIDATES**2:
        return None
    open_pairs = list(_open_pairs(gone, new))
    if not open_pairs:
        return {}
    from towline.content.similarity import MINIMUM_SCORE, SpanIndex, score, span_counts

    sizes = {each.digest: each.size for pair in open_pairs for each in pair}
    work = sum(sizes.values())
    if work > MAX_WORK:
        return None
    counts = {digest: span_counts(read(digest) or b"") for digest in sizes}
    targets = dict.fromkeys(asset.digest for _, asset in open_pairs)
    index = SpanIndex(counts[digest] for digest in targets)
    copied: dict[Digest, dict[Digest, int]] = {}
    for source in dict.fromkeys(old.digest for old, _ in open_pairs):
        work += index.work(counts[source])
        if work > MAX_WORK:
            return None
        copied[source] = dict(zip(targets, index.copied(counts[source]), strict=True))
    return _unambiguous(
        (old.path, asset.path)
        for old, asset in open_pairs
        if score(copied[old.digest][asset.digest], max(old.size, asset.size)) >= MINIMUM_SCORE
    )


def _open_pairs(
    gone: Sequence[RenameCandidate], new: Sequence[RenameCandidate]
) -> Iterator[tuple[RenameCandidate, RenameCandidate]]:
    """Yield the pairs that neither embedded ids nor sizes keep apart."""
    from towline.content.similarity import can_be_similar

    for old, asset in product(gone, new):
        if not (old.embedded_id and asset.embedded_id) and can_be_similar(old.size, asset.size):
            yield old, asset


def _unambiguous(pairs: Iterable[tuple[AssetPath, AssetPath]]) -> dict[AssetPath, AssetPath]:
    found = list(pairs)
    old_count = Counter(old for old, _ in found)
    new_count = Counter(path for _, path in found)
    return {old: path for old, path in found if old_count[old] == 1 and new_count[path] == 1}
