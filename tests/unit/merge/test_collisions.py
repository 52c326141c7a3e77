"""Claims that cannot all be granted, and who hangs together through them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.merge.collisions import PathClaim, clashing, exclude_each_other, groups
from towline.model import AssetPath
from towline.names import NamePolicy
from towline.testing.strategies import PATHS, name_policies


def claims(text: str) -> list[PathClaim]:
    """``path``, or ``+path`` where it would be new."""
    return [
        PathClaim(
            owner=AssetPath(f"owner-{number}"),
            path=AssetPath(word.removeprefix("+")),
            fresh=word.startswith("+"),
        )
        for number, word in enumerate(text.split())
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("+a +b", 0),
        ("+a a", 1),
        ("+a +a +a", 3),
        ("a a/x", 0),
        ("+a a/x a/y", 2),
        ("a +a/x/y", 1),
        ("+a +a/x +a/x/y", 3),
        ("+a ab a.x", 0),
    ],
)
def test_clashes(text: str, found: int):
    assert len(list(clashing(claims(text), NamePolicy.EXACT))) == found


def test_an_asset_does_not_clash_with_itself():
    one, other = claims("+a +a/x")
    assert not list(
        clashing([one, PathClaim(owner=one.owner, path=other.path, fresh=True)], NamePolicy.EXACT)
    )


@given(st.lists(st.sampled_from(PATHS), unique=True), name_policies())
def test_clashes_are_all_pairs_that_exclude_each_other(paths: list[AssetPath], names: NamePolicy):
    owned = [PathClaim(owner=path, path=path, fresh=True) for path in paths]
    found = {frozenset((one.path, other.path)) for one, other in clashing(owned, names)}
    assert found == {
        frozenset((one, other))
        for one in paths
        for other in paths
        if one < other and exclude_each_other(one, other, names)
    }


def test_groups_hang_together_transitively():
    a, b, c, d, e = (AssetPath(name) for name in "abcde")
    assert groups([(a, b), (d, e), (c, b)]) == [(a, b, c), (d, e)]
    assert groups([]) == []
