"""What a merge promises beside `fixtures/scenarios`: names, limits, notes and contents."""

from __future__ import annotations

import pytest

from tests.laws.merging import plan_of, result_of
from tests.unit.projects import id_of, project, state
from towline.errors import AssetLimitExceeded, UnknownAssets
from towline.limits import Limits
from towline.merge.merge import merge
from towline.model import AssetPath, Digest, ThreeWay
from towline.options import Naming, PullOptions, Resolutions, Selection
from towline.plan import Disposition

USE_OURS = Resolutions(use_ours=frozenset([id_of("a")]))
D = Disposition


CLASH = project("a=1 b=1", "a=2 b=1", "a=3 b=2")


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


def test_all_broken_limits_of_the_project_are_in_one_error():
    sides = project("a=1 b=1", "a=1 b=1", "c=2 d=3 e=4")
    limits = Limits(assets=2, project_bytes=1, deletes=1)
    with pytest.raises(AssetLimitExceeded) as caught:
        plan_of(sides, options=PullOptions(limits=limits))
    assert [each.limit for each in caught.value.broken] == ["assets", "project_bytes", "deletes"]
    assert "3 exceeds the limit assets of 2; " in caught.value.message
    assert "raise the limits assets, project_bytes, deletes" in caught.value.message
    assert [each["limit"] for each in caught.value.data()["others"]] == ["project_bytes", "deletes"]


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
