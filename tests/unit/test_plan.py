"""The plan as a value: what it needs, and whether it would do anything."""

from __future__ import annotations

from dataclasses import replace

from tests.laws.merging import SKIP, plan_of
from tests.unit.projects import id_of, project, state


def test_it_needs_the_contents_that_change_each_once():
    sides = project("a=1 b=1 c=1", "a=1 b=1 c=1", "a=2 b=2 c=1x d=1")
    needed = plan_of(sides).needed()
    assert needed == tuple(sorted({state("a=2").digest, state("d=1").digest}))


def test_a_move_or_a_mode_needs_no_content():
    assert plan_of(project("a=1", "a=1", "b=1x")).needed() == ()


def test_an_edit_has_its_id_and_the_states_before_and_after_it():
    (edit,) = plan_of(project("", "", "a=1")).edits
    assert (edit.asset_id, edit.ours) == (id_of("a"), (None, state("a=1")))


def test_a_plan_that_moves_the_base_alone_is_something_to_do():
    plan = plan_of(project("a=1", "a=1", "a=1"))
    assert (plan.items, plan.edits) == ((), ())
    assert not plan.is_noop
    assert replace(plan, after=plan.before).is_noop


def test_plans_are_equal_wherever_their_contents_come_from():
    plan = plan_of(project("", "", "a=1"), options=SKIP)
    source = project("", "", "a=1")
    assert replace(plan, source=source) == plan  # type: ignore[arg-type]
    assert "source" not in repr(plan)
