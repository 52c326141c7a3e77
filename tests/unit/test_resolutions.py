"""What a caller chooses."""

from __future__ import annotations

import pytest

from towline.errors import ConflictingResolutions
from towline.model import AssetId
from towline.resolutions import OnConflict, Policy, Renames, Resolutions, Selection, Side


def test_one_asset_cannot_go_both_ways():
    with pytest.raises(ConflictingResolutions) as caught:
        Resolutions(use_theirs=frozenset("abc"), use_ours=frozenset("bcd"))
    assert caught.value.asset_ids == ("b", "c")


def test_any_collection_of_names_will_do():
    resolutions = Resolutions(use_theirs=["b"], use_ours=("a", "c"))  # type: ignore[arg-type]
    assert resolutions.named() == (("a", Side.OURS), ("b", Side.THEIRS), ("c", Side.OURS))


def test_names_are_case_sensitive():
    assert Resolutions(use_theirs=frozenset("a"), use_ours=frozenset("A")).named()


def test_nothing_is_chosen_by_default():
    assert Resolutions().named() == ()
    assert Policy().on_conflict is OnConflict.REFUSE
    assert Policy().renames is Renames.EXACT
    assert Policy().only.is_all


ID, NONE = AssetId("id"), AssetId("none")


@pytest.mark.parametrize(
    ("selection", "asset_id", "kinds", "paths", "taken"),
    [
        (Selection(), NONE, [], [], True),
        (Selection(ids=frozenset([ID])), ID, [], [], True),
        (Selection(ids=frozenset([ID])), NONE, ["rule"], ["a"], False),
        (Selection(kinds=frozenset(["rule"])), NONE, ["file", "rule"], [], True),
        (Selection(kinds=frozenset(["rule"])), NONE, ["file"], ["rule"], False),
        (Selection(globs=("x/**",)), NONE, [], ["a", "x/y"], True),
        (Selection(globs=("x/**",)), NONE, [], ["a", "y/x"], False),
        (Selection(kinds=frozenset(["rule"]), globs=("x/**",)), NONE, [], ["x/y"], True),
    ],
)
def test_a_selection_takes_what_one_of_its_names_covers(
    selection: Selection, asset_id: AssetId, kinds: list[str], paths: list[str], taken: bool
):
    assert selection.takes(asset_id, frozenset(kinds), frozenset(paths)) is taken
