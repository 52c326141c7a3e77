"""The memory store's local editing; what it promises as a store is in the contract suite."""

import pytest

from towline.asset_ids import planned_id
from towline.errors import InvalidPath, UnknownAssets
from towline.model import AssetId, AssetPath, Digest
from towline.names import NamePolicy
from towline.plan import Edit, Plan
from towline.ports import Watch
from towline.records import StoreState
from towline.stores.memory import MemoryStore
from towline.testing.plans import now

P = AssetPath


class NoContents:
    def contents(self, digests):
        raise AssertionError(f"asked for {digests}")


def forget(store: MemoryStore, asset_id: AssetId) -> None:
    """Take an asset out of the store through a plan, so that its id stays used."""
    state, record = now(store).state(), now(store).with_id(asset_id)
    edits = (Edit(before=record, after=None),)
    plan = Plan(project=store.project, revision=None, before=state, after=state, edits=edits)
    store.apply(plan, NoContents(), Watch())


def test_put_makes_an_asset_with_the_planned_id_and_then_writes_it():
    store = MemoryStore("p")
    asset_id = store.put(P("a/b"), b"1")
    assert asset_id == planned_id("p", "a/b", lambda _: False)
    assert store.put(P("a/b"), b"2", executable=True) == asset_id
    assert store.contents() == {"a/b": (b"2", True)}
    assert store.read(Digest.of(b"2")) == b"2"
    assert store.read(Digest.of(b"1")) is None, "nothing holds it any more"


def test_an_asset_that_was_never_pulled_follows_its_path_and_leaves_no_trace():
    store = MemoryStore("p")
    moved = store.move(store.put(P("a"), b"1"), P("b"))
    assert moved == planned_id("p", "b", lambda _: False)
    assert not now(store).is_used(moved)
    store.delete(moved)
    assert store.contents() == {}
    assert store.put(P("b"), b"1") == moved


def test_a_used_id_is_given_again_at_its_path_alone():
    store = MemoryStore("p")
    first = store.put(P("a"), b"1")
    forget(store, first)
    assert now(store).is_used(first)
    assert store.put(P("b"), b"1") != first
    assert store.put(P("a"), b"1") == first
    assert store.move(first, P("c")) == first
    assert store.put(P("a"), b"2") != first
    store.delete(first)
    assert store.put(P("c"), b"1") == first


@pytest.mark.parametrize("path", ["a", "A", "a/b/c", "A/B"])
def test_nothing_is_put_where_something_is(path):
    store = MemoryStore("p", names=NamePolicy.FOLDS_CASE)
    store.put_file(P("a/b"))
    other = store.put(P("other"), b"")
    before = store.state_hash()
    for attempt in (
        lambda: store.put(P(path), b"1"),
        lambda: store.move(other, P(path)),
        lambda: store.put_file(P(path)),
    ):
        with pytest.raises(InvalidPath):
            attempt()
    assert store.state_hash() == before


def test_a_rename_may_change_case_alone():
    store = MemoryStore("p", names=NamePolicy.FOLDS_CASE)
    store.move(store.put(P("a"), b"1"), P("A"))
    assert list(store.contents()) == ["A"]


def test_what_no_asset_can_be_is_refused():
    store = MemoryStore("p")
    with pytest.raises(InvalidPath):
        store.put(P(".hidden"), b"")
    asset_id = store.put(P("a"), b"")
    with pytest.raises(InvalidPath):
        store.move(asset_id, P("a/.hidden"))
    store.delete(asset_id)
    with pytest.raises(UnknownAssets):
        store.delete(asset_id)


def test_files_that_are_no_assets_come_and_go():
    store = MemoryStore("p")
    store.put_file(P(".env"), b"x")
    assert store.contents() == {".env": (b"x", False)}
    assert list(now(store).records()) == []
    store.delete_file(P(".env"))
    assert store.contents() == {}


def test_any_difference_changes_the_state_hash():
    store = MemoryStore("p")
    hashes = [store.state_hash()]
    asset_id = store.put(P("a"), b"1")
    hashes.append(store.state_hash())
    store.put(P("a"), b"1", executable=True)
    hashes.append(store.state_hash())
    store.put_file(P(".env"))
    hashes.append(store.state_hash())
    forget(store, asset_id)
    hashes.append(store.state_hash())
    assert len(set(hashes)) == len(hashes)
    assert now(store).state() == StoreState()
