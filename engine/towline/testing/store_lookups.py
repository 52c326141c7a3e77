"""What a store answers to the questions of `AssetLookup`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from towline.asset_ids import planned_id
from towline.model import AssetId, AssetPath, Digest, NonAsset, NonAssetReason
from towline.names import NamePolicy
from towline.plan import Edit
from towline.ports import AssetStore
from towline.records import AssetRecord, ChangedRecords, LocalFile, StoreState, changed_among
from towline.testing.plans import apply_edits, create, now, record_at, state_of
from towline.testing.store_harness import NewStore, StoreTraits, project_with

P = AssetPath


def _paths(store: AssetStore, path: str) -> list[str]:
    return [
        str(found.path if isinstance(found, LocalFile) else found.ours and found.ours.path)
        for found in now(store).occupants(P(path))
    ]


class LookupContract(StoreTraits):
    """Lookups."""

    def test_a_new_store_is_empty(self, new_store: NewStore) -> None:
        store = new_store().store
        assert now(store).state() == StoreState()
        assert list(now(store).records()) == []
        assert list(now(store).lagging()) == []
        assert list(store.log()) == []
        assert now(store).at(P("a")) is None
        assert now(store).aligned_at(P("a")) is None
        assert list(now(store).occupants(P("a/b"))) == []
        assert now(store).with_id(AssetId("0" * 24)) is None
        assert list(now(store).with_embedded_id("x")) == []
        assert now(store).former_id(P("a")) is None
        assert store.read(Digest.of(b"x")) is None

    def test_its_names_are_those_that_it_was_made_with(self, new_store: NewStore) -> None:
        store = new_store(project="p", names=NamePolicy.PORTABLE).store
        assert (store.project, store.names) == ("p", NamePolicy.PORTABLE)

    def test_a_local_asset_has_an_id_and_no_base(self, new_store: NewStore) -> None:
        harness = new_store(project="p")
        harness.put("a/b c", b"1", executable=True)
        planned = planned_id("p", "a/b c", lambda _: False)
        expected = AssetRecord(
            id=record_at(harness.store, "a/b c").id if self.mints_ids else planned,
            kind="file",
            base=None,
            ours=state_of("a/b c", b"1", executable=True),
            recorded=None,
        )
        store = harness.store
        assert now(store).at(P("a/b c")) == expected
        assert list(now(store).records()) == [expected]
        assert now(store).with_id(expected.id) == expected
        assert now(store).aligned_at(P("a/b c")) is None
        assert not now(store).is_used(expected.id)
        assert store.read(Digest.of(b"1")) == b"1"

    def test_an_id_of_the_products_own_outlives_renames_and_pulls(
        self, new_store: NewStore
    ) -> None:
        if not self.mints_ids:
            pytest.skip("the ids of local assets are planned")
        harness = new_store()
        harness.put("a", b"1")
        first = record_at(harness.store, "a")
        harness.move("a", "b/c")
        moved = record_at(harness.store, "b/c")
        assert moved == replace(first, ours=state_of("b/c", b"1"))
        after = replace(moved, base=moved.ours, recorded=moved.ours, size=1)
        apply_edits(harness.store, Edit(before=moved, after=after))
        harness.reopen()
        assert now(harness.store).with_id(first.id) == after
        harness.delete("b/c")
        assert now(harness.store).with_id(first.id) == replace(after, ours=None)

    def test_a_pulled_asset_is_found_by_path_and_id(self, new_store: NewStore) -> None:
        store = new_store().store
        edit = create(store, "a/b", b"12", executable=True)
        apply_edits(store, edit, contents=[b"12"])
        assert edit.after is not None
        assert now(store).at(P("a/b")) == edit.after
        assert now(store).aligned_at(P("a/b")) == edit.after
        assert now(store).with_id(edit.after.id) == edit.after
        assert list(now(store).records()) == [edit.after]
        assert now(store).is_used(edit.after.id)
        assert now(store).at(P("a")) is None

    def test_records_come_by_id(self, new_store: NewStore) -> None:
        harness = project_with(new_store, **dict.fromkeys("abcdef", b"1"))
        for name in "ghijkl":
            harness.put(name, b"1")
        ids = [record.id for record in now(harness.store).records()]
        assert ids == sorted(ids)
        assert len(ids) == 12

    def test_changed_records_leave_out_what_is_as_pulled(self, new_store: NewStore) -> None:
        harness = project_with(new_store, **dict.fromkeys("abcdef", b"1"), g=b"renamed")
        assert now(harness.store).changed_records() == ChangedRecords(records=(), unchanged=7)
        harness.put("a", b"2")
        harness.delete("b")
        harness.move("g", "h")
        harness.put("new", b"3")
        found = now(harness.store).changed_records()
        assert found == changed_among(now(harness.store).records())
        paths = [record.ours.path if record.ours else None for record in found.records]
        assert sorted(map(str, paths)) == ["None", "a", "h", "new"]
        assert found.unchanged == 4

    @pytest.mark.parametrize("executable", [False, True])
    def test_a_local_edit_changes_ours_alone(
        self, new_store: NewStore, *, executable: bool
    ) -> None:
        harness = project_with(new_store, a=b"1")
        before = record_at(harness.store, "a")
        harness.put("a", b"2", executable=executable)
        after = replace(before, ours=state_of("a", b"2", executable=executable))
        assert now(harness.store).at(P("a")) == after
        assert now(harness.store).aligned_at(P("a")) == after
        assert now(harness.store).with_id(before.id) == after

    def test_a_changed_permission_is_a_local_edit(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1")
        harness.put("a", b"1", executable=True)
        assert record_at(harness.store, "a").ours == state_of("a", b"1", executable=True)

    def test_a_local_deletion_leaves_the_base(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1", b=b"2")
        gone = replace(record_at(harness.store, "a"), ours=None)
        harness.delete("a")
        assert now(harness.store).at(P("a")) is None
        assert list(now(harness.store).occupants(P("a"))) == []
        assert now(harness.store).aligned_at(P("a")) == gone
        assert now(harness.store).with_id(gone.id) == gone
        assert gone in list(now(harness.store).records())

    def test_a_local_rename_keeps_the_id(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1", b=b"2")
        before = record_at(harness.store, "a")
        harness.move("a", "c/d")
        moved = replace(before, ours=state_of("c/d", b"1"))
        assert now(harness.store).at(P("c/d")) == moved
        assert now(harness.store).at(P("a")) is None
        assert now(harness.store).aligned_at(P("a")) == moved
        assert list(now(harness.store).occupants(P("c"))) == [moved]
        harness.put("a", b"3")
        assert record_at(harness.store, "a").local_only
        harness.reopen()
        assert now(harness.store).with_id(before.id) == moved

    def test_a_local_rename_is_found_from_the_old_path(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1", b=b"2")
        harness.move("a", "c")
        found = now(harness.store).aligned_at(P("a"))
        assert found is not None
        assert found.ours == state_of("c", b"1")
        harness.move("c", "d")
        found = now(harness.store).with_id(found.id)
        assert found is not None
        assert found.ours == state_of("d", b"1")

    def test_a_local_asset_that_went_leaves_nothing(self, new_store: NewStore) -> None:
        harness = new_store()
        harness.put("a", b"1")
        record = record_at(harness.store, "a")
        harness.delete("a")
        assert now(harness.store).at(P("a")) is None
        assert now(harness.store).with_id(record.id) is None
        assert list(now(harness.store).records()) == []

    def test_occupants_are_at_the_path_above_it_and_below_it(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a__b__c=b"1", ab=b"2", d=b"3")
        harness.put("a/b/e", b"4")
        store = harness.store
        assert _paths(store, "a/b/c") == ["a/b/c"]
        assert _paths(store, "a") == ["a/b/c", "a/b/e"]
        assert _paths(store, "d/e/f") == ["d"]
        assert _paths(store, "a/b/e/x") == ["a/b/e"]
        assert _paths(store, "a/c") == []
        assert _paths(store, "D") == []

    def test_files_that_are_no_assets_are_occupants(self, new_store: NewStore) -> None:
        if not self.has_files:
            pytest.skip("a project has no files but assets")
        harness = project_with(new_store, a__b__c=b"1")
        harness.put_file("a/b/f/g")
        store = harness.store
        assert _paths(store, "a") == ["a/b/c", "a/b/f/g"]
        assert _paths(store, "a/b/f") == ["a/b/f/g"]
        assert now(store).at(P("a/b/f/g")) is None
        assert now(store).occupants(P("a/b/f/g/h")) == [LocalFile(path=P("a/b/f/g"))]

    @pytest.mark.parametrize(
        ("names", "same", "other"),
        [
            (NamePolicy.FOLDS_CASE, ["DIR/FILE", "dir/file/x", "dIr"], "caf\u00e9"),
            (NamePolicy.NORMALISES, ["caf\u00e9", "caf\u00e9/x"], "DIR/FILE"),
            (NamePolicy.PORTABLE, ["dir/FILE", "CAFE\u0301/x", "caf\u00c9"], "dir/fil"),
        ],
    )
    def test_occupants_follow_the_name_policy(
        self, new_store: NewStore, names: NamePolicy, same: list[str], other: str
    ) -> None:
        harness = new_store(names=names)
        harness.put("Dir/File", b"1")
        harness.put("cafe\u0301", b"2")
        for path in same:
            assert len(_paths(harness.store, path)) == 1, path
            assert now(harness.store).at(P(path)) is None, path
        assert _paths(harness.store, other) == []

    def test_lagging_assets_keep_both_states(self, new_store: NewStore) -> None:
        store = project_with(new_store, a=b"1", b=b"2", c=b"3").store
        a, b, c = (record_at(store, name) for name in "abc")
        link = NonAsset(path=P("b"), reason=NonAssetReason.SYMLINK)
        behind = [
            replace(a, recorded=state_of("moved", b"9"), size=7, embedded_id="e"),
            replace(b, recorded=link),
            replace(c, recorded=None),
        ]
        pairs = zip((a, b, c), behind, strict=True)
        apply_edits(store, *(Edit(before=before, after=after) for before, after in pairs))
        assert list(now(store).lagging()) == sorted(behind, key=lambda record: record.id)
        assert now(store).aligned_at(P("moved")) == behind[0]
        assert now(store).aligned_at(P("a")) is None
        assert now(store).aligned_at(P("b")) == behind[1]
        assert now(store).aligned_at(P("c")) is None
        assert [now(store).at(P(name)) for name in "abc"] == behind

    def test_an_asset_that_was_never_here_may_lag(self, new_store: NewStore) -> None:
        store = new_store().store
        edit = create(store, "a", b"1")
        assert edit.after is not None
        lagging = replace(edit.after, base=None, ours=None)
        apply_edits(store, Edit(before=None, after=lagging))
        assert list(now(store).lagging()) == [lagging]
        assert now(store).aligned_at(P("a")) == lagging
        assert now(store).at(P("a")) is None

    def test_embedded_ids_are_found_by_what_was_seen(self, new_store: NewStore) -> None:
        store = project_with(new_store, a=b"1", b=b"2").store
        a, b = record_at(store, "a"), record_at(store, "b")
        named = [replace(record, embedded_id="x") for record in (a, b)]
        apply_edits(store, Edit(before=a, after=named[0]), Edit(before=b, after=named[1]))
        assert list(now(store).with_embedded_id("x")) == sorted(named, key=lambda record: record.id)
        apply_edits(store, Edit(before=named[0], after=a))
        assert list(now(store).with_embedded_id("x")) == [named[1]]

    def test_a_local_asset_whose_id_was_remembered_keeps_it(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1")
        a = record_at(harness.store, "a")
        released = replace(a, base=None, recorded=None, size=0)
        apply_edits(harness.store, Edit(before=a, after=released))
        assert now(harness.store).at(P("a")) == released
        harness.move("a", "b")
        moved = replace(released, ours=state_of("b", b"1"))
        assert now(harness.store).at(P("b")) == moved
        harness.delete("b")
        assert now(harness.store).with_id(a.id) is None
        assert now(harness.store).is_used(a.id)
        assert list(now(harness.store).records()) == []

    @pytest.mark.parametrize("noted", ["not yet", "pulled", "skipped", "no asset"])
    def test_a_deleted_asset_returns_with_its_path(self, new_store: NewStore, noted: str) -> None:
        harness = project_with(new_store, a=b"1", b=b"1")
        harness.delete("a")
        gone = now(harness.store).aligned_at(P("a"))
        assert gone is not None
        newer = state_of("a", b"2")
        known = {
            "not yet": gone,
            "pulled": replace(gone, base=newer, recorded=newer),
            "skipped": replace(gone, recorded=newer),
            "no asset": replace(
                gone, recorded=NonAsset(path=P("a"), reason=NonAssetReason.SYMLINK)
            ),
        }[noted]
        if known != gone:
            apply_edits(harness.store, Edit(before=gone, after=known))
        assert now(harness.store).with_id(gone.id) == known
        harness.put("a", b"3")
        returned = replace(known, ours=state_of("a", b"3"))
        for _ in range(2):
            assert now(harness.store).at(P("a")) == returned
            assert now(harness.store).with_id(gone.id) == returned
            assert now(harness.store).aligned_at(P("a")) == returned
            assert returned in list(now(harness.store).records())
            assert len(list(now(harness.store).records())) == 2
            harness.reopen()
        harness.delete("a")
        assert now(harness.store).with_id(gone.id) == known

    def test_an_asset_that_was_left_out_has_its_id_when_it_is_written_here(
        self, new_store: NewStore
    ) -> None:
        harness = new_store()
        edit = create(harness.store, "a", b"1")
        assert edit.after is not None
        left_out = replace(edit.after, base=None, ours=None)
        apply_edits(harness.store, Edit(before=None, after=left_out))
        harness.put("a", b"2")
        assert record_at(harness.store, "a") == replace(left_out, ours=state_of("a", b"2"))

    def test_a_deleted_asset_does_not_return_where_another_one_is(
        self, new_store: NewStore
    ) -> None:
        harness = project_with(new_store, a=b"1", b=b"2")
        b = record_at(harness.store, "b")
        harness.delete("a")
        gone = now(harness.store).aligned_at(P("a"))
        assert gone is not None
        known = replace(gone, base=state_of("a", b"3"), recorded=state_of("a", b"3"))
        apply_edits(harness.store, Edit(before=gone, after=known))
        harness.move("b", "a")
        assert record_at(harness.store, "a").id == b.id
        assert now(harness.store).with_id(gone.id) == known
