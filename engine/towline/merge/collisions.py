"""Path collisions (rule 13): which outcomes exclude each other, and their parties.

Two paths cannot exist together when the store's name policy holds them equal, or when one would be
a folder of the other. Nothing here knows of sides or policies: it compares claims.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

from towline.frozen import frozen
from towline.model import AssetPath
from towline.names import NamePolicy


@frozen
class PathClaim:
    """A path that an asset would have; ``owner`` is the anchor of that asset.

    ``fresh`` is false for one that is there already: two of those exist side by side, however alike
    their names are, and do not clash.
    """

    owner: AssetPath
    path: AssetPath
    fresh: bool


def clashing(
    claims: Sequence[PathClaim], names: NamePolicy
) -> Iterator[tuple[PathClaim, PathClaim]]:
    """Yield every pair of claims, of different owners, that cannot both be granted."""
    by_key: dict[str, list[PathClaim]] = {}
    for claim in claims:
        by_key.setdefault(names.key(claim.path), []).append(claim)
    for key, equal in by_key.items():
        yield from filter(_contend, combinations(equal, 2))
        for folder in _folders(key):
            for above in by_key.get(folder, ()):
                yield from filter(_contend, ((above, claim) for claim in equal))


def _contend(pair: tuple[PathClaim, PathClaim]) -> bool:
    one, other = pair
    return one.owner != other.owner and (one.fresh or other.fresh)


def _folders(key: str) -> Iterator[str]:
    position = key.find("/")
    while position >= 0:
        yield key[:position]
        position = key.find("/", position + 1)


def exclude_each_other(one: AssetPath, other: AssetPath, names: NamePolicy) -> bool:
    """Whether two paths cannot exist together."""
    first, second = names.key(one), names.key(other)
    return first == second or first.startswith(f"{second}/") or second.startswith(f"{first}/")


def groups(pairs: Iterable[tuple[AssetPath, AssetPath]]) -> list[tuple[AssetPath, ...]]:
    """Return the owners that clash, transitively: connected groups, each and all sorted."""
    leader: dict[AssetPath, AssetPath] = {}

    def find(owner: AssetPath) -> AssetPath:
        while (above := leader.setdefault(owner, owner)) != owner:
            leader[owner] = owner = leader[above]
        return owner

    for one, other in pairs:
        first, second = sorted((find(one), find(other)))
        leader[second] = first
    members: dict[AssetPath, list[AssetPath]] = {}
    for owner in sorted(leader):
        members.setdefault(find(owner), []).append(owner)
    return [tuple(group) for _, group in sorted(members.items())]
