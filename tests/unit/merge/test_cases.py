"""Rule 13, outcomes that cannot coexist: beside the cases of `fixtures/scenarios`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.laws.merging import REFUSE, plan_of, result_of
from tests.unit.projects import id_of, project, state
from towline.names import NamePolicy
from towline.options import OnConflict, PullOptions, Resolutions
from towline.testing.sides import ThreeSides

FOLDS = NamePolicy.FOLDS_CASE
THEIRS, OURS = PullOptions(on_conflict=OnConflict.THEIRS), PullOptions(on_conflict=OnConflict.OURS)


# --- an edit here, a folder there --------------------------------------------------------------

EDITED = project("a=1", "a=2", "a/x=3")
A, X = id_of("a"), id_of("a/x")


def chosen(*, theirs: str = "", ours: str = "") -> Resolutions:
    return Resolutions(use_theirs=frozenset(theirs.split()), use_ours=frozenset(ours.split()))


@pytest.mark.parametrize("resolutions", [chosen(ours=A), chosen(theirs=X)])
def test_a_pin_that_leaves_the_other_open_settles_nothing(resolutions: Resolutions):
    (conflict,) = plan_of(EDITED, resolutions, REFUSE).conflicts
    assert {party.asset_id for party in conflict.parties} == {A, X}


def test_a_policy_settles_all_its_parties_alike():
    assert list(result_of(EDITED, plan_of(EDITED, options=THEIRS)).values()) == [state("a/x=3")]
    assert list(result_of(EDITED, plan_of(EDITED, options=OURS)).values()) == [state("a=2")]


# --- what is no collision ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "sides",
    [
        project("a=1", "a=1", "a/x=2"),
        project("a/x=1 a/y=1", "a/x=1 a/y=1", "a=2"),
        project("a=1", "a=1", "A=2", names=FOLDS),
        project("a=1", "a=1", "A=1", names=FOLDS),
        project("a=1 b=2", "a=1 b=2", "a=2 b=1"),
        project("", "a=1", "A=1"),
        project("", "a/x=1", "a/y=1"),
        project("", "ab=1", "a/b=1 a.b=2"),
    ],
    ids=str,
)
def test_what_makes_way_leaves_room(sides: ThreeSides):
    assert plan_of(sides, options=REFUSE).conflicts == ()


def test_names_that_are_twins_already_are_left_alone():
    twins = project("A=1 a=1", "A=1 a=1", "A=2 a=2")
    # The store's policy was changed under them; nothing arrives that was not there.
    plan = plan_of(replace(twins, names=FOLDS), options=REFUSE)
    assert plan.conflicts == ()
