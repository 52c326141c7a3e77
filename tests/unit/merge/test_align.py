"""Which states on the three sides are the same asset (docs/semantics.md): paths decide."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.laws.merging import REFUSE, plan_of, result_of
from tests.unit.projects import id_of, project, state
from towline.conflicts import ConflictKind
from towline.model import AssetPath
from towline.options import Renames
from towline.plan import Disposition
from towline.testing.sides import ThreeSides, records_after

OFF = replace(REFUSE, renames=Renames.OFF)


def outcome(sides: ThreeSides) -> dict[str, str]:
    """The id of the asset at each path afterwards."""
    records = records_after(sides.records, plan_of(sides, options=REFUSE))
    return {str(r.ours.path): str(r.id) for r in records if r.ours is not None}


def kinds(sides: ThreeSides) -> list[ConflictKind]:
    return [conflict.kind for conflict in plan_of(sides, options=REFUSE).conflicts]


# --- rule 1: where ours and theirs agree -------------------------------------------------------


def test_where_both_agree_ids_have_no_say():
    swapped = project("a=1 b=2", "b=1 a=2", "b=1 a=2", moved={"a": "b", "b": "a"})
    plan = plan_of(swapped, options=REFUSE)
    assert not plan.conflicts
    assert result_of(swapped, plan) == {s.path: s for s in (state("a=2"), state("b=1"))}
    assert outcome(swapped) == {"a": id_of("b"), "b": id_of("a")}


def test_a_swap_of_two_names_here_is_not_undone():
    swapped = project("a=1 b=2 c=1", "b=1 a=2 c=1", "a=1 b=2 c=2", moved={"a": "b", "b": "a"})
    plan = plan_of(swapped, options=REFUSE)
    assert not plan.conflicts
    assert result_of(swapped, plan) == {
        s.path: s for s in (state("a=2"), state("b=1"), state("c=2"))
    }


def test_what_was_deleted_and_created_again_is_one_asset_there():
    remade = project("a=1", "a=2", "a=2")
    assert kinds(remade) == []


# --- rule 2: renames there ---------------------------------------------------------------------


def test_equal_contents_make_a_rename_there():
    sides = project("a=1", "a=1", "b=1")
    (item,) = plan_of(sides).items
    assert (item.disposition, item.renamed_from, item.path) == (Disposition.UPDATED, "a", "b")
    assert outcome(sides) == {"b": id_of("a")}


def test_a_rename_there_takes_the_local_edit_along():
    sides = project("a=1", "a=2", "b=1")
    assert list(result_of(sides, plan_of(sides)).values()) == [state("b=2")]


def test_a_rename_there_keeps_the_mode_that_was_set_with_it():
    sides = project("a=1", "a=2", "b=1x")
    assert list(result_of(sides, plan_of(sides)).values()) == [state("b=2x")]


@pytest.mark.parametrize("theirs", ["b=1 c=1", "c=1 d=1"])
def test_two_new_paths_of_one_content_are_ambiguous(theirs: str):
    sides = project("a=1", "a=1", theirs)
    assert id_of("a") not in outcome(sides).values()


def test_two_vanished_paths_of_one_content_are_ambiguous():
    sides = project("a=1 b=1", "a=1 b=1", "c=1")
    assert outcome(sides).keys() == {"c"}
    assert not {id_of("a"), id_of("b")} & set(outcome(sides).values())


def test_a_path_that_is_still_there_was_copied_not_renamed():
    assert outcome(project("a=1", "a=1", "a=1 b=1")) == {"a": id_of("a"), "b": id_of("b")}


def test_a_path_that_someone_else_took_has_not_vanished():
    sides = project("a=1 b=2", "a=1 b=2", "a=2")
    assert outcome(sides) == {"a": id_of("a")}
    assert kinds(sides) == []


def test_a_path_that_a_link_took_has_not_vanished():
    sides = project("a=1", "a=1", "a=@ b=1")
    assert outcome(sides) == {"a": id_of("a"), "b": id_of("b")}


def test_an_embedded_id_makes_a_rename_of_what_was_edited_too():
    sides = project("a=1#x", "a=1", "b=2#x")
    assert outcome(sides) == {"b": id_of("a")}


def test_an_embedded_id_goes_before_equal_contents():
    sides = project("a=1#x", "a=1", "b=2#x c=1")
    assert outcome(sides)["b"] == id_of("a")


def test_a_rename_onto_a_local_asset_is_none():
    sides = project("a=1", "a=1 b=2", "b=1")
    assert kinds(sides) == [ConflictKind.ADD_ADD]


def test_an_embedded_id_that_another_asset_has_pairs_nothing():
    sides = project("a=1#x b=1#x", "a=1 b=1", "b=1#x c=2#x")
    assert outcome(sides) == {"b": id_of("b"), "c": id_of("c")}


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


# --- rule 2: renames here ----------------------------------------------------------------------


def test_renamed_here_and_edited_there_merges():
    sides = project("a=1", "b=1", "a=2", moved={"a": "b"})
    assert list(result_of(sides, plan_of(sides)).values()) == [state("b=2")]
    assert outcome(sides) == {"b": id_of("a")}


def test_renamed_and_edited_here_clashes_with_an_edit_there():
    assert kinds(project("a=1", "b=2", "a=3", moved={"a": "b"})) == [ConflictKind.CONTENT]


def test_renamed_here_and_deleted_there_is_modify_delete():
    assert kinds(project("a=1", "b=1", "", moved={"a": "b"})) == [ConflictKind.MODIFY_DELETE]


def test_two_different_renames_clash():
    assert kinds(project("a=1", "b=1", "c=1", moved={"a": "b"})) == [ConflictKind.RENAME_RENAME]


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


# --- rule 3: path by path ----------------------------------------------------------------------


def test_with_renames_off_a_rename_is_a_deletion_and_an_addition():
    sides = project("a=1", "a=1", "b=1")
    plan = plan_of(sides, options=OFF)
    assert {(item.path, item.rule) for item in plan.items} == {("a", 2), ("b", 3)}


def test_with_renames_off_a_rename_here_is_one_too():
    sides = project("a=1", "b=1", "a=2", moved={"a": "b"})
    (conflict,) = plan_of(sides, options=OFF).conflicts
    assert (conflict.kind, conflict.path) == (ConflictKind.DELETE_MODIFY, "a")


# --- lagging -----------------------------------------------------------------------------------


def test_alignment_takes_the_recorded_revision_and_merging_the_old_base():
    skipped = project("a=1", "a=2", "b=3#x")
    record = replace(
        skipped.records[0],
        recorded=state("b=2"),
        embedded_id="x",
        base=state("a=1"),
        ours=state("a=1"),
    )
    base = project("b=2#x").base
    sides = replace(skipped, records=(record,), base=base)
    (item,) = plan_of(sides, options=REFUSE).items
    assert (item.rule, item.path, item.renamed_from) == (1, AssetPath("b"), "a")
    assert item.after == state("b=3")
