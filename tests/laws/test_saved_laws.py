"""The laws of docs/architecture.md about saved resolutions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.laws.budget import law
from tests.laws.merging import REFUSE, attempt, listed, plan_of
from towline.conflicts import ConflictKind, Party
from towline.errors import TowlineError
from towline.merge.merge import merge
from towline.model import Digest
from towline.options import PullOptions, Selection, Side
from towline.plan import Item, Plan
from towline.resolutions import SavedResolution
from towline.testing.choices import pull_options, resolved
from towline.testing.sides import ThreeSides
from towline.testing.strategies import three_sides


def plan_with(sides: ThreeSides, saved: Iterable[SavedResolution], options: PullOptions) -> Plan:
    context = replace(sides.context(), saved=tuple(saved))
    return merge(sides.changes(), sides.ours(), context=context, options=options)


def parties_of(plan: Plan) -> list[Party]:
    """The parties of all conflicts but collisions: what happens to those depends on the others."""
    if any(conflict.kind is ConflictKind.PATH_COLLISION for conflict in plan.conflicts):
        return []
    return [party for conflict in plan.conflicts for party in conflict.parties]


def outcomes(plan: Plan) -> list[Item]:
    return [replace(item, resolved=False) for item in listed(plan)]


@law("saved sides")
@given(three_sides(), pull_options(), st.lists(st.sampled_from(Side), min_size=1, max_size=3))
def test_a_saved_side_settles_a_conflict_as_one_of_the_call_does(
    sides: ThreeSides, options: PullOptions, chosen: list[Side]
):
    parties = parties_of(plan_of(sides, options=replace(REFUSE, renames=options.renames)))
    choices = {
        party.asset_id: side for party, side in zip(parties, chosen * len(parties), strict=False)
    }
    named = attempt(sides, resolved(choices), options)
    if isinstance(named, TowlineError) or parties_of(named) != [
        party for conflict in named.conflicts for party in conflict.parties
    ]:
        return
    saved = [
        SavedResolution(asset_id=party.asset_id, states=party.states, side=choices[party.asset_id])
        for party in parties
    ]
    plan = plan_with(sides, saved, options)
    assert (plan.conflicts, plan.edits, plan.refused) == (
        named.conflicts,
        named.edits,
        named.refused,
    )
    assert outcomes(plan) == outcomes(named)
    used = {item.asset_id for item in plan.items if item.resolved}
    assert used == set(choices)
    assert {asset_id for asset_id, _ in plan.cleared} == used
    assert not [note for note in plan.notes if note.asset_id in used]


@law("lapsed resolutions")
@given(three_sides(), pull_options(), st.sampled_from(["base", "ours", "theirs"]))
def test_a_resolution_of_other_states_changes_nothing_and_is_noted(
    sides: ThreeSides, options: PullOptions, moved: str
):
    options = replace(options, only=Selection())
    without = plan_of(sides, options=options)
    saved = []
    for conflict in without.conflicts:
        for party in conflict.parties:
            state = getattr(party.states, moved)
            other = None if state is None else replace(state, digest=Digest.of(b"elsewhere"))
            if other is not None:
                states = replace(party.states, **{moved: other})
                saved.append(
                    SavedResolution(asset_id=party.asset_id, states=states, side=Side.OURS)
                )
    plan = plan_with(sides, saved, options)
    assert plan.conflicts == without.conflicts
    assert plan.edits == without.edits
    assert listed(plan) == listed(without)
    assert not any(item.resolved for item in plan.items)
    noted = {note.asset_id for note in plan.notes if f"{moved} changed since" in note.text}
    assert noted == {each.asset_id for each in saved}
    assert dict(plan.cleared) == {each.asset_id: each.identity for each in saved}
