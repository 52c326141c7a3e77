"""Pairs of a vanished and a new path that are one asset: by embedded id, equal, similar content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from towline.merge.similar import Candidate, similar_pairs
from towline.model import AssetPath
from towline.options import Renames
from towline.records import ReadContent


def pair_renames(
    gone: Sequence[Candidate],
    new: Sequence[Candidate],
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
    for mark in (_embedded_id, _digest):
        pairs |= _unambiguous(*_unpaired(gone, new, pairs), mark)
    if mode is not Renames.SIMILAR or read is None:
        return pairs, True
    similar = similar_pairs(*_unpaired(gone, new, pairs), read)
    return pairs | (similar or {}), similar is not None


def _embedded_id(asset: Candidate) -> str | None:
    return asset.embedded_id


def _digest(asset: Candidate) -> str:
    return asset.digest


def _unpaired(
    gone: Sequence[Candidate], new: Sequence[Candidate], pairs: dict[AssetPath, AssetPath]
) -> tuple[list[Candidate], list[Candidate]]:
    taken = set(pairs.values())
    return (
        [asset for asset in gone if asset.path not in pairs],
        [asset for asset in new if asset.path not in taken],
    )


def _unambiguous(
    gone: Sequence[Candidate], new: Sequence[Candidate], mark_of: Callable[[Candidate], str | None]
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
