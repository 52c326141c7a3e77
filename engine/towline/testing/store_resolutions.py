"""What a store promises of saved resolutions: each is there until it is cleared, or was used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from towline.model import AssetId, ThreeWay
from towline.options import Side
from towline.plan import Plan
from towline.ports import AssetStore, Watch
from towline.resolutions import MAX_REMEMBERED, SavedResolution
from towline.testing.plans import KnownContents, change, now, plan_of, pull_files, state_of
from towline.testing.store_harness import (
    Interruption,
    NewStore,
    StoreHarness,
    StoreTraits,
    project_with,
)

_MOST_WRITES = 100


def resolution(name: str, content: bytes | None = b"merged\0\xff") -> SavedResolution:
    """Return a resolution of an asset that has this id; without content, a side for a field."""
    fields = (("/a~1b/[id=\N{SNOWMAN}]", Side.THEIRS), ("", Side.OURS))
    return SavedResolution(
        asset_id=AssetId(name),
        states=ThreeWay(None, state_of(f"{name}.json", b"ours"), state_of(name, name.encode())),
        content=content,
        fields=fields if content is None else (),
    )


def saved_in(store: AssetStore) -> tuple[list[SavedResolution], list[SavedResolution]]:
    """Return the saved and the remembered resolutions of a store."""
    ours = now(store)
    return list(ours.saved_resolutions()), list(ours.remembered_resolutions())


def _clearing(store: AssetStore, *cleared: SavedResolution, content: bytes = b"2") -> Plan:
    named = tuple((each.asset_id, each.identity) for each in cleared)
    number = f"{len(store.log()) + 1:040x}"
    return replace(plan_of(store, change(store, "a", content), revision=number), cleared=named)


class ResolutionContract(StoreTraits):
    """Saved and remembered resolutions."""

    def test_resolutions_are_saved_as_they_are(self, new_store: NewStore) -> None:
        harness = new_store()
        assert saved_in(harness.store) == ([], [])
        one, other = resolution("b"), resolution("a", None)
        harness.store.save_resolutions([one, other])
        assert saved_in(harness.store) == ([other, one], [])
        harness.reopen()
        assert saved_in(harness.store) == ([other, one], [])

    def test_an_asset_has_one_resolution(self, new_store: NewStore) -> None:
        store = new_store().store
        store.save_resolutions([resolution("a"), resolution("b")])
        newer = resolution("a", b"newer")
        store.save_resolutions([newer], clear=[AssetId("b"), AssetId("unknown")])
        assert saved_in(store) == ([newer], [])
        store.save_resolutions(clear=[AssetId("a")])
        assert saved_in(store) == ([], [])

    def test_a_plan_clears_what_it_used_and_it_is_remembered(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1")
        used, other = resolution("used"), resolution("other")
        harness.store.save_resolutions([used, other])
        plan = _clearing(harness.store, used)
        harness.store.apply(plan, KnownContents(b"2"), Watch())
        assert saved_in(harness.store) == ([other], [used])
        harness.reopen()
        assert saved_in(harness.store) == ([other], [used])

    def test_a_plan_that_writes_nothing_clears_what_lapsed(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1")
        lapsed, other = resolution("lapsed"), resolution("other")
        harness.store.save_resolutions([lapsed, other])
        state, pulls = now(harness.store).state(), len(harness.store.log())
        plan = replace(_clearing(harness.store, lapsed), edits=(), after=state)
        assert plan.is_noop
        assert harness.store.apply(plan, KnownContents(), Watch()).number is None
        assert (len(harness.store.log()), now(harness.store).state()) == (pulls, state)
        assert saved_in(harness.store) == ([other], [lapsed])
        harness.reopen()
        assert saved_in(harness.store) == ([other], [lapsed])

    def test_a_plan_leaves_what_was_saved_since(self, new_store: NewStore) -> None:
        store = project_with(new_store, a=b"1").store
        plan = _clearing(store, resolution("a"))
        newer = resolution("a", b"newer")
        store.save_resolutions([newer])
        store.apply(plan, KnownContents(b"2"), Watch())
        assert saved_in(store) == ([newer], [])

    def test_the_newest_are_remembered_once_each(self, new_store: NewStore) -> None:
        store = new_store(keep=1).store
        pull_files(store, a=b"1")
        names = [f"{number:03}" for number in range(MAX_REMEMBERED + 1)]

        def use(*cleared: SavedResolution) -> None:
            store.save_resolutions(cleared)
            content = f"{len(store.log())}{cleared[0].content!r}".encode()
            plan = _clearing(store, *cleared, content=content)
            store.apply(plan, KnownContents(content), Watch())

        use(*map(resolution, names))
        first = resolution(names[0])
        assert saved_in(store) == ([], [resolution(name) for name in names[:MAX_REMEMBERED]])
        again = replace(first, asset_id=AssetId("again"), content=b"again")
        use(again)
        remembered = saved_in(store)[1]
        assert remembered[0] == again
        assert first not in remembered
        assert len(remembered) == MAX_REMEMBERED

    @pytest.mark.parametrize("applying", [False, True])
    def test_an_interrupted_change_of_resolutions_is_whole_or_did_not_happen(
        self, new_store: NewStore, *, applying: bool
    ) -> None:
        old, new = resolution("a"), resolution("b")

        def started() -> Iterator[tuple[StoreHarness, Plan]]:
            while True:
                harness = project_with(new_store, a=b"1")
                harness.store.save_resolutions([old])
                yield harness, _clearing(harness.store, old)

        before: object = ([old], [])
        after: object = ([], [old]) if applying else ([new], [])
        fresh = started()
        harness, plan = next(fresh)
        for number in range(1, _MOST_WRITES):
            try:
                with harness.interrupted_at(number):
                    if applying:
                        harness.store.apply(plan, KnownContents(b"2"), Watch())
                    else:
                        harness.store.save_resolutions([new], clear=[old.asset_id])
            except Interruption:
                harness.reopen()
            else:
                break
            found = saved_in(harness.store)
            assert found in (before, after), f"interrupted at write {number}"
            if applying:
                assert (found == after) == (harness.contents()["a"][0] == b"2")
            if found == after:
                harness, plan = next(fresh)
        assert saved_in(harness.store) == after
