"""Pairs of a vanished and a new path whose contents are similar, where nothing else pairs them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import product

from towline.frozen import frozen
from towline.model import AssetPath, Digest
from towline.records import ReadContent

MAX_CANDIDATES = 400
"""How many vanished and new paths are compared: more pairs than its square are not, as in git."""
MAX_WORK = 50_000_000
"""Bytes that are read, and counts of lines that are compared, in all: some seconds."""


@frozen
class Candidate:
    """A path that vanished or is new, and what its asset is."""

    path: AssetPath
    digest: Digest
    size: int
    """Bytes."""
    embedded_id: str | None = None


def similar_pairs(
    gone: Sequence[Candidate], new: Sequence[Candidate], read: ReadContent
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
    gone: Sequence[Candidate], new: Sequence[Candidate]
) -> Iterator[tuple[Candidate, Candidate]]:
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
