"""What a caller chooses."""

from __future__ import annotations

from typing import Any

import pytest

from towline.errors import ConflictingResolutions, InvalidValue
from towline.limits import Limits
from towline.model import AssetId
from towline.options import OnConflict, PullOptions, Renames, Resolutions, Selection, Side


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
    assert PullOptions().on_conflict is OnConflict.REFUSE
    assert PullOptions().renames is Renames.SIMILAR
    assert PullOptions().only.is_all


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


def test_a_policy_may_be_given_as_its_text():
    options = PullOptions(on_conflict="skip", renames="off")  # type: ignore[arg-type]
    assert options == PullOptions(on_conflict=OnConflict.SKIP, renames=Renames.OFF)
    assert options.on_conflict is OnConflict.SKIP


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (PullOptions, "on_conflict", "perhaps"),
        (PullOptions, "on_conflict", None),
        (PullOptions, "renames", "likely"),
        (PullOptions, "comparison", True),
        (PullOptions, "resolutions", {"use_ours": ["a"]}),
        (PullOptions, "only", "a"),
        (PullOptions, "limits", None),
        (PullOptions, "allow_empty", "no"),
        (PullOptions, "content_merge", "join"),
        (Resolutions, "use_theirs", "abc"),
        (Resolutions, "use_ours", [1]),
        (Resolutions, "naming", "paths"),
        (Selection, "kinds", "rule"),
        (Selection, "globs", "a/**"),
        (Selection, "ids", [""]),
        (Selection, "ids", None),
    ],
)
def test_an_option_that_is_none_is_refused_by_its_name(kind: type, field: str, value: object):
    with pytest.raises(InvalidValue) as caught:
        kind(**{field: value})
    assert caught.value.field == field


@pytest.mark.parametrize("value", [0, -1, "5", 1.5, True, None])
def test_a_limit_is_a_whole_number(value: Any):
    with pytest.raises(InvalidValue, match="limit assets"):
        Limits(assets=value)
