"""The case table of docs/semantics.md, each rule with no resolution, with theirs, with ours."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.laws.merging import REFUSE, SKIP, plan_of, result_of
from tests.unit.projects import id_of, project, state, tree
from towline.conflicts import ConflictKind
from towline.errors import (
    NoRemoteVersion,
)
from towline.model import NonAsset
from towline.options import Resolutions
from towline.plan import Disposition, IgnoredReason, Item, Plan
from towline.testing.sides import ThreeSides, records_after

D = Disposition
K = ConflictKind


@dataclass(frozen=True, slots=True)
class Case:
    """One case of a rule, and its three outcomes: left alone, in use_theirs, in use_ours."""

    rule: int
    base: str
    ours: str
    theirs: str
    alone: Disposition
    in_theirs: Disposition | None
    in_ours: Disposition
    kind: ConflictKind | None = None
    moved: tuple[tuple[str, str], ...] = ()
    merged: str | None = None

    def __str__(self) -> str:
        return f"{self.rule}: {self.base or '-'} / {self.ours or '-'} / {self.theirs or '-'}"


CASES = [
    Case(1, "a=1", "a=1", "a=2", D.UPDATED, D.UPDATED, D.IGNORED),
    Case(1, "a=1", "a=1", "a=1x", D.UPDATED, D.UPDATED, D.IGNORED),
    Case(1, "a=1", "a=1", "b=1", D.UPDATED, D.UPDATED, D.IGNORED),
    Case(2, "a=1", "a=1", "", D.DELETED, D.DELETED, D.IGNORED),
    Case(3, "", "", "a=1", D.CREATED, D.CREATED, D.IGNORED),
    Case(4, "a=1", "a=2", "a=1", D.UNTOUCHED, D.OVERWRITTEN, D.UNTOUCHED),
    Case(4, "a=1", "a=1x", "a=1", D.UNTOUCHED, D.OVERWRITTEN, D.UNTOUCHED),
    Case(4, "a=1", "b=1", "a=1", D.UNTOUCHED, D.OVERWRITTEN, D.UNTOUCHED, moved=(("a", "b"),)),
    Case(5, "a=1", "", "a=1", D.UNTOUCHED, D.CREATED, D.UNTOUCHED),
    Case(6, "", "a=1", "", D.UNTOUCHED, None, D.UNTOUCHED),
    Case(7, "a=1", "a=2", "a=2", D.CONVERGED, D.CONVERGED, D.CONVERGED),
    Case(7, "", "a=1", "a=1", D.CONVERGED, D.CONVERGED, D.CONVERGED),
    Case(7, "a=1", "", "", D.CONVERGED, D.CONVERGED, D.CONVERGED),
    Case(8, "a=1", "a=2", "a=3", D.CONFLICT, D.OVERWRITTEN, D.IGNORED, K.CONTENT),
    Case(
        8, "a=1", "b=1", "c=1", D.CONFLICT, D.OVERWRITTEN, D.IGNORED, K.RENAME_RENAME, (("a", "b"),)
    ),
    Case(9, "a=1", "a=2", "a=1x", D.UPDATED, D.OVERWRITTEN, D.IGNORED, merged="a=2x"),
    Case(9, "a=1", "a=1x", "a=2", D.UPDATED, D.OVERWRITTEN, D.IGNORED, merged="a=2x"),
    Case(9, "a=1", "b=1", "a=2", D.UPDATED, D.OVERWRITTEN, D.IGNORED, None, (("a", "b"),), "b=2"),
    Case(9, "a=1", "a=2", "b=1", D.UPDATED, D.OVERWRITTEN, D.IGNORED, merged="b=2"),
    Case(9, "a=1", "a=2x", "a=2", D.UNTOUCHED, D.OVERWRITTEN, D.IGNORED, merged="a=2x"),
    Case(10, "", "a=1", "a=2", D.CONFLICT, D.OVERWRITTEN, D.IGNORED, K.ADD_ADD),
    Case(10, "", "a=1", "a=1x", D.CONFLICT, D.OVERWRITTEN, D.IGNORED, K.ADD_ADD),
    Case(11, "a=1", "a=2", "", D.CONFLICT, D.DELETED, D.IGNORED, K.MODIFY_DELETE),
    Case(12, "a=1", "", "a=2", D.CONFLICT, D.CREATED, D.IGNORED, K.DELETE_MODIFY),
    Case(14, "a=1", "a=1", "a=@", D.IGNORED, None, D.IGNORED),
    Case(14, "a=1", "a=2", "a=@", D.IGNORED, None, D.IGNORED),
    Case(14, "a=1", "", "a=@", D.IGNORED, None, D.IGNORED),
]
USE_THEIRS = Resolutions(use_theirs=frozenset([id_of("a")]))
USE_OURS = Resolutions(use_ours=frozenset([id_of("a")]))


def sides_of(case: Case) -> ThreeSides:
    return project(case.base, case.ours, case.theirs, moved=dict(case.moved))


def the_item(plan: Plan) -> Item:
    (item,) = plan.items
    return item


@pytest.mark.parametrize("case", CASES, ids=str)
def test_left_alone(case: Case):
    sides = sides_of(case)
    plan = plan_of(sides, options=REFUSE)
    if case.rule in (4, 5, 6):
        # Theirs is as it was, so the merge does not look.
        assert (plan.items, plan.edits, case.alone) == ((), (), D.UNTOUCHED)
        return
    item = the_item(plan)
    assert (item.rule, item.disposition, item.asset_id) == (case.rule, case.alone, id_of("a"))
    assert [conflict.kind for conflict in plan.conflicts] == ([case.kind] if case.kind else [])
    assert item.merged == (case.merged is not None and case.alone is D.UPDATED)
    assert not item.discarded
    after = list(result_of(sides, plan).values())
    if case.merged is not None:
        assert after == [state(case.merged)]
    elif case.alone in (D.UPDATED, D.CREATED, D.DELETED):
        assert after == _assets(case.theirs)
    else:
        assert after == _assets(case.ours)


@pytest.mark.parametrize("case", [case for case in CASES if case.in_theirs is not None], ids=str)
def test_in_use_theirs(case: Case):
    sides = sides_of(case)
    plan = plan_of(sides, USE_THEIRS, REFUSE)
    item = the_item(plan)
    assert (item.rule, item.disposition, item.asset_id) == (case.rule, case.in_theirs, id_of("a"))
    assert plan.conflicts == ()
    assert item.discarded == (case.rule in (4, 8, 9, 10, 11))
    assert list(result_of(sides, plan).values()) == _assets(case.theirs)


@pytest.mark.parametrize("case", [case for case in CASES if case.in_theirs is None], ids=str)
def test_use_theirs_where_the_repository_has_no_version(case: Case):
    with pytest.raises(NoRemoteVersion) as caught:
        plan_of(sides_of(case), USE_THEIRS)
    assert caught.value.asset_id == id_of("a")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_in_use_ours(case: Case):
    sides = sides_of(case)
    plan = plan_of(sides, USE_OURS, REFUSE)
    item = the_item(plan)
    assert (item.rule, item.disposition) == (case.rule, case.in_ours)
    assert plan.conflicts == ()
    assert list(result_of(sides, plan).values()) == _assets(case.ours)
    reasons = {2: IgnoredReason.DELETION_DECLINED, 11: IgnoredReason.DELETION_DECLINED}
    reasons[14] = IgnoredReason.SYMLINK
    if item.disposition is D.IGNORED:
        assert item.reason is reasons.get(case.rule, IgnoredReason.DECLINED)


@pytest.mark.parametrize("case", [case for case in CASES if case.rule not in (6, 14)], ids=str)
@pytest.mark.parametrize("choice", [USE_THEIRS, USE_OURS])
def test_after_a_choice_the_base_is_theirs(case: Case, choice: Resolutions):
    sides = sides_of(case)
    records = records_after(sides.records, plan_of(sides, choice))
    assert [record.base for record in records if record.base] == _assets(case.theirs)
    assert not any(record.lagging for record in records)


@pytest.mark.parametrize("case", [case for case in CASES if case.kind is not None], ids=str)
def test_a_skipped_conflict_lags(case: Case):
    sides = sides_of(case)
    plan = plan_of(sides, options=SKIP)
    item = the_item(plan)
    assert (item.disposition, item.reason) == (D.IGNORED, IgnoredReason.CONFLICT)
    assert list(result_of(sides, plan).values()) == _assets(case.ours)
    (record,) = records_after(sides.records, plan)
    assert record.lagging
    assert [record.base] == (_assets(case.base) or [None])
    assert [record.recorded] == (_assets(case.theirs) or [None])


def _assets(text: str) -> list[object]:
    entries = tree(text).values()
    return [entry.state for entry in entries if not isinstance(entry, NonAsset)]


def test_the_same_rename_on_both_sides_converges():
    sides = project("a=1", "b=1", "b=1", moved={"a": "b"})
    plan = plan_of(sides)
    assert {item.disposition for item in plan.items} == {D.CONVERGED}
    (record,) = records_after(sides.records, plan)
    assert (record.id, record.base, record.ours) == (id_of("a"), state("b=1"), state("b=1"))
