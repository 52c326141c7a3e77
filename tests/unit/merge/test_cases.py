"""Rule 13: outcomes that cannot coexist."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from tests.laws.merging import REFUSE, SKIP, plan_of, result_of
from tests.unit.projects import id_of, project, state
from towline.conflicts import ConflictKind
from towline.names import NamePolicy
from towline.options import OnConflict, PullOptions, Resolutions
from towline.testing.sides import ThreeSides

FOLDS = NamePolicy.FOLDS_CASE
THEIRS, OURS = PullOptions(on_conflict=OnConflict.THEIRS), PullOptions(on_conflict=OnConflict.OURS)


@dataclass(frozen=True, slots=True)
class Collision:
    """A project in which some outcomes cannot coexist."""

    name: str
    sides: ThreeSides
    parties: str
    blockers: str = ""

    def __str__(self) -> str:
        return self.name


COLLISIONS = [
    Collision(
        "a file there, a folder here",
        project("", "a/x=1", "a=2"),
        "a a/x",
        "a/x",
    ),
    Collision("a folder there, a file here", project("", "a=1", "a/x=2"), "a a/x", "a"),
    Collision(
        "an edit here, a folder there",
        project("a=1", "a=2", "a/x=3"),
        "a a/x",
    ),
    Collision(
        "twins in case",
        project("", "a=1", "A=1", names=FOLDS),
        "A a",
        "a",
    ),
    Collision(
        "twins in case, both there",
        project("", "", "A=1 a=2", names=FOLDS),
        "A a",
    ),
    Collision(
        "twins in normal form",
        project("", "\u00e9=1", "e\u0301=1", names=NamePolicy.NORMALISES),
        "e\u0301 \u00e9",
        "\u00e9",
    ),
    Collision(
        "folders that are twins of files",
        project("", "D=1", "d/x=1", names=FOLDS),
        "D d/x",
        "D",
    ),
    Collision(
        "an unchanged asset",
        project("A=1", "A=1", "A=1 a=2", names=FOLDS),
        "A a",
    ),
    Collision(
        "a rename there onto a folder here",
        project("b=1", "b=1 a/x=2", "a=1"),
        "a/x b",
        "a/x",
    ),
    Collision(
        "transitively",
        project("", "", "a=1 A/x=2 A/y=3", names=FOLDS),
        "A/x A/y a",
    ),
    Collision(
        "a local file that is no asset",
        project("", "", "a=1", files=["a/.keep"]),
        "a",
        "a/.keep",
    ),
]


@pytest.mark.parametrize("case", COLLISIONS, ids=str)
def test_every_party_is_named(case: Collision):
    plan = plan_of(case.sides, options=REFUSE)
    paths = {party.path for conflict in plan.conflicts for party in conflict.parties}
    (conflict,) = plan.conflicts
    assert conflict.kind is ConflictKind.PATH_COLLISION
    assert sorted(paths) == case.parties.split()
    assert list(conflict.blockers) == case.blockers.split()
    assert {item.rule for item in plan.items} == {13}


@pytest.mark.parametrize("case", COLLISIONS, ids=str)
def test_skipped_parties_all_stay_as_they_are(case: Collision):
    plan = plan_of(case.sides, options=SKIP)
    assert not plan.refused
    assert result_of(case.sides, plan) == {
        record.ours.path: record.ours for record in case.sides.records if record.ours
    }


@pytest.mark.parametrize("case", COLLISIONS, ids=str)
def test_ours_settles_what_has_two_sides(case: Collision):
    plan = plan_of(case.sides, options=OURS)
    assert plan.conflicts == ()
    assert plan.needed() == ()


@pytest.mark.parametrize("case", [case for case in COLLISIONS if case.blockers], ids=str)
def test_what_never_gives_way_is_refused_under_every_policy(case: Collision):
    plan = plan_of(case.sides, options=THEIRS)
    assert plan.refused
    (conflict,) = plan.conflicts
    assert list(conflict.blockers) == case.blockers.split()


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
