"""What a merge promises beside the case table: options, names, selections, limits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.laws.merging import plan_of, result_of
from tests.unit.projects import id_of, project, state, tree
from towline.changes import Changes, Coverage
from towline.errors import (
    AssetLimitExceeded,
    ConflictingResolutions,
    EmptyRemote,
    InvalidTree,
    LimitExceeded,
    UnknownAssets,
    UnselectedResolutions,
)
from towline.limits import Limits
from towline.merge.merge import merge
from towline.model import AssetPath, Digest, NonAsset, NonAssetReason, ThreeWay
from towline.names import NamePolicy
from towline.options import Naming, OnConflict, PullOptions, Resolutions, Selection
from towline.plan import Disposition, IgnoredReason, Item, Plan
from towline.testing.sides import THEIRS, ThreeSides, records_after

USE_OURS = Resolutions(use_ours=frozenset([id_of("a")]))
USE_THEIRS = Resolutions(use_theirs=frozenset([id_of("a")]))
D = Disposition


def the_item(plan: Plan) -> Item:
    (item,) = plan.items
    return item


# --- policies ----------------------------------------------------------------------------------

CLASH = project("a=1 b=1", "a=2 b=1", "a=3 b=2")


@pytest.mark.parametrize(
    ("on_conflict", "a", "b", "refused"),
    [
        (OnConflict.REFUSE, "a=2", "b=1", True),
        (OnConflict.SKIP, "a=2", "b=2", False),
        (OnConflict.THEIRS, "a=3", "b=2", False),
        (OnConflict.OURS, "a=2", "b=2", False),
    ],
)
def test_what_becomes_of_what_is_left_over(on_conflict: OnConflict, a: str, b: str, refused: bool):
    plan = plan_of(CLASH, options=PullOptions(on_conflict=on_conflict))
    assert plan.refused is refused
    assert list(result_of(CLASH, plan).values()) == [state(a), state(b)]
    if refused:
        assert plan.edits == ()


# --- naming ------------------------------------------------------------------------------------


def by_path(*, theirs: str = "", ours: str = "") -> Resolutions:
    return Resolutions(
        use_theirs=frozenset(theirs.split()),
        use_ours=frozenset(ours.split()),
        naming=Naming.IDS_OR_PATHS,
    )


def test_a_path_names_the_asset_there_in_ours_before_that_in_theirs():
    swapped = project("a=1 b=2", "b=1 a=2", "a=3 b=4", moved={"a": "b", "b": "a"})
    plan = plan_of(swapped, by_path(theirs="a"))
    assert {item.path: item.asset_id for item in plan.items} == {"a": id_of("b"), "b": id_of("a")}
    assert result_of(swapped, plan)[AssetPath("a")] == state("a=3")


def test_a_path_that_only_theirs_has_names_its_asset():
    sides = project("a=1", "a=1", "b=1")
    assert the_item(plan_of(sides, by_path(ours="b"))).disposition is D.IGNORED


def test_an_id_and_a_path_of_one_asset_on_both_sides():
    with pytest.raises(ConflictingResolutions):
        plan_of(CLASH, by_path(theirs="a", ours=id_of("a")))


@pytest.mark.parametrize(
    "resolutions",
    [
        Resolutions(use_theirs=frozenset(["unknown"])),
        Resolutions(use_ours=frozenset(["a"])),
        Resolutions(use_ours=frozenset([id_of("a").upper()])),
        by_path(ours="A"),
        by_path(ours="no/such/path"),
        by_path(ours="../a"),
    ],
)
def test_an_unknown_name_is_an_error(resolutions: Resolutions):
    with pytest.raises(UnknownAssets):
        plan_of(CLASH, resolutions)


def test_an_unchanged_asset_can_be_named():
    sides = project("a=1", "a=1", "a=1")
    item = the_item(plan_of(sides, USE_THEIRS))
    assert (item.rule, item.disposition) == (0, D.UNTOUCHED)


def test_a_planned_id_can_be_named_before_it_is_written():
    sides = project("", "", "a=1")
    assert the_item(plan_of(sides, USE_OURS)).disposition is D.IGNORED


# --- selection ---------------------------------------------------------------------------------


def test_what_is_not_selected_stays_and_is_offered_again():
    sides = project("a=1 b=1", "a=1 b=1", "a=2 b=2 c=1")
    only = PullOptions(only=Selection(globs=("b",)))
    plan = plan_of(sides, options=only)
    assert [item.path for item in plan.items if item.disposition is D.UPDATED] == ["b"]
    later = replace(sides, records=records_after(sides.records, plan), base=sides.theirs)
    again = plan_of(later)
    assert {(item.path, item.disposition) for item in again.items} == {
        ("a", D.UPDATED),
        ("c", D.CREATED),
    }
    assert result_of(later, again) == result_of(sides, plan_of(sides))


def test_a_conflict_that_is_not_selected_refuses_nothing():
    plan = plan_of(CLASH, options=PullOptions(only=Selection(globs=("b",))))
    assert not plan.refused
    assert plan.conflicts == ()


def test_resolving_what_is_not_selected_is_an_error():
    with pytest.raises(UnselectedResolutions) as caught:
        plan_of(CLASH, USE_OURS, PullOptions(only=Selection(globs=("b",))))
    assert caught.value.asset_ids == (id_of("a"),)


def test_selecting_an_unknown_id_is_an_error():
    with pytest.raises(UnknownAssets):
        plan_of(CLASH, options=PullOptions(only=Selection(ids=frozenset([id_of("unknown")]))))


# --- limits ------------------------------------------------------------------------------------


def many(count: int) -> str:
    return " ".join(f"asset-{number}=1" for number in range(count))


@pytest.mark.parametrize(("count", "passes"), [(1_000, True), (1_001, False)])
def test_the_limit_counts_what_is_tracked_after_the_pull(count: int, passes: bool):
    sides = project("", "", many(count))
    if passes:
        assert plan_of(sides).after.tracked == count
        return
    with pytest.raises(AssetLimitExceeded) as caught:
        plan_of(sides)
    assert (caught.value.allowed, caught.value.found) == (1_000, 1_001)


def test_local_only_assets_do_not_count():
    sides = project("", "mine=1 own=1", "a=1")
    assert plan_of(sides, options=PullOptions(limits=Limits(assets=1))).after.tracked == 1


def test_a_pull_with_nothing_to_do_passes_above_the_limit():
    sides = project("a=1 b=1", "a=1 b=1", "a=1 b=1")
    one = PullOptions(limits=Limits(assets=1))
    assert plan_of(sides, options=one).items == ()
    with pytest.raises(AssetLimitExceeded):
        plan_of(
            replace(sides, theirs=tree("a=2 b=1")), options=PullOptions(limits=Limits(assets=1))
        )


def test_the_size_of_the_project_is_bounded():
    with pytest.raises(LimitExceeded) as caught:
        plan_of(project("", "", "a=1 b=1"), options=PullOptions(limits=Limits(project_bytes=1)))
    assert caught.value.limit == "project_bytes"


def test_all_broken_limits_of_the_project_are_in_one_error():
    sides = project("a=1 b=1", "a=1 b=1", "c=2 d=3 e=4")
    limits = Limits(assets=2, project_bytes=1, deletes=1)
    with pytest.raises(AssetLimitExceeded) as caught:
        plan_of(sides, options=PullOptions(limits=limits))
    assert [each.limit for each in caught.value.broken] == ["assets", "project_bytes", "deletes"]
    assert "3 is above the limit assets of 2; " in caught.value.message
    assert "raise the limits assets, project_bytes, deletes" in caught.value.message
    assert [each["limit"] for each in caught.value.data()["others"]] == ["project_bytes", "deletes"]


def test_deletions_can_be_bounded():
    sides = project("a=1 b=1 c=1", "a=1 b=1 c=1", "c=1")
    assert len(plan_of(sides, options=PullOptions(limits=Limits(deletes=2))).items) == 2
    with pytest.raises(LimitExceeded) as caught:
        plan_of(sides, options=PullOptions(limits=Limits(deletes=1)))
    assert (caught.value.limit, caught.value.found) == ("deletes", 2)


def test_a_remote_without_any_asset_is_refused():
    sides = project("a=1", "a=1", "")
    with pytest.raises(EmptyRemote) as caught:
        plan_of(sides, options=PullOptions())
    assert (caught.value.tracked, caught.value.revision) == (1, THEIRS)
    assert the_item(plan_of(sides, options=PullOptions(allow_empty=True))).disposition is D.DELETED


def test_an_empty_remote_is_fine_where_nothing_was_tracked():
    assert plan_of(project("", "mine=1", ""), options=PullOptions()).items == ()


# --- the rest ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("base", "noted"), [("", "a"), ("a=1#x", "b")])
def test_an_embedded_id_that_two_assets_have_is_noted_once(base: str, noted: str):
    plan = plan_of(project(base, base.partition("#")[0], "a=1#x b=2#x"))
    (note,) = plan.notes
    assert (note.path, note.asset_id) == (noted, id_of(noted))
    assert f"its id 'x' is in {'b' if noted == 'a' else 'a'} too" in note.text


def test_notes_are_about_what_is_selected():
    options = PullOptions(only=Selection(globs=("c",)))
    assert plan_of(project("", "", "a=1#x b=2#x c=1"), options=options).notes == ()


def test_names_that_the_store_cannot_hold_are_all_listed():
    sides = project("", "", "nul=1 a:b=1 fine=1", names=NamePolicy.PORTABLE)
    with pytest.raises(InvalidTree) as caught:
        plan_of(sides)
    assert [problem.partition(": ")[0] for problem in caught.value.problems] == ["a:b", "nul"]


def changes(sides: ThreeSides, coverage: Coverage) -> Changes:
    return replace(sides.changes(), coverage=coverage)


def test_what_leaves_the_scope_is_released_and_not_deleted():
    sides = project("a=1 b=1", "a=2 b=1", "b=2")
    plan = plan_of(sides, changes=changes(sides, Coverage.RESCOPED))
    assert sorted(result_of(sides, plan)) == ["a", "b"]
    (a, b) = sorted(records_after(sides.records, plan), key=lambda record: str(record.ours))
    assert [record.base for record in (a, b)].count(None) == 1
    assert plan.after.tracked == 1


def test_what_leaves_the_kinds_is_released_and_reported():
    sides = project("a=1 b=1", "a=1 b=1", "b=1")
    outside = NonAsset(path=AssetPath("a"), reason=NonAssetReason.OUTSIDE_KINDS)
    sides = replace(sides, theirs={**sides.theirs, AssetPath("a"): outside})
    plan = plan_of(sides)
    item = the_item(plan)
    assert (item.disposition, item.reason) == (D.IGNORED, IgnoredReason.NOT_AN_ASSET)
    released = {record.id: record for record in records_after(sides.records, plan)}[id_of("a")]
    assert released.local_only
    assert released.ours == state("a=1")


def test_an_untracked_link_in_the_repository_is_reported_once():
    sides = project("", "", "a=@")
    item = the_item(plan_of(sides))
    assert (item.asset_id, item.reason) == (None, IgnoredReason.SYMLINK)
    later = replace(sides, base=sides.theirs)
    assert plan_of(later).items == ()


def test_an_asset_that_became_a_link_lags_until_it_is_one_again():
    sides = project("a=1", "a=1", "a=@")
    records = records_after(sides.records, plan_of(sides))
    back = replace(sides, records=records, base=sides.theirs, theirs=tree("a=2"))
    assert the_item(plan_of(back)).disposition is D.UPDATED
    gone = replace(back, theirs={})
    assert the_item(plan_of(gone)).disposition is D.DELETED


MERGED = b"both"


def test_a_content_merge_settles_what_clashes_in_content_alone():
    asked: list[object] = []

    def content_merge(path: AssetPath, sides: ThreeWay[bytes]) -> bytes | None:
        asked.append((path, sides))
        return MERGED

    sides = project("a=1 b=1", "a=2 b=2", "a=3 b=3x")
    plan = merge(
        sides.changes(),
        sides.ours(),
        context=sides.context(),
        options=PullOptions(content_merge=content_merge),
        read=str.encode,
    )
    assert not plan.refused
    assert [(item.disposition, item.merged) for item in plan.items] == [(D.UPDATED, True)] * 2
    merged = Digest.of(MERGED)
    assert [s.digest for s in result_of(sides, plan).values()] == [merged] * 2
    assert result_of(sides, plan)[AssetPath("b")].executable
    assert plan.merged == ((merged, MERGED),)
    assert len(asked) == 2


@pytest.mark.parametrize(("merged", "content"), [(None, b"known"), (MERGED, None)])
def test_what_a_content_merge_cannot_settle_stays_in_conflict(
    merged: bytes | None, content: bytes | None
):
    plan = merge(
        CLASH.changes(),
        CLASH.ours(),
        context=CLASH.context(),
        options=PullOptions(content_merge=lambda *_: merged),
        read=lambda _: content,
    )
    assert plan.refused


def test_a_content_merge_is_not_asked_where_a_side_was_chosen():
    def content_merge(path: AssetPath, sides: ThreeWay[bytes]) -> bytes | None:
        raise AssertionError("not asked")

    plan = merge(
        CLASH.changes(),
        CLASH.ours(),
        context=CLASH.context(),
        options=PullOptions(resolutions=USE_OURS, content_merge=content_merge),
        read=str.encode,
    )
    assert plan.merged == ()


def test_a_rewritten_history_is_reported():
    rewritten = replace(CLASH.changes(), history_rewritten=True)
    assert plan_of(CLASH, changes=rewritten).history_rewritten is True
