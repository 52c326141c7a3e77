"""Pairs of a vanished and a new path whose contents are similar, where nothing else pairs them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from towline.model import AssetPath, Digest

MAX_CANDIDATES = 400
"""How many vanished and new paths are compared: more pairs than its square are not, as in git."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A path that vanished or is new, and what its asset is."""

    path: AssetPath
    digest: Digest
    size: int
    """Bytes."""
    embedded_id: str | None = None


def are_too_many(gone: Sequence[Candidate], new: Sequence[Candidate]) -> bool:
    """Whether there are more pairs than are compared."""
    return len(gone) * len(new) > MAX_CANDIDATES**2


def similar_pairs(
    gone: Sequence[Candidate], new: Sequence[Candidate], read: Callable[[Digest], bytes | None]
) -> dict[AssetPath, AssetPath]:
    """Return the vanished paths with the new path of each, where neither is similar to another.

    Contents are read only where sizes leave it open, each once. Two embedded ids that differ are
    two assets, whatever their contents.
    """
    if not (gone and new):
        return {}
    from towline.content.similarity import MINIMUM_SCORE, can_be_similar, similarity, span_counts

    counts: dict[Digest, dict[int, int]] = {}

    def spans(digest: Digest) -> dict[int, int]:
        if digest not in counts:
            counts[digest] = span_counts(read(digest) or b"")
        return counts[digest]

    pairs = [
        (old.path, asset.path)
        for old in gone
        for asset in new
        if can_be_similar(old.size, asset.size)
        and not (old.embedded_id and asset.embedded_id)
        and similarity(spans(old.digest), spans(asset.digest), max(old.size, asset.size))
        >= MINIMUM_SCORE
    ]
    old_count = Counter(old for old, _ in pairs)
    new_count = Counter(path for _, path in pairs)
    return {old: path for old, path in pairs if old_count[old] == 1 and new_count[path] == 1}
