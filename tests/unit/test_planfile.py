"""Plans as text, forged ones too."""

from __future__ import annotations

from dataclasses import replace

import pytest

from towline import AssetPath, MemoryRemote, MemoryStore, Plan, Revision, plan_pull
from towline.errors import InvalidPlan
from towline.plan import Edit
from towline.planfile import dump_plan, load_plan


@pytest.fixture
def plan() -> Plan:
    store, remote = MemoryStore("project"), MemoryRemote()
    store.put(AssetPath("b"), b"local")
    remote.commit({"a": b"1", "b": b"2"})
    return plan_pull(store, remote)


def test_a_plan_is_read_back_as_it_was(plan: Plan):
    assert load_plan(dump_plan(plan)) == plan


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"towline_plan": 2}', '{"towline_plan": 1}', "\udc80", "[" * 9999]
)
def test_what_is_no_plan_is_refused(text: str):
    with pytest.raises(InvalidPlan):
        load_plan(text)


def test_an_altered_plan_is_refused(plan: Plan):
    with pytest.raises(InvalidPlan, match="altered"):
        load_plan(dump_plan(plan).replace('"project"', '"other"', 1))


def test_a_made_up_plan_is_refused(plan: Plan):
    """With a fingerprint that fits."""
    for forged in (
        replace(plan, edits=(Edit(before=None, after=None),)),
        replace(plan, revision=Revision("zz")),
        replace(plan, after=replace(plan.after, base=Revision("../x"))),
        replace(plan, before=replace(plan.before, tracked=-1)),
        replace(plan, after=replace(plan.after, tracked_bytes=10**400)),
    ):
        with pytest.raises(InvalidPlan):
            load_plan(dump_plan(forged))
