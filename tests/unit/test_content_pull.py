"""Pulls that merge contents, over a store and a remote in memory."""

from __future__ import annotations

import pytest

from tests.unit.both_changed import both_changed
from towline import (
    AssetPath,
    Kind,
    Kinds,
    MemoryRemote,
    MemoryStore,
    OnConflict,
    PullOptions,
    plan_pull,
    pull,
    undo,
)
from towline.content_rules import ContentMode, ContentRules, FieldRule
from towline.errors import InvalidValue
from towline.report import report_of

NEVER = PullOptions(content_merge=ContentMode.NEVER)
BASE = b'{"name": "x", "version": 1, "steps": [{"id": "a", "v": 1}]}'
OURS = b'{"name": "x", "version": 2, "steps": [{"id": "a", "v": 2}]}'
THEIRS = b'{"name": "y", "version": 1, "steps": [{"id": "a", "v": 1}, {"id": "b", "v": 1}]}'
BOTH = b'{"name": "y", "version": 2, "steps": [{"id": "a", "v": 2}, {"id": "b", "v": 1}]}'


def content(store: MemoryStore, path: str = "a.json") -> bytes:
    return store.contents()[AssetPath(path)][0]


def test_contents_are_merged_unless_the_pull_says_never():
    store, remote = both_changed(BASE, OURS, THEIRS)
    assert pull(store, remote, NEVER).status == "conflicts"
    planned = plan_pull(store, remote)
    report = pull(store, remote)
    assert content(store) == BOTH
    (item,) = report.updated
    assert (item.rule, item.merged, item.merged_by) == (8, True, "structure")
    assert report_of(planned).updated == report.updated
    assert pull(store, remote).status == "up-to-date"
    undo(store)
    assert content(store) == OURS


def test_lines_are_merged_where_nothing_is_parsed():
    store, remote = both_changed(b"1\n2\n3\n", b"0\n2\n3\n", b"1\n2\n4\n", name="a.txt")
    (item,) = pull(store, remote).updated
    assert item.merged_by == "lines"
    assert content(store, "a.txt") == b"0\n2\n4\n"


def test_fields_that_clash_stay_a_conflict():
    store, remote = both_changed(BASE, OURS, THEIRS.replace(b'"version": 1', b'"version": 3'))
    assert pull(store, remote).status == "conflicts"
    assert content(store) == OURS


def test_a_kind_says_more():
    theirs = THEIRS.replace(b'"version": 1', b'"version": 3')
    larger = ContentRules(fields=(("/version", FieldRule.LARGER),))
    store, remote = both_changed(BASE, OURS, theirs, rules=larger)
    pull(store, remote)
    assert content(store) == BOTH.replace(b'"version": 2', b'"version": 3')
    never = ContentRules(mode=ContentMode.NEVER)
    store, remote = both_changed(BASE, OURS, THEIRS, rules=never)
    assert pull(store, remote).status == "conflicts"


@pytest.mark.parametrize("mode", ContentMode)
@pytest.mark.parametrize("base", [None, b"", b'{"a": 0}'])
def test_one_content_in_two_spellings_keeps_ours(base: bytes | None, mode: ContentMode):
    store, remote = both_changed(base, b'{"a": 1, "b": 2}', b'{"b":2,"a":1}\n')
    assert pull(store, remote, PullOptions(content_merge=mode)).status == "up-to-date"
    assert content(store) == b'{"a": 1, "b": 2}'


def test_a_plan_contains_what_it_merged():
    store, remote = both_changed(BASE, OURS, THEIRS)
    plan = plan_pull(store, remote)
    assert [merged for _, merged in plan.merged] == [BOTH]


def test_an_unknown_way_to_merge_is_refused():
    with pytest.raises(InvalidValue, match="content_merge"):
        PullOptions(content_merge="patience")  # type: ignore[arg-type] # a caller's mistake


def test_what_a_merge_leaves_is_for_the_policy():
    store, remote = both_changed(BASE, OURS, THEIRS.replace(b'"version": 1', b'"version": 3'))
    options = PullOptions(on_conflict=OnConflict.THEIRS)
    assert [item.merged_by for item in pull(store, remote, options).overwritten] == [None]


def test_contents_of_two_assets_are_never_merged():
    """Theirs put another asset, by its embedded id, at the path of one that was edited here."""
    kind = Kind(name="file", globs=("**",), id_pointer="/id")
    store, remote = MemoryStore("project", kinds=Kinds((kind,))), MemoryRemote()
    here, other = b'{"id": "a", "x": 1, "y": 1}', b'{"id": "b", "x": 2, "y": 1}'
    remote.commit({"a.json": here, "b.json": other})
    pull(store, remote)
    store.put(AssetPath("a.json"), here.replace(b'"y": 1', b'"y": 5'))
    remote.commit({"a.json": other.replace(b'"x": 2', b'"x": 9'), "c": b"1"})
    report = pull(store, remote)
    assert report.status == "conflicts"
    assert content(store) == here.replace(b'"y": 1', b'"y": 5')
