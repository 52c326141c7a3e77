"""What a store remembers of the plans it applied, and that they can be taken back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from towline.errors import StalePlan, UndoBlocked
from towline.model import AssetPath, Digest
from towline.ports import LoggedPull, Watch
from towline.records import PlanKind
from towline.testing.plans import (
    KnownContents,
    apply_edits,
    change,
    create,
    delete,
    now,
    plan_of,
    pull_files,
    record_at,
)
from towline.testing.store_harness import NewStore, StoreTraits, assert_equal, held, project_with
from towline.undo import plan_undo, undo

P = AssetPath
NOON = datetime(2024, 2, 29, 12, 0, 0, 5, tzinfo=UTC)


class LogContract(StoreTraits):
    """The log, and undo."""

    def test_applied_plans_are_stored_newest_first(self, new_store: NewStore) -> None:
        harness = new_store()
        store = harness.store
        first = plan_of(store, create(store, "a", b"1"))
        store.apply(first, KnownContents(b"1"), Watch(now=NOON))
        second = plan_of(store, change(store, "a", b"2"), revision="2" * 40)
        store.apply(second, KnownContents(b"2"), Watch())
        expected = [
            LoggedPull(number=2, plan=second, at=None),
            LoggedPull(number=1, plan=first, at=NOON),
        ]
        assert list(store.log()) == expected
        harness.reopen()
        assert list(harness.store.log()) == expected

    def test_undo_returns_contents_and_base(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1", b__c=b"2", d=b"3")
        store = harness.store
        before = held(harness)
        apply_edits(
            store,
            change(store, "a", b"4", executable=True),
            delete(store, "b/c"),
            change(store, "d", to="b"),
            create(store, "e/f", b"5"),
            contents=[b"4", b"5"],
        )
        harness.reopen()
        undo(harness.store)
        assert_equal(held(harness), before)
        log = harness.store.log()
        assert [entry.undone for entry in log] == [False, True, False]
        assert log[0].plan.kind is PlanKind.UNDO

    def test_undo_of_a_deletion_returns_the_old_id(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1")
        record = record_at(harness.store, "a")
        apply_edits(harness.store, delete(harness.store, "a"))
        undo(harness.store)
        assert now(harness.store).at(P("a")) == record

    def test_undo_of_an_undo_repeats_the_pull(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1", b=b"2")
        store = harness.store
        made = create(store, "c", b"4")
        edits = (change(store, "a", b"3"), delete(store, "b"), made)
        apply_edits(store, *edits, contents=[b"3", b"4"])
        pulled = held(harness)
        undo(store)
        before = held(harness)
        for undone, expected in [
            # Newest first: the entries of undo 3, of its undo, and so on.
            ([False, True, False, False], pulled),
            ([False, True, False, True, False], before),
            ([False, True, False, True, False, False], pulled),
        ]:
            harness.reopen()
            undo(harness.store, harness.store.log()[0].number)
            assert held(harness) == expected
            assert [entry.undone for entry in harness.store.log()] == undone
        # The pull is in effect again, and an undo without a number takes it back.
        assert undo(harness.store).base == pulled[0].base
        assert harness.contents() == before[2]

    def test_undo_names_what_changed_an_asset_since(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1", b=b"1")
        for content in (b"2", b"3"):
            apply_edits(harness.store, change(harness.store, "a", content), contents=[content])
        with pytest.raises(UndoBlocked) as later:
            undo(harness.store, 2)
        assert (later.value.pulls, later.value.paths) == ((3,), ("a",))
        harness.put("a", b"edited")
        with pytest.raises(UndoBlocked) as edited:
            undo(harness.store, 2)
        assert (edited.value.pulls, edited.value.paths) == ((), ("a",))

    def test_an_older_pull_is_undone_with_its_bytes(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1", b=b"2")
        for number, name in enumerate("ab", 3):
            content = str(number).encode()
            apply_edits(harness.store, change(harness.store, name, content), contents=[content])
        undo(harness.store, 2)
        assert harness.contents() == {"a": (b"1", False), "b": (b"4", False)}

    def test_every_pull_can_be_taken_back_in_turn(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1")
        store = harness.store
        apply_edits(store, change(store, "a", b"2"), contents=[b"2"])
        apply_edits(store, change(store, "a", b"3", to="b"), contents=[b"3"])
        for expected in [{"a": (b"2", False)}, {"a": (b"1", False)}, {}]:
            undo(harness.store)
            assert harness.contents() == expected
            harness.reopen()

    def test_a_pull_is_undone_once(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1")
        apply_edits(harness.store, change(harness.store, "a", b"2"), contents=[b"2"])
        taken_back = plan_undo(harness.store)
        contents = KnownContents(b"1")
        harness.store.apply(taken_back, contents, Watch())
        again = replace(
            plan_of(harness.store, change(harness.store, "a", b"3")), undoes=taken_back.undoes
        )
        unknown = replace(again, undoes=77)
        before = harness.state_hash()
        for plan in (again, unknown):
            with pytest.raises(StalePlan):
                harness.store.apply(plan, KnownContents(b"3"), Watch())
        assert harness.state_hash() == before

    def test_undo_does_not_trample_later_edits(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1", b=b"2")
        apply_edits(harness.store, change(harness.store, "a", b"3"), contents=[b"3"])
        plan = plan_undo(harness.store)
        harness.put("a", b"edited")
        before = harness.state_hash()
        with pytest.raises(StalePlan):
            harness.store.apply(plan, KnownContents(b"1"), Watch())
        with pytest.raises(UndoBlocked):
            undo(harness.store)
        assert harness.state_hash() == before

    def test_bytes_for_undo_stay_while_the_log_keeps_the_pull(self, new_store: NewStore) -> None:
        harness = new_store(keep=2)
        store = harness.store
        pull_files(store, a=b"1", gone=b"0")
        apply_edits(store, change(store, "a", b"2"), delete(store, "gone"), contents=[b"2"])
        assert (store.read(Digest.of(b"1")), store.read(Digest.of(b"0"))) == (b"1", b"0")
        apply_edits(store, change(store, "a", b"3"), contents=[b"3"])
        assert [entry.number for entry in store.log()] == [3, 2]
        assert store.read(Digest.of(b"1")) == b"1"
        apply_edits(store, change(store, "a", b"4"), contents=[b"4"])
        assert [entry.number for entry in store.log()] == [4, 3]
        assert store.read(Digest.of(b"1")) is None
        assert store.read(Digest.of(b"0")) is None
        assert store.read(Digest.of(b"2")) == b"2"
        harness.reopen()
        assert harness.store.read(Digest.of(b"3")) == b"3"
        undo(harness.store)
        assert harness.contents() == {"a": (b"3", False)}

    def test_bytes_that_two_pulls_need_stay_for_both(self, new_store: NewStore) -> None:
        store = new_store(keep=1).store
        pull_files(store, a=b"1", b=b"1")
        apply_edits(store, change(store, "a", b"2"), contents=[b"2"])
        apply_edits(store, change(store, "b", b"2"), contents=[b"2"])
        assert store.read(Digest.of(b"1")) == b"1"
        apply_edits(store, delete(store, "a"))
        assert store.read(Digest.of(b"1")) is None

    def test_a_log_of_no_length_keeps_nothing(self, new_store: NewStore) -> None:
        store = new_store(keep=0).store
        pull_files(store, a=b"1")
        apply_edits(store, change(store, "a", b"2"), contents=[b"2"])
        assert list(store.log()) == []
        assert store.read(Digest.of(b"1")) is None

    def test_numbers_go_on_when_the_log_is_cut(self, new_store: NewStore) -> None:
        store = new_store(keep=1).store
        numbers = [
            apply_edits(store, create(store, name, b"1"), contents=[b"1"]).number for name in "abc"
        ]
        assert numbers == [1, 2, 3]
