"""Which states on the three sides are the same asset, beside the cases of `fixtures/scenarios`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.laws.merging import REFUSE, plan_of, result_of
from tests.unit.projects import id_of, project, state
from towline.conflicts import ConflictKind
from towline.options import Renames
from towline.testing.sides import ThreeSides, records_after

OFF = replace(REFUSE, renames=Renames.OFF)


def outcome(sides: ThreeSides) -> dict[str, str]:
    """The id of the asset at each path afterwards."""
    records = records_after(sides.records, plan_of(sides, options=REFUSE))
    return {str(r.ours.path): str(r.id) for r in records if r.ours is not None}


def kinds(sides: ThreeSides) -> list[ConflictKind]:
    return [conflict.kind for conflict in plan_of(sides, options=REFUSE).conflicts]


def test_what_was_deleted_and_created_again_is_one_asset_there():
    remade = project("a=1", "a=2", "a=2")
    assert kinds(remade) == []


# --- renames there -----------------------------------------------------------------------------


@pytest.mark.parametrize("theirs", ["b=1 c=1", "c=1 d=1"])
def test_two_new_paths_of_one_content_are_ambiguous(theirs: str):
    sides = project("a=1", "a=1", theirs)
    assert id_of("a") not in outcome(sides).values()


def test_a_path_that_a_link_took_has_not_vanished():
    sides = project("a=1", "a=1", "a=@ b=1")
    assert outcome(sides) == {"a": id_of("a"), "b": id_of("b")}


@pytest.mark.parametrize(
    ("theirs", "ids"),
    [
        ("a=2#y b=1#x c=3#z", "bac"),
        ("a=3#z b=1#x c=2#y", "cab"),
        ("b=1#x c=2#y d=3#z", ".abc"),
        ("a=9#n b=1#x c=3#z", "abc"),
        ("a=2#y b=9#n c=3#z", "abc"),
        ("a=@ b=1#x c=2#y", "abc"),
        ("a=2#y b=1 c=3#z", "abc"),
        ("a=2#y b=1#x c=3#y", "abc"),
    ],
)
def test_assets_that_trade_paths_there_are_found_by_their_ids(theirs: str, ids: str):
    sides = project("a=1#x b=2#y c=3#z", "a=1 b=2 c=3", theirs)
    assert outcome(sides) == {
        at: id_of(old) for at, old in zip("abcd", ids, strict=False) if old != "."
    }
    assert kinds(sides) == []
    plan = plan_of(sides, options=OFF)
    assert all(item.renamed_from is None for item in plan.items)


@pytest.mark.parametrize(
    "ours",
    ["a=1 n=2", "b=2", "a=1 b=1", "a=2 b=2", "a=1 b=2 d=5"],
    ids=["moved", "gone", "agrees", "agrees too", "in the way"],
)
def test_paths_decide_where_ours_moved_one_of_the_traded_too(ours: str):
    theirs = "b=1#x d=2#y" if "d" in ours else "a=2#y b=1#x"
    sides = project("a=1#x b=2#y", ours, theirs, moved={"b": "n"} if "n" in ours else {})
    items = plan_of(sides, options=REFUSE).items
    assert not [item for item in items if item.renamed_from]


# --- renames here ----------------------------------------------------------------------


def test_renamed_here_onto_what_is_new_there_is_no_rename():
    sides = project("a=1", "b=1", "a=1 b=2", moved={"a": "b"})
    assert kinds(sides) == [ConflictKind.ADD_ADD]


def test_renamed_here_over_another_asset_is_no_rename():
    sides = project("a=1 b=2", "b=1", "a=1 b=3", moved={"a": "b"})
    (conflict,) = plan_of(sides, options=REFUSE).conflicts
    assert (conflict.kind, conflict.path) == (ConflictKind.CONTENT, "b")


def test_assets_that_trade_paths_here_take_their_edits_there():
    moved = {"a": "b", "b": "a"}
    sides = project("a=1#x b=2#y", "b=1 a=2", "a=3#x b=2#y", moved=moved)
    assert result_of(sides, plan_of(sides)) == {s.path: s for s in (state("a=2"), state("b=3"))}
    assert outcome(sides) == {"a": id_of("b"), "b": id_of("a")}


@pytest.mark.parametrize("theirs", ["a=3 b=2#y", "a=3#y b=2#x", "a=3#x"])
def test_paths_decide_where_ids_there_do_not_say_that_the_traded_are_in_place(theirs: str):
    moved = {"a": "b", "b": "a"}
    sides = project("a=1#x b=2#y", "b=1 a=2", theirs, moved=moved)
    assert kinds(sides)


def test_with_renames_off_a_rename_here_is_one_too():
    sides = project("a=1", "b=1", "a=2", moved={"a": "b"})
    (conflict,) = plan_of(sides, options=OFF).conflicts
    assert (conflict.kind, conflict.path) == (ConflictKind.DELETE_MODIFY, "a")
