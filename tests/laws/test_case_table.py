"""Sparse equals brute force: the merge against the case table over whole trees."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.laws.budget import EXAMPLES, TOTAL, law
from tests.laws.merging import alignments, attempt, listed, result_of
from tests.laws.reference import Expected, reference
from towline.errors import TowlineError
from towline.options import OnConflict, PullOptions, Renames, Resolutions
from towline.plan import Plan
from towline.testing.choices import pull_options, resolved_sides
from towline.testing.sides import ThreeSides, records_after
from towline.testing.strategies import ALL_FEATURES, Feature, three_sides

BY_PATH = ALL_FEATURES - {Feature.LOCAL_MOVES, Feature.REMOTE_MOVES}


def test_the_budget_is_spent():
    assert sum(EXAMPLES.values()) == TOTAL


@law("the case table")
@given(resolved_sides(three_sides(BY_PATH)), st.sampled_from(OnConflict))
def test_the_merge_is_the_case_table_path_by_path(
    project: tuple[ThreeSides, Resolutions], on_conflict: OnConflict
):
    sides, chosen = project
    options = PullOptions(on_conflict=on_conflict, allow_empty=True, renames=Renames.OFF)
    expected = reference(sides, chosen, on_conflict)
    found = attempt(sides, chosen, options)
    if isinstance(found, TowlineError):
        assert found.code in expected.errors, found
    else:
        assert not expected.errors
        _compare(sides, found, expected)


def _compare(sides: ThreeSides, plan: Plan, expected: Expected) -> None:
    conflicts = {
        (conflict.kind, frozenset(party.path for party in conflict.parties))
        for conflict in plan.conflicts
    }
    assert conflicts == expected.conflicts
    assert plan.refused == expected.refused
    assert result_of(sides, plan) == expected.result
    if plan.refused:
        return
    assert {item.path: (item.disposition, item.rule) for item in listed(plan)} == expected.lists
    after = {
        record.base.path: record.base
        for record in records_after(sides.records, plan)
        if record.base is not None
    }
    assert after == {path: base for path, base in expected.bases.items() if base is not None}


@law("sparse equals full")
@given(resolved_sides(three_sides()), pull_options())
def test_a_comparison_that_skips_nothing_gives_the_same(
    project: tuple[ThreeSides, Resolutions], options: PullOptions
):
    sides, chosen = project
    sparse = attempt(sides, chosen, options)
    full = attempt(sides, chosen, options, changes=sides.all_changes())
    if isinstance(sparse, TowlineError) or isinstance(full, TowlineError):
        assert isinstance(sparse, TowlineError)
        assert isinstance(full, TowlineError)
        assert (sparse.code, sparse.data()) == (full.code, full.data())
        return
    assert listed(sparse) == listed(full)
    assert sparse.conflicts == full.conflicts
    assert sparse.refused == full.refused
    assert sparse.after == full.after
    assert _known(sides, sparse) == _known(sides, full)


def _known(sides: ThreeSides, plan: Plan) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """The state of each id, and what is tracked at each path.

    A merge that looks at an asset deleted here and created again under another id joins the two
    records; with renames off, one that looks at a moved asset separates them. That may differ.
    """
    records = sides.records if plan.refused else records_after(sides.records, plan)
    local_tree = {record.id: record.ours for record in records if record.ours is not None}
    tracked = {path: (record.base, record.recorded) for path, record in alignments(records).items()}
    return local_tree, tracked
