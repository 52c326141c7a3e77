"""Pulls that go on over several rounds, over a store and a remote in memory."""

from __future__ import annotations

import sys

import pytest

from towline import (
    AssetId,
    AssetPath,
    Kind,
    Kinds,
    MemoryRemote,
    MemoryStore,
    OnConflict,
    PullOptions,
    Resolutions,
    Selection,
    plan_pull,
    pull,
    report_of,
)
from towline.errors import EmptyRemote
from towline.remotes.trees import FileContent, Symlink
from towline.testing.plans import now

P = AssetPath
SKIP = PullOptions(on_conflict=OnConflict.SKIP)


@pytest.fixture
def remote() -> MemoryRemote:
    return MemoryRemote()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore("project")


def moved_here_and_deleted_there(store: MemoryStore, remote: MemoryRemote) -> AssetId:
    """A pull that leaves the asset from ``a``, now at ``b``, in conflict; its id."""
    remote.commit({"a": b"old", "other": b"1"})
    pull(store, remote)
    record = now(store).at(P("a"))
    assert record is not None
    store.move(record.id, P("b"))
    remote.commit({"other": b"1"})
    assert [item.path for item in pull(store, remote, options=SKIP).ignored] == ["b"]
    return record.id


def test_a_new_file_is_not_taken_for_one_that_was_moved_away(
    store: MemoryStore, remote: MemoryRemote
):
    asset_id = moved_here_and_deleted_there(store, remote)
    store.put(P("a"), b"old")
    again = pull(store, remote, options=SKIP)
    assert again.deleted == ()
    assert [(item.path, item.asset_id) for item in again.ignored] == [("b", asset_id)]
    taken = pull(
        store, remote, PullOptions(resolutions=Resolutions(use_theirs=frozenset([asset_id])))
    )
    assert [item.path for item in taken.deleted] == ["b"]
    assert dict(store.contents()) == {"a": (b"old", False), "other": (b"1", False)}


def test_a_skipped_conflict_that_was_deleted_here_too_is_forgotten(
    store: MemoryStore, remote: MemoryRemote
):
    asset_id = moved_here_and_deleted_there(store, remote)
    store.delete(asset_id)
    store.put(P("a"), b"old")
    assert pull(store, remote, options=SKIP).listed == ()
    assert now(store).lagging() == []
    assert now(store).with_id(asset_id) is None
    assert now(store).at(P("a")) is not None


def test_an_unselected_asset_gone_on_both_sides_is_forgotten(
    store: MemoryStore, remote: MemoryRemote
):
    remote.commit({"a": b"old", "other": b"1"})
    pull(store, remote)
    record = now(store).at(P("a"))
    assert record is not None
    store.delete(record.id)
    remote.commit({"other": b"2"})
    pull(store, remote, options=PullOptions(only=Selection(globs=("other",))))
    assert now(store).with_id(record.id) is None


def test_a_repository_without_an_asset_is_refused_where_something_would_go(
    store: MemoryStore, remote: MemoryRemote
):
    remote.commit({"a": b"1", "b": b"2"})
    pull(store, remote)
    remote.commit({"a": Symlink("b")})
    before = store.state_hash()
    with pytest.raises(EmptyRemote):
        pull(store, remote)
    assert store.state_hash() == before


def test_a_repository_whose_assets_all_became_links_takes_nothing_away(
    store: MemoryStore, remote: MemoryRemote
):
    remote.commit({"a": b"1"})
    pull(store, remote)
    remote.commit({"a": Symlink("b")})
    assert [item.reason for item in pull(store, remote).ignored] == ["symlink"]
    assert now(store).at(P("a")) is not None


def test_what_became_a_link_there_never_gives_way(store: MemoryStore, remote: MemoryRemote):
    remote.commit({"a": b"1", "other": b"1"})
    pull(store, remote)
    record = now(store).at(P("a"))
    assert record is not None
    store.move(record.id, P("d"))
    theirs: dict[str, FileContent] = {"a": Symlink("x"), "d/e": b"2", "other": b"1"}
    remote.commit(theirs)
    report = pull(store, remote)
    assert [conflict.blockers for conflict in report.conflicts] == [("d",)]


def test_non_assets_are_reported_whatever_is_selected(store: MemoryStore, remote: MemoryRemote):
    remote.commit({"a": b"1", "b": b"1"})
    pull(store, remote)
    theirs: dict[str, FileContent] = {"a": b"2", "b": Symlink("a"), "c": Symlink("a")}
    remote.commit(theirs)
    first = pull(store, remote, options=PullOptions(only=Selection(globs=("a",))))
    assert [item.path for item in first.updated] == ["a"]
    assert [(item.path, item.reason) for item in first.ignored] == [
        ("b", "symlink"),
        ("c", "symlink"),
    ]
    assert pull(store, remote).listed == ()
    assert dict(store.contents()) == {"a": (b"2", False), "b": (b"1", False)}


def test_contents_from_which_no_id_can_be_read_are_noted(remote: MemoryRemote):
    kinds = Kinds((Kind(name="rule", globs=("rules/**",), id_pointer="/id"),))
    store = MemoryStore("project", kinds=kinds)
    without = {f"rules/{name}": b'{"name": 1}' for name in "cef"}
    zero = b'{"id": "0000"}'
    remote.commit({"rules/a": b'{"id": 1}', "rules/b": b"", "d": b"", "rules/z": zero, **without})
    planned, report = report_of(plan_pull(store, remote)), pull(store, remote)
    assert [(note.path, note.text) for note in report.notes] == [
        ("rules/b", "no id can be read at /id: it is empty"),
        ("rules/c", "no id is at /id, in 3 new or changed assets of the kind rule"),
        ("rules/z", "the id at /id is a placeholder"),
    ]
    assert planned.notes == report.notes
    assert report.notes[0].asset_id in {item.asset_id for item in report.created}
    assert pull(store, remote).notes == ()


def test_notes_are_about_what_is_pulled_also_when_it_was_left_out_before(remote: MemoryRemote):
    kinds = Kinds((Kind(name="rule", globs=("**",), id_pointer="/id"),))
    store = MemoryStore("project", kinds=kinds)
    both = dict.fromkeys(("c", "d"), b'{"id": "x"}')
    remote.commit({"a": b'{"id": "y"}', "b": b'{"id": "0"}', **both})
    only = PullOptions(only=Selection(globs=("a",)))
    assert pull(store, remote, only).notes == ()
    report = pull(store, remote, PullOptions(only=Selection(globs=("b",))))
    assert [(note.path, note.text) for note in report.notes] == [
        ("b", "the id at /id is a placeholder")
    ]
    planned, report = report_of(plan_pull(store, remote)), pull(store, remote)
    assert [note.path for note in report.notes] == ["c"]
    assert "its id 'x' is in d too" in report.notes[0].text
    assert planned.notes == report.notes
    assert pull(store, remote).notes == ()


def test_a_swap_of_names_that_was_left_out_is_pulled_later(remote: MemoryRemote):
    kinds = Kinds((Kind(name="rule", globs=("**",), id_pointer="/id"),))
    store = MemoryStore("project", kinds=kinds)
    one, two = b"id: one\n", b"id: two\n"
    remote.commit({"a.yml": one, "b.yml": two, "c.yml": b"id: c\n"})
    pull(store, remote)
    ids = {path: record.id for path in "abc" if (record := now(store).at(P(f"{path}.yml")))}
    remote.commit({"a.yml": two, "b.yml": one, "c.yml": b"id: c\nv: 1\n"})
    first = pull(store, remote, PullOptions(only=Selection(globs=("c.yml",))))
    assert [(item.path, item.behind) for item in first.behind] == [
        ("a.yml", "left_out"),
        ("b.yml", "left_out"),
    ]
    store.put(P("a.yml"), one + b"mine: 1\n")
    second = pull(store, remote)
    assert [(item.path, item.asset_id) for item in second.updated] == [
        ("a.yml", ids["b"]),
        ("b.yml", ids["a"]),
    ]
    assert dict(store.contents())[P("b.yml")] == (one + b"mine: 1\n", False)
    assert pull(store, remote).listed == ()


@pytest.mark.parametrize("options", [PullOptions(), SKIP, PullOptions(use_saved=False)])
@pytest.mark.parametrize("edited", [False, True])
def test_a_pull_of_nothing_new_is_what_the_merge_makes_of_it(
    store: MemoryStore,
    remote: MemoryRemote,
    options: PullOptions,
    edited: bool,
    monkeypatch: pytest.MonkeyPatch,
):
    remote.commit({"a": b"1", "b": b"2"})
    pull(store, remote)
    if edited:
        store.put(P("a"), b"edited")
        store.put(P("c"), b"new")
    made = plan_pull(store, remote, options)
    assert made.is_noop
    monkeypatch.setattr(sys.modules["towline.pull"], "is_up_to_date", lambda *_: False)
    assert made == plan_pull(store, remote, options)


def test_what_lags_is_looked_at_though_nothing_is_new(store: MemoryStore, remote: MemoryRemote):
    moved_here_and_deleted_there(store, remote)
    assert plan_pull(store, remote, SKIP).items
