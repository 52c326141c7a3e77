"""When a store refuses a plan, and that nothing has changed then."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Event

import pytest

from towline.errors import Cancelled, ContentMissing, StalePlan, StoreBusy, TowlineError
from towline.model import Digest
from towline.names import NamePolicy
from towline.plan import Edit, Plan
from towline.ports import Phase, Watch
from towline.records import Contents, changed_among
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
from towline.testing.store_harness import (
    Interruption,
    NewStore,
    StoreHarness,
    StoreTraits,
    assert_equal,
    held,
    project_with,
)

Edits = Callable[[StoreHarness], None]


@contextmanager
def _unchanged(harness: StoreHarness) -> Iterator[None]:
    # A store may write down the local renames that it finds when it looks.
    before = (held(harness), harness.state_hash())
    yield
    harness.reopen()
    assert_equal((held(harness), harness.state_hash()), before)


def _held(harness: StoreHarness) -> tuple[object, ...]:
    found, ours = held(harness), now(harness.store)
    assert ours.changed_records() == changed_among(found[1])
    return *found, list(ours.log())


def _assert_stale(harness: StoreHarness, plan: Plan, *contents: bytes) -> None:
    with _unchanged(harness), pytest.raises(StalePlan):
        harness.store.apply(plan, KnownContents(*contents), Watch())


class _Lying:
    def contents(self, digests: Sequence[Digest]) -> Iterator[tuple[Digest, bytes]]:
        for digest in digests:
            yield digest, b"something else"


class _Silent:
    def contents(self, _: Sequence[Digest]) -> Iterator[tuple[Digest, bytes]]:
        yield from ()


_MOST_WRITES = 1000
EDITS: dict[str, Edits] = {
    "content": lambda harness: harness.put("a", b"edited"),
    "permission": lambda harness: harness.put("a", b"1", executable=True),
    "renamed": lambda harness: harness.move("a", "elsewhere"),
    "deleted": lambda harness: harness.delete("a"),
}


class FailureContract(StoreTraits):
    """Refusals, after each of which the project is as it was."""

    @pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
    @pytest.mark.parametrize("plan_for", ["content", "path", "deletion", "bookkeeping"])
    def test_an_asset_that_was_edited_since_is_not_trampled(
        self, new_store: NewStore, edit: Edits, plan_for: str
    ) -> None:
        harness = project_with(new_store, a=b"1", b=b"2")
        store = harness.store
        before = record_at(store, "a")
        theirs = state_of("a", b"3")
        planned = {
            "content": change(store, "a", b"3"),
            "path": change(store, "a", to="c"),
            "deletion": delete(store, "a"),
            "bookkeeping": Edit(before=before, after=replace(before, base=theirs, recorded=theirs)),
        }
        plan = plan_of(store, change(store, "b", b"4"), planned[plan_for])
        edit(harness)
        _assert_stale(harness, plan, b"3", b"4")

    def test_a_plan_from_another_state_is_stale(self, new_store: NewStore) -> None:
        harness = new_store()
        plan = plan_of(harness.store, create(harness.store, "a", b"1"))
        empty = plan_of(harness.store)
        harness.store.apply(plan, KnownContents(b"1"), Watch())
        _assert_stale(harness, plan, b"1")
        _assert_stale(harness, replace(empty, after=empty.before))

    def test_a_plan_for_another_project_is_stale(self, new_store: NewStore) -> None:
        harness = new_store()
        plan = plan_of(harness.store, create(harness.store, "a", b"1"))
        _assert_stale(harness, replace(plan, project="other"), b"1")

    def test_a_record_that_is_not_the_stored_one_is_stale(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1")
        edit = change(harness.store, "a", b"2")
        assert edit.before is not None
        forged = replace(edit.before, size=99)
        _assert_stale(harness, plan_of(harness.store, replace(edit, before=forged)), b"2")

    def test_a_used_id_is_not_given_again(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1", b=b"2")
        again = create(harness.store, "c", b"3")
        assert again.after is not None
        taken = replace(again.after, id=record_at(harness.store, "a").id)
        _assert_stale(harness, plan_of(harness.store, replace(again, after=taken)), b"3")
        apply_edits(harness.store, delete(harness.store, "a"))
        _assert_stale(harness, plan_of(harness.store, replace(again, after=taken)), b"3")

    def test_one_asset_has_one_edit(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1")
        edits = (change(harness.store, "a", b"2"), change(harness.store, "a", b"3"))
        _assert_stale(harness, plan_of(harness.store, *edits), b"2", b"3")

    def test_an_asset_that_came_since_is_not_forgotten(self, new_store: NewStore) -> None:
        harness = new_store()
        edit = create(harness.store, "a", b"1")
        assert edit.after is not None
        lagging = Edit(before=None, after=replace(edit.after, base=None, ours=None))
        plan = plan_of(harness.store, lagging)
        harness.put("a", b"local")
        if self.mints_ids:
            # The two have different ids, so both are recorded.
            harness.store.apply(plan, KnownContents(), Watch())
        else:
            _assert_stale(harness, plan)
        assert harness.contents() == {"a": (b"local", False)}

    @pytest.mark.parametrize("path", ["x", "x/y", "x/y/z"])
    @pytest.mark.parametrize("kind", ["asset", "file", "pulled"])
    def test_nothing_is_put_where_something_is(
        self, new_store: NewStore, path: str, kind: str
    ) -> None:
        if kind == "file" and not self.has_files:
            pytest.skip("a project has no files but assets")
        harness = project_with(new_store, a=b"1")
        store = harness.store
        plans = [
            plan_of(store, create(store, path, b"2")),
            plan_of(store, change(store, "a", to=path)),
        ]
        match kind:
            case "asset":
                harness.put("x/y", b"local")
            case "file":
                harness.put_file("x/y")
            case _:
                pull_files(store, x__y=b"3")
                plans = [replace(plan, before=now(store).state()) for plan in plans]
        for plan in plans:
            _assert_stale(harness, plan, b"2")

    def test_names_that_are_held_equal_do_not_coexist(self, new_store: NewStore) -> None:
        harness = new_store(names=NamePolicy.FOLDS_CASE)
        pull_files(harness.store, a=b"1")
        _assert_stale(harness, plan_of(harness.store, create(harness.store, "A/b", b"2")), b"2")

    @pytest.mark.parametrize(("first", "second"), [("x", "x"), ("x", "x/y"), ("x/y/z", "x")])
    def test_a_plan_does_not_put_two_assets_in_one_place(
        self, new_store: NewStore, first: str, second: str
    ) -> None:
        harness = project_with(new_store, a=b"1", b=b"2")
        store = harness.store
        plan = plan_of(store, change(store, "a", to=first), change(store, "b", to=second))
        _assert_stale(harness, plan)

    def test_an_asset_that_stays_is_not_replaced(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1", b=b"2")
        store = harness.store
        plan = plan_of(store, change(store, "a", to="b"), change(store, "b", b"3"))
        _assert_stale(harness, plan, b"3")

    @pytest.mark.parametrize("contents", [_Lying(), _Silent(), KnownContents(b"1")])
    def test_contents_that_are_missing_or_wrong_are_refused(
        self, new_store: NewStore, contents: Contents
    ) -> None:
        harness = new_store()
        store = harness.store
        plan = plan_of(store, create(store, "a/b", b"1"), create(store, "c", b"2"))
        with _unchanged(harness), pytest.raises(ContentMissing):
            store.apply(plan, contents, Watch())

    @pytest.mark.parametrize("at", [0, 1, 2])
    def test_it_stops_when_asked_to(self, new_store: NewStore, at: int) -> None:
        harness = new_store()
        cancel = Event()

        def progress(_: Phase, done: int, __: int | None) -> None:
            if done == at:
                cancel.set()

        store = harness.store
        plan = plan_of(store, create(store, "a/b", b"1"), create(store, "c", b"2"))
        with _unchanged(harness), pytest.raises(Cancelled):
            store.apply(plan, KnownContents(b"1", b"2"), Watch(progress=progress, cancel=cancel))

    def test_whatever_contents_raise_changes_nothing(self, new_store: NewStore) -> None:
        def fail() -> None:
            raise RuntimeError("not ours")

        harness = new_store()
        store = harness.store
        plan = plan_of(store, create(store, "a", b"1"))
        with _unchanged(harness), pytest.raises(RuntimeError, match="not ours"):
            store.apply(plan, KnownContents(b"1", on_ask=fail), Watch())
        harness.store.apply(plan, KnownContents(b"1"), Watch())
        assert harness.contents() == {"a": (b"1", False)}

    @pytest.mark.parametrize(("path", "planned"), [("a", "changed"), ("b", "moved")])
    def test_an_edit_made_while_contents_are_fetched_is_not_lost(
        self, new_store: NewStore, path: str, planned: str
    ) -> None:
        def edit() -> None:
            with ThreadPoolExecutor(1) as other:
                other.submit(harness.put, path, b"edited").result()

        harness = project_with(new_store, a=b"1")
        to = "b" if planned == "moved" else None
        plan = plan_of(harness.store, change(harness.store, "a", b"2", to=to))
        try:
            applied = harness.store.apply(plan, KnownContents(b"2", on_ask=edit), Watch())
        except StalePlan:
            assert harness.contents() == {"a": (b"1", False)} | {path: (b"edited", False)}
        else:
            assert applied.saved, "a store that cannot refuse any more saves the edit beside"

    def test_an_interrupted_apply_is_whole_or_did_not_happen(self, new_store: NewStore) -> None:
        def pulled() -> tuple[StoreHarness, Plan, object]:
            harness = new_store(keep=1)
            store = harness.store
            pull_files(store, a=b"1", b=b"2", c=b"3")
            apply_edits(store, change(store, "a", b"4"), contents=[b"4"])
            edits = (
                change(store, "a", b"5"),
                change(store, "b", to="d/b"),
                delete(store, "c"),
                create(store, "e", b"6"),
            )
            plan = plan_of(store, *edits, revision="2" * 40)
            return harness, plan, (_held(harness), harness.state_hash())

        contents = KnownContents(b"5", b"6")
        harness, plan, before = pulled()
        harness.store.apply(plan, contents, Watch())
        whole = _held(harness)
        harness, plan, before = pulled()
        for number in range(1, _MOST_WRITES):
            try:
                with harness.interrupted_at(number):
                    harness.store.apply(plan, contents, Watch())
            except Interruption:
                harness.reopen()
            else:
                break
            if _held(harness) == whole:
                harness, plan, before = pulled()
            else:
                after = (_held(harness), harness.state_hash())
                assert_equal(after, before, when=f"interrupted at write {number}")
        assert number > 1, "nothing was interrupted"
        assert_equal(_held(harness), whole)

    def test_a_snapshot_is_of_one_moment(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1")
        other = harness.another()
        plan = plan_of(other, change(other, "a", b"2"), revision="2" * 40)
        before = (now(other).state(), list(now(other).records()))
        try:
            with harness.store.snapshot() as snapshot, ThreadPoolExecutor(1) as thread:
                state = snapshot.state()
                thread.submit(other.apply, plan, KnownContents(b"2"), Watch()).result()
                found = (state, list(snapshot.records()))
        except StalePlan:
            # A store of files cannot be read at one moment, and must not pretend so.
            return
        assert_equal(found, before)

    def test_one_applies_at_a_time(self, new_store: NewStore) -> None:
        harness = new_store()
        other = harness.another()
        plan = plan_of(harness.store, create(harness.store, "a", b"1"))
        met: list[TowlineError] = []

        def meanwhile() -> None:
            try:
                other.apply(plan, KnownContents(b"1"), Watch())
            except TowlineError as error:
                met.append(error)

        harness.store.apply(plan, KnownContents(b"1", on_ask=meanwhile), Watch())
        assert [type(error) for error in met] == [StoreBusy]
        assert len(harness.store.log()) == 1
        with pytest.raises(StalePlan):
            other.apply(plan, KnownContents(b"1"), Watch())
