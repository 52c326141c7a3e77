"""Each law is seen to fail on a merge, or a store, that is wrong in the way that it guards."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from itertools import combinations, count
from typing import Any
from unittest.mock import ANY

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.laws import test_case_table as table
from tests.laws import test_choice_laws as choices
from tests.laws import test_content_laws as contents
from tests.laws import test_merge_laws as merges
from tests.laws import test_saved_laws as saved
from tests.laws import test_store_laws as stores
from tests.laws.budget import CONTENT_EXAMPLES, EXAMPLES
from tests.laws.pull_machine import PullMachine
from towline.codec import encode
from towline.content import json_edit, structure
from towline.content.decision import Keep, Take
from towline.content.equality import Equality
from towline.content.fields import Reason
from towline.content.json_values import JsonDocument
from towline.merge import align, cases, decide, outcome
from towline.model import AssetId, Digest, ThreeWay
from towline.plan import Disposition, Plan
from towline.records import AssetRecord
from towline.stores.memory import MemoryStore

# A few examples, as `make test` draws them, may miss a mutant.
pytestmark = pytest.mark.slow

# The package offers functions of these names, which hide the modules.
undo: Any = import_module("towline.undo")

Patch = pytest.MonkeyPatch
Mutant = Callable[[Patch], None]


def rule(number: int, **changed: Disposition) -> Mutant:
    """A case table with another disposition for one rule."""

    def mutate(patch: Patch) -> None:
        patch.setitem(decide._RULES, number, replace(decide._RULES[number], **changed))  # type: ignore[arg-type]

    return mutate


def looks_at_no_occupants(patch: Patch) -> None:
    patch.setattr(cases.Resolver, "_add_occupants", lambda self: None)


def never_agrees(patch: Patch) -> None:
    right = decide.rule_of
    patch.setattr(decide, "rule_of", lambda s: 10 if right(s) == 7 and not s.base else right(s))


def everything_collides(patch: Patch) -> None:
    patch.setattr(cases, "clashing", lambda claims, names: combinations(claims[:2], 2))


def invents_bytes(patch: Patch) -> None:
    right = ThreeWay.resolved

    def resolved(self: ThreeWay[Any]) -> Any:
        found = right(self)
        return Digest.of(b"invented") if isinstance(found, Digest) else found

    patch.setattr(ThreeWay, "resolved", resolved)


def prefers_ours(patch: Patch) -> None:
    patch.setattr(ThreeWay, "resolved", lambda self: self.ours)


def prefers_theirs(patch: Patch) -> None:
    patch.setattr(ThreeWay, "clashes", False)
    patch.setattr(ThreeWay, "resolved", lambda s: s.ours if s.theirs == s.base else s.theirs)


def undecided_ones_claim_ours_alone(patch: Patch) -> None:
    right = cases.Case.claims

    def claims(self: cases.Case) -> list[Any]:
        return [claim for claim in right(self) if not (self.undecided and claim.fresh)]

    patch.setattr(cases.Case, "claims", claims)


def collisions_are_pairs(patch: Patch) -> None:
    patch.setattr(cases, "groups", lambda pairs: sorted(set(pairs)))


def drops_an_edit(patch: Patch) -> None:
    right = outcome._edits
    patch.setattr(outcome, "_edits", lambda *given: right(*given)[1:])


def base_stays_behind(patch: Patch) -> None:
    right = outcome._record_after

    def record_after(case: cases.Case, kinds: Any) -> Any:
        record = right(case, kinds)
        return record and replace(record, base=case.asset.base)

    patch.setattr(outcome, "_record_after", record_after)


def ids_come_by_chance(patch: Patch) -> None:
    numbers = count()
    patch.setattr(align, "planned_id", lambda *_: AssetId(f"{next(numbers):024x}"))


def undo_keeps_the_base(patch: Patch) -> None:
    def with_base(record: AssetRecord, **changes: Any) -> AssetRecord:
        return replace(record, **{"base": changes.get("ours"), **changes})

    patch.setattr(undo, "replace", with_base)


def the_base_moves_first(patch: Patch) -> None:
    right = MemoryStore.apply

    def apply(self: MemoryStore, plan: Plan, *rest: Any) -> Any:
        with self.transaction(write=True) as data:
            data.set("state", json.dumps(encode(plan.after)))
        return right(self, replace(plan, before=plan.after), *rest)

    patch.setattr(MemoryStore, "apply", apply)


def moves_lose_the_mode(patch: Patch) -> None:
    right = MemoryStore.move

    def move(self: MemoryStore, asset_id: AssetId, path: Any) -> AssetId:
        with self.transaction(write=True) as data:
            record = data.records[asset_id]
            assert record.ours is not None
            data.put(replace(record, ours=replace(record.ours, executable=False)))
        return right(self, asset_id, path)

    patch.setattr(MemoryStore, "move", move)


def uses_no_saved_side(patch: Patch) -> None:
    patch.setattr(cases.Resolver, "_take_saved", lambda self, case: False)


def saved_sides_never_lapse(patch: Patch) -> None:
    patch.setattr(cases, "_holds", lambda saved, asset: True)


def takes_nothing(patch: Patch) -> None:
    patch.setattr(structure._Merger, "_take", lambda self, *_: Keep())


def takes_what_theirs_left_alone(patch: Patch) -> None:
    right = structure._Merger._merge

    def merge(self: Any, pointer: Any, b: Any, o: Any, t: Any) -> Any:
        return Take() if b == t and not pointer else right(self, pointer, b, o, t)

    patch.setattr(structure._Merger, "_merge", merge)


def never_agrees_on_a_value(patch: Patch) -> None:
    right = structure._Merger._merge

    def merge(self: Any, pointer: Any, b: Any, o: Any, t: Any) -> Any:
        if o == t != b and isinstance(o, str | dict):
            return self._clash(pointer, Reason.BOTH_CHANGED, b, o, t)
        return right(self, pointer, b, o, t)

    patch.setattr(structure._Merger, "_merge", merge)


def theirs_deletion_prevails(patch: Patch) -> None:
    patch.setattr(structure._Merger, "_is_deleted", lambda self, pointer, b, o: True)


def invents_a_value(patch: Patch) -> None:
    right = json_edit._Writer._taken

    def taken(self: Any, there: int, at: int) -> str:
        return '"invented"' if right(self, there, at) == "true" else right(self, there, at)

    patch.setattr(json_edit._Writer, "_taken", taken)
    patch.setattr(contents, "value_of", lambda merge, ours, theirs: ANY)


def loses_an_edit_of_theirs(patch: Patch) -> None:
    right = structure._Merger._merge_objects

    def merge_objects(self: Any, pointer: Any, b: Any, o: Any, t: Any) -> Any:
        lost = {key for key in t if b.get(key) == o.get(key) and isinstance(t[key], str)}
        return right(self, pointer, b, o, {**t, **{key: o[key] for key in lost & o.keys()}})

    patch.setattr(structure._Merger, "_merge_objects", merge_objects)


def order_of_keys_counts(patch: Patch) -> None:
    patch.setattr(Equality, "are_equal", lambda self, one, other: repr(one) == repr(other))


def ends_with_a_line_feed(patch: Patch) -> None:
    right = JsonDocument.encode
    patch.setattr(JsonDocument, "encode", lambda self, text: right(self, text.rstrip() + "\n"))


D = Disposition
BITES: dict[str, tuple[Any, Mutant]] = {
    "the case table": (
        table.test_the_merge_is_the_case_table_path_by_path,
        rule(5, theirs=D.UPDATED),
    ),
    "sparse equals full": (
        table.test_a_comparison_that_skips_nothing_gives_the_same,
        looks_at_no_occupants,
    ),
    "ours alone is base": (
        merges.test_where_only_theirs_changed_the_outcome_is_theirs,
        rule(2, alone=D.UNTOUCHED),
    ),
    "theirs alone is base": (
        merges.test_where_only_ours_changed_the_outcome_is_ours,
        rule(4, alone=D.OVERWRITTEN),
    ),
    "both are the same": (merges.test_where_both_did_the_same_that_is_the_outcome, never_agrees),
    "locality": (
        merges.test_the_answer_at_one_asset_depends_on_it_and_its_colliders_alone,
        everything_collides,
    ),
    "no invented bytes": (merges.test_nothing_is_written_that_neither_side_has, invents_bytes),
    "swap symmetry": (merges.test_swapping_the_sides_swaps_the_answer, prefers_ours),
    "use_theirs on all": (
        choices.test_use_theirs_on_all_gives_theirs_and_what_is_local_only,
        rule(10, theirs=D.IGNORED),
    ),
    "use_ours on all": (choices.test_use_ours_on_all_writes_nothing, rule(2, ours=D.DELETED)),
    "pins settle conflicts": (
        choices.test_pinning_all_parties_to_one_side_leaves_only_what_never_gives_way,
        undecided_ones_claim_ours_alone,
    ),
    "accounted once": (
        choices.test_every_asset_is_accounted_for_exactly_once,
        collisions_are_pairs,
    ),
    "ours and report": (choices.test_ours_changed_as_the_lists_say_is_the_result, drops_an_edit),
    "saved sides": (
        saved.test_a_saved_side_settles_a_conflict_as_one_of_the_call_does,
        uses_no_saved_side,
    ),
    "lapsed resolutions": (
        saved.test_a_resolution_of_other_states_changes_nothing_and_is_noted,
        saved_sides_never_lapse,
    ),
    "no local edit is lost": (
        choices.test_no_field_of_a_local_edit_is_lost_without_a_resolution,
        prefers_theirs,
    ),
    "pull twice": (choices.test_the_second_pull_lists_only_what_was_skipped, base_stays_behind),
    "deterministic": (
        merges.test_the_order_of_what_is_asked_does_not_matter,
        ids_come_by_chance,
    ),
    "dry run": (
        stores.test_a_dry_run_equals_the_run_and_undo_takes_it_back,
        undo_keeps_the_base,
    ),
    "failures": (stores.test_a_failure_leaves_the_state_hash_as_it_was, the_base_moves_first),
    "machine": (PullMachine, moves_lose_the_mode),
    "content: ours alone is base": (
        contents.test_where_only_theirs_changed_the_value_is_theirs,
        takes_nothing,
    ),
    "content: theirs alone is base": (
        contents.test_where_only_ours_changed_its_bytes_stay,
        takes_what_theirs_left_alone,
    ),
    "content: both are the same": (
        contents.test_where_both_made_the_same_ours_bytes_stay,
        never_agrees_on_a_value,
    ),
    "content: swap symmetry": (
        contents.test_the_sides_conflict_at_the_same_places_the_other_way_about,
        theirs_deletion_prevails,
    ),
    "content: no invented value": (contents.test_every_value_is_from_a_side, invents_a_value),
    "content: no lost edit": (
        contents.test_a_value_that_one_side_changed_is_as_that_side_has_it,
        loses_an_edit_of_theirs,
    ),
    "content: key order": (
        contents.test_the_order_of_keys_does_not_matter,
        order_of_keys_counts,
    ),
    "content: twice": (
        contents.test_merging_the_same_once_more_changes_nothing,
        never_agrees_on_a_value,
    ),
    "content: bytes": (
        contents.test_bytes_outside_the_fields_that_theirs_changed_are_ours,
        ends_with_a_line_feed,
    ),
}


def test_each_law_has_a_mutant():
    assert BITES.keys() == (EXAMPLES | CONTENT_EXAMPLES).keys()


@pytest.mark.parametrize("law", BITES)
def test_the_law_fails_on_its_mutant(law: str, monkeypatch: Patch):
    test, mutate = BITES[law]
    # Only whether it fails matters here, not by how small an example.
    quickly = settings(
        max_examples=3_000, phases=[Phase.generate], database=None, report_multiple_bugs=False
    )
    mutate(monkeypatch)
    if test is not PullMachine:
        monkeypatch.setattr(test, "_hypothesis_internal_use_settings", quickly)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(test, settings=quickly) if test is PullMachine else test()
