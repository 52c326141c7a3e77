"""What a store does with a plan that it takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from towline.model import AssetPath, Digest
from towline.names import NamePolicy
from towline.plan import Edit
from towline.ports import Applied, Phase, Watch
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
    state_of,
)
from towline.testing.store_harness import NewStore, StoreTraits, assert_equal, held, project_with

P = AssetPath

ODD_NAMES = [
    "with space",
    "-dash",
    "--help",
    "colon: what?",
    "quotes \"'`",
    "$(shell) & *",
    "\u65e5\u672c\u8a9e/\u0440\u0443\u0441",
    "caf\u00e9",
    "trailing.",
    "new%20line",
    "a" * 200,
]


def _plain(**files: bytes) -> dict[str, tuple[bytes, bool]]:
    return {name.replace("__", "/"): (content, False) for name, content in files.items()}


class ApplyContract(StoreTraits):
    """Applying plans."""

    def test_creates(self, new_store: NewStore) -> None:
        harness = new_store()
        plan = plan_of(
            harness.store,
            create(harness.store, "a", b"1"),
            create(harness.store, "b/c/d", b"2", executable=True),
            create(harness.store, "b/e", b"1"),
            create(harness.store, "empty", b""),
        )
        contents = KnownContents(b"1", b"2", b"")
        assert harness.store.apply(plan, contents, Watch()) == Applied(number=1)
        assert sorted(contents.asked) == list(plan.needed()), "each once, and nothing else"
        assert now(harness.store).state() == plan.after
        assert harness.contents() == {
            "a": (b"1", False),
            "b/c/d": (b"2", True),
            "b/e": (b"1", False),
            "empty": (b"", False),
        }

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_any_legal_name_is_stored_as_it_is(self, new_store: NewStore, name: str) -> None:
        harness = new_store()
        apply_edits(harness.store, create(harness.store, name, b"1"), contents=[b"1"])
        harness.reopen()
        assert record_at(harness.store, name).ours == state_of(name, b"1")
        assert list(harness.contents()) == [name]

    @pytest.mark.parametrize("content", [b"", b"\0\xff\r\n", b"x" * 3_000_000])
    def test_any_bytes_are_stored_as_they_are(self, new_store: NewStore, content: bytes) -> None:
        harness = new_store()
        apply_edits(harness.store, create(harness.store, "a", content), contents=[content])
        assert harness.contents()["a"] == (content, False)
        assert harness.store.read(Digest.of(content)) == content

    def test_updates(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1", b=b"2")
        plan = plan_of(harness.store, change(harness.store, "a", b"3", executable=True))
        contents = KnownContents(b"3")
        harness.store.apply(plan, contents, Watch())
        assert harness.contents() == {"a": (b"3", True), "b": (b"2", False)}
        after = plan.edits[0].after
        assert now(harness.store).at(P("a")) == after

    @pytest.mark.parametrize("executable", [False, True])
    def test_changes_the_permission_alone(self, new_store: NewStore, *, executable: bool) -> None:
        harness = new_store()
        edit = create(harness.store, "a", b"1", executable=not executable)
        apply_edits(harness.store, edit, contents=[b"1"])
        apply_edits(harness.store, change(harness.store, "a", executable=executable))
        assert harness.contents() == {"a": (b"1", executable)}

    def test_moves_without_asking_for_content(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a__b=b"1")
        contents = KnownContents()
        plan = plan_of(harness.store, change(harness.store, "a/b", to="c/d", executable=True))
        harness.store.apply(plan, contents, Watch())
        assert contents.asked == []
        assert harness.contents() == {"c/d": (b"1", True)}
        assert now(harness.store).with_id(plan.edits[0].asset_id) == plan.edits[0].after

    def test_moves_and_rewrites(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1")
        apply_edits(harness.store, change(harness.store, "a", b"2", to="b/a"), contents=[b"2"])
        assert harness.contents() == _plain(b__a=b"2")

    def test_deletes(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a__b__c=b"1", a__d=b"2")
        edit = delete(harness.store, "a/b/c")
        apply_edits(harness.store, edit)
        assert harness.contents() == _plain(a__d=b"2")
        assert now(harness.store).with_id(edit.asset_id) is None
        assert now(harness.store).is_used(edit.asset_id)

    def test_may_delete_and_yet_remember(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1")
        before = record_at(harness.store, "a")
        apply_edits(harness.store, Edit(before=before, after=replace(before, ours=None)))
        assert harness.contents() == {}
        assert now(harness.store).with_id(before.id) == replace(before, ours=None)

    def test_swaps(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1", b=b"2")
        ids = [record_at(harness.store, name).id for name in "ab"]
        apply_edits(
            harness.store,
            change(harness.store, "a", to="b"),
            change(harness.store, "b", to="a"),
        )
        assert harness.contents() == _plain(a=b"2", b=b"1")
        assert [record_at(harness.store, name).id for name in "ba"] == ids

    def test_rotates_and_rewrites(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1", b=b"2", c=b"3")
        apply_edits(
            harness.store,
            change(harness.store, "a", to="b"),
            change(harness.store, "b", b"new", to="c"),
            change(harness.store, "c", to="a", executable=True),
            contents=[b"new"],
        )
        assert harness.contents() == {"a": (b"3", True), "b": (b"1", False), "c": (b"new", False)}

    def test_moves_along_a_chain_into_what_is_vacated(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1", b=b"2", c=b"3")
        apply_edits(
            harness.store,
            change(harness.store, "a", to="b"),
            change(harness.store, "b", to="c"),
            delete(harness.store, "c"),
            create(harness.store, "a", b"4"),
            contents=[b"4"],
        )
        assert harness.contents() == _plain(a=b"4", b=b"1", c=b"2")

    def test_moves_to_where_another_was_deleted_here(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1", b=b"2")
        gone = record_at(harness.store, "b").id
        harness.delete("b")
        edit = change(harness.store, "a", to="b")
        apply_edits(harness.store, edit)
        assert now(harness.store).at(P("b")) == edit.after
        record = now(harness.store).with_id(gone)
        assert record is not None
        assert (record.ours, record.base) == (None, state_of("b", b"2"))

    def test_a_file_becomes_a_folder(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1", b=b"2")
        apply_edits(
            harness.store,
            change(harness.store, "a", to="a/x/a"),
            change(harness.store, "b", to="a/b"),
        )
        assert harness.contents() == _plain(a__x__a=b"1", a__b=b"2")

    def test_a_folder_becomes_a_file(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a__b__c=b"1", a__b__d=b"2", a__e=b"3")
        apply_edits(
            harness.store,
            change(harness.store, "a/b/c", to="a"),
            delete(harness.store, "a/b/d"),
            delete(harness.store, "a/e"),
        )
        assert harness.contents() == _plain(a=b"1")

    def test_a_file_and_a_folder_change_places(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1", b__c=b"2")
        apply_edits(
            harness.store,
            change(harness.store, "a", to="b"),
            change(harness.store, "b/c", b"3", to="a/c"),
            contents=[b"3"],
        )
        assert harness.contents() == _plain(b=b"1", a__c=b"3")

    def test_a_rename_may_change_case_alone(self, new_store: NewStore) -> None:
        harness = new_store(names=NamePolicy.FOLDS_CASE)
        pull_files(harness.store, a__b=b"1")
        apply_edits(harness.store, change(harness.store, "a/b", to="a/B"))
        assert harness.contents() == _plain(a__B=b"1")

    def test_bookkeeping_leaves_content_alone(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1")
        harness.put("a", b"ours")
        before = record_at(harness.store, "a")
        theirs = state_of("b", b"theirs")
        after = replace(before, base=theirs, recorded=theirs, size=6, embedded_id="e", kind="other")
        contents = KnownContents()
        plan = plan_of(harness.store, Edit(before=before, after=after))
        assert harness.store.apply(plan, contents, Watch()).number == 2
        assert contents.asked == []
        assert harness.contents() == _plain(a=b"ours")
        harness.reopen()
        assert now(harness.store).at(P("a")) == after

    def test_a_local_asset_is_taken_in_under_its_planned_id(self, new_store: NewStore) -> None:
        harness = new_store()
        harness.put("a", b"1")
        before = record_at(harness.store, "a")
        after = replace(before, base=before.ours, recorded=before.ours, size=1)
        apply_edits(harness.store, Edit(before=before, after=after))
        assert now(harness.store).at(P("a")) == after
        assert now(harness.store).is_used(before.id)
        harness.move("a", "b")
        assert record_at(harness.store, "b").id == before.id

    def test_what_the_plan_does_not_name_stays(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1", b=b"2", c=b"3")
        harness.put("b", b"edited")
        harness.put("d/local", b"4")
        apply_edits(harness.store, change(harness.store, "a", b"5"), contents=[b"5"])
        assert harness.contents() == _plain(a=b"5", b=b"edited", c=b"3", d__local=b"4")

    def test_merged_bytes_come_from_the_plan(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1")
        plan = plan_of(harness.store, change(harness.store, "a", b"merged"))
        plan = replace(plan, merged=((Digest.of(b"merged"), b"merged"),))
        contents = KnownContents()
        harness.store.apply(plan, contents, Watch())
        assert contents.asked == []
        assert harness.contents() == _plain(a=b"merged")

    def test_a_plan_that_changes_nothing_is_not_written(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1")
        before = harness.state_hash()
        state = now(harness.store).state()
        plan = replace(plan_of(harness.store), after=state)
        assert harness.store.apply(plan, KnownContents(), Watch()) == Applied(number=None)
        assert harness.state_hash() == before

    def test_the_base_may_move_alone(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1")
        plan = plan_of(harness.store, revision="2" * 40)
        assert harness.store.apply(plan, KnownContents(), Watch()) == Applied(number=2)
        assert now(harness.store).state() == plan.after
        assert harness.contents() == _plain(a=b"1")

    def test_progress_counts_up_to_its_total(self, new_store: NewStore) -> None:
        store = new_store().store
        reported: list[tuple[Phase, int, int | None]] = []
        plan = plan_of(store, create(store, "a", b"1"), create(store, "b", b"2"))
        watch = Watch(progress=lambda *progress: reported.append(progress))
        store.apply(plan, KnownContents(b"1", b"2"), watch)
        assert {(phase, total) for phase, _, total in reported} == {(Phase.APPLYING, 2)}
        assert [done for _, done, _ in reported] == [0, 1, 2]

    def test_everything_outlives_the_handle(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1", b=b"2")
        apply_edits(harness.store, delete(harness.store, "b"), contents=[])
        harness.put("c", b"3")
        before = (held(harness), list(harness.store.log()), harness.state_hash())
        harness.reopen()
        assert_equal((held(harness), list(harness.store.log()), harness.state_hash()), before)
