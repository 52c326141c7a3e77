"""Open conflicts, and the resolutions that settle them."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from tests.laws.documents import three_sides
from tests.unit.both_changed import both_changed
from towline import (
    Kind,
    Kinds,
    MemoryRemote,
    MemoryStore,
    OnConflict,
    PullOptions,
    Side,
    ThreeWay,
    plan_pull,
    pull,
    undo,
)
from towline.content.fields import Reason
from towline.content.values import ABSENT
from towline.content_rules import ContentMode, ContentRules, FieldRule
from towline.errors import InvalidResolution, InvalidValue
from towline.explain import explain
from towline.limits import Limits
from towline.model import AssetPath, Digest
from towline.ports import Watch
from towline.resolve import OpenConflict, PlannedConflicts, open_conflicts, plan_conflicts
from towline.testing.plans import now

BASE = b'{"x": 1, "y": 1.5, "z": 1}'
OURS = b'{"x": 2, "z": 1}'
THEIRS = b'{"x": 3, "y": 2.5, "z": 3}'


def found_in(store: Any, remote: Any, **options: Any) -> tuple[OpenConflict, ...]:
    plan = plan_pull(store, remote, PullOptions(**options))

    def read(digest: Any) -> bytes | None:
        content: bytes | None = store.read(digest)
        return content or next((each for _, each in remote.contents([digest])), None)

    return open_conflicts(plan, read, kinds=store.kinds)


def test_fields_that_clash_have_their_values_on_three_sides():
    (found,) = found_in(*both_changed(BASE, OURS, THEIRS))
    assert found.contents == ThreeWay(BASE, OURS, THEIRS)
    assert [(each.pointer, each.reason, each.values) for each in found.fields] == [
        ("/x", Reason.BOTH_CHANGED, ThreeWay(1, 2, 3)),
        ("/y", Reason.DELETED_HERE, ThreeWay(1.5, ABSENT, 2.5)),
    ]
    assert (found.path, found.lines, found.takes_content) == ("a.json", (), True)


def test_lines_that_clash_have_their_places():
    base = b"1\n2\n3\n4\n5\n"
    ours, theirs = base.replace(b"4", b"four"), b"0\n" + base.replace(b"4\n", b"")
    (found,) = found_in(*both_changed(base, ours, theirs, "a.txt"))
    assert found.fields == ()
    (clash,) = found.lines
    assert clash.lines == ThreeWay(b"4\n", b"four\n", b"")
    assert clash.starts == ThreeWay(4, 4, 5)


@pytest.mark.parametrize(
    ("choice", "outcome"),
    [
        ({"side": Side.THEIRS}, THEIRS),
        ({"content": b"by hand"}, b"by hand"),
        (
            {"fields": {"/x": Side.OURS, "/y": Side.THEIRS}},
            b'{"x": 2, "y": 2.5, "z": 3}',
        ),
        ({"fields": {"/x": Side.THEIRS, "/y": Side.OURS}}, b'{"x": 3, "z": 3}'),
    ],
)
def test_a_resolution_is_used_by_the_next_plan(choice, outcome):
    store, remote = both_changed(BASE, OURS, THEIRS)
    (found,) = found_in(store, remote)
    store.save_resolutions([found.resolution(**choice)])
    assert found_in(store, remote) == ()
    assert found_in(store, remote, use_saved=False) == (found,)
    pull(store, remote)
    assert store.contents()[AssetPath("a.json")][0] == outcome


@pytest.mark.parametrize(
    ("name", "base", "ours", "theirs", "pointer", "outcome"),
    [
        (
            "a.yaml",
            b"# flow\nv: 1\nw: 1\n",
            b"# flow\nv: 2\nw: 1\n",
            b"v: 3\nw: 3\n",
            "/v",
            b"# flow\nv: 3\nw: 3\n",
        ),
        (
            "a.json",
            b'[{"id": "a/b", "v": 1}]',
            b'[ {"id": "a/b", "v": 2}]',
            b'[{"id": "c", "v": 1}, {"id": "a/b", "v": 3}]',
            "/[id=a~1b]/v",
            b'[ {"id": "c", "v": 1}, {"id": "a/b", "v": 3}]',
        ),
    ],
)
def test_fields_are_taken_into_ours_own_bytes(name, base, ours, theirs, pointer, outcome):
    (found,) = found_in(*both_changed(base, ours, theirs, name))
    assert [field.pointer for field in found.fields] == [pointer]
    assert found.merged({pointer: Side.THEIRS}) == outcome


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"/x": Side.OURS}, r"choose a side for '/y' \(fields that clash: '/x', '/y'\)"),
        (
            {"/x": Side.OURS, "/y": Side.OURS, "/z": Side.OURS},
            r"'/z' is not a field that clashes \(fields that clash: '/x', '/y'\)",
        ),
    ],
)
def test_fields_are_those_that_clash(fields, problem):
    (found,) = found_in(*both_changed(BASE, OURS, THEIRS))
    with pytest.raises(InvalidResolution, match=problem) as refused:
        found.resolution(fields=fields)
    assert refused.value.fields == ("/x", "/y")


GUARDED = ContentRules(fields=(("/l/*/cred", FieldRule.GUARDED),))
LISTS = {
    "both added": (None, b'{"a": 1, "b": 2, "n": {"x": 1}}', b'{"b": 3, "n": {"x": 2, "y": 1}}'),
    "both added, with elements": (
        None,
        b'{"l": [{"id": 1, "v": 1}, {"id": 2}], "m": [1, 2], "s": ["a"]}',
        b'{"l": [{"id": 1, "v": 2}], "m": [1, 3], "s": ["b"]}',
    ),
    "both added, lists of two lengths": (None, b'{"m": [1, 2], "x": 1}', b'{"m": [2, 1, 3]}'),
    "both added a list, doubled": (
        None,
        b'{"m": [{"id": 1, "v": 1}]}',
        b'{"m": [{"id": 1, "v": 2}, {"id": 1}]}',
    ),
    "both added two types": (None, b'{"m": 1}', b"[1]"),
    "a doubled identity": (
        b'{"m": [{"id": 1}, {"id": 2}]}',
        b'{"m": [{"id": 1}, {"id": 2}, {"id": 2}]}',
        b'{"m": [{"id": 1}, {"id": 2}, {"id": 3}]}',
    ),
    "a list without identities": (b'{"m": [1, 2]}', b'{"m": [1, 3, 4]}', b'{"m": [1, 5]}'),
    "a string that both edited": (b'{"s": ["a", "b"]}', b'{"s": ["a", "c"]}', b'{"s": ["a", "d"]}'),
    "two orders, and an element that clashes": (
        b'{"m": [{"id": 1, "v": 1}, {"id": 2}, {"id": 3}]}',
        b'{"m": [{"id": 2}, {"id": 1, "v": 2}, {"id": 3}]}',
        b'{"m": [{"id": 1, "v": 3}, {"id": 3}, {"id": 2}]}',
    ),
    "guarded, of an element": (
        b'{"l": [{"id": 1, "cred": 1}], "v": 1}',
        b'{"l": [{"id": 1, "cred": 1}], "v": 2}',
        b'{"l": [{"id": 1, "cred": 2}], "v": 1}',
    ),
    "guarded, in a list without identities": (
        b'{"l": [{"x": 1, "cred": 1}], "v": 1}',
        b'{"l": [{"x": 1, "cred": 1}], "v": 2}',
        b'{"l": [{"x": 1, "cred": 2}, {"x": 2}], "v": 1}',
    ),
    "guarded, of another element": (
        b'{"l": [{"id": 1, "cred": 1}], "v": 1}',
        b'{"l": [{"id": 1, "cred": 1}], "v": 2}',
        b'{"l": [{"id": 2, "cred": 2}], "v": 1}',
    ),
    "deleted": (b'{"a": {"x": 1}}', b'{"a": {"x": 2}}', b'{"b": 1}'),
}


def marked(conflict: OpenConflict) -> set[str]:
    """The fields that a difference of the asset marks."""
    known = {Digest.of(each): each for each in conflict.contents if each}
    explained = explain(conflict.party.states, known.get, conflict.rules)
    return {field.pointer for field in explained.fields if field.clashes}


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("name", LISTS)
def test_the_fields_that_are_marked_are_those_that_are_chosen(name: str, side: Side):
    store, remote = both_changed(*LISTS[name], rules=GUARDED)
    (found,) = found_in(store, remote)
    pointers = {field.pointer for field in found.fields}
    assert pointers
    assert marked(found) == pointers
    store.save_resolutions([found.resolution(fields=dict.fromkeys(pointers, side))])
    assert found_in(store, remote) == ()
    report = pull(store, remote)
    assert [item.merged for item in report.updated] in ([True], [])


def test_what_random_documents_mark_is_what_is_chosen():
    random = Random(9)
    for number in range(300):
        sides = three_sides(random, number % 4 + 1)
        if number % 5 == 0:
            sides = replace(sides, base=None)  # type: ignore[arg-type] # both added it
        for found in found_in(*both_changed(*sides)):
            pointers = {field.pointer for field in found.fields}
            assert marked(found) == pointers, sides
            for side in Side if pointers else ():
                found.resolution(fields=dict.fromkeys(pointers, side))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(OURS, None), (None, THEIRS), (b"\0" + OURS, b"\0" + THEIRS), (b"1\n", b"2\n")],
)
def test_where_fields_are_not_merged_none_is_marked_and_none_is_chosen(
    ours: bytes | None, theirs: bytes | None
):
    (found,) = found_in(*both_changed(BASE, ours, theirs))
    assert marked(found) == set()
    with pytest.raises(
        InvalidResolution, match=f"none does in this {found.conflict.kind} conflict"
    ):
        found.resolution(fields={"/x": Side.THEIRS})


@pytest.mark.parametrize(
    ("name", "base", "ours", "theirs", "mode", "problem"),
    [
        ("a.json", BASE, OURS, THEIRS, ContentMode.NEVER, "these contents are never merged"),
        ("a.txt", b"1", b"2", b"3", ContentMode.STRUCTURE, "not all JSON, YAML or TOML"),
        ("a.bin", b"\0001", b"\0002", b"\0003", None, "binary contents are not merged"),
        ("a.yml", b"a: 1\n", b"a: 2 # x\n", b"a: 2 # y\n", None, "a comment would be lost"),
        (
            "a.yml",
            b"a: &x 1\nb: *x\nc: 1\n",
            b"a: &x 1\nb: *x\nc: 2\n",
            b"a: &x 1\nb: 5\nc: 1\n",
            None,
            "cannot be written into ours in place",
        ),
    ],
)
def test_a_conflict_of_no_single_field_says_why(name, base, ours, theirs, mode, problem):
    store, remote = both_changed(base, ours, theirs, name, rules=ContentRules(mode=mode))
    (found,) = found_in(store, remote)
    assert problem in found.problem
    assert (found.fields, found.lines, marked(found)) == ((), (), set())


def test_no_field_is_chosen_where_theirs_is_another_asset():
    kind = Kind(name="file", globs=("**",), id_pointer="/id")
    store, remote = MemoryStore("project", kinds=Kinds((kind,))), MemoryRemote()
    here = b'{"id": "a", "x": 1, "y": 1}'
    remote.commit({"a.json": here})
    pull(store, remote)
    store.put(AssetPath("a.json"), here.replace(b'"x": 1', b'"x": 2'))
    remote.commit({"a.json": b'{"id": "b", "x": 3, "y": 2}'})
    (found,) = found_in(store, remote)
    assert (found.fields, marked(found)) == ((), set())
    store.save_resolutions([found.resolution(side=Side.THEIRS)])
    assert found_in(store, remote) == ()


def test_exactly_one_choice_is_taken():
    (found,) = found_in(*both_changed(BASE, OURS, THEIRS))
    choices: list[dict[str, Any]] = [{}, {"fields": {}}, {"side": Side.OURS, "content": b""}]
    for choice in choices:
        with pytest.raises(InvalidValue):
            found.resolution(**choice)
    (text,) = found_in(*both_changed(b"1", b"2", b"3", "a.txt"))
    with pytest.raises(InvalidResolution, match="'/x' is not a field that clashes"):
        text.resolution(fields={"/x": Side.OURS})


def test_where_paths_clash_a_side_is_chosen():
    store, remote = MemoryStore("project"), MemoryRemote()
    remote.commit({"a": b"1", "b": b"1"})
    pull(store, remote)
    record = now(store).at(AssetPath("a"))
    assert record is not None
    store.move(record.id, AssetPath("folder"))
    store.put(AssetPath("local"), b"1")
    remote.commit({"b": b"1", "folder/new": b"2", "local/new": b"3", "c": b"1"})
    for found in found_in(store, remote):
        with pytest.raises(InvalidResolution):
            found.resolution(content=b"")
        if found.path == "local":
            with pytest.raises(InvalidResolution, match="move it instead"):
                found.resolution(side=Side.OURS)
        else:
            found.resolution(side=Side.OURS)


def test_what_was_resolved_once_is_offered_again():
    store, remote = both_changed(BASE, OURS, THEIRS)
    (found,) = found_in(store, remote)
    assert found.remembered(now(store).remembered_resolutions()) is None
    saved = found.resolution(fields={"/x": Side.THEIRS, "/y": Side.OURS})
    store.save_resolutions([saved])
    pull(store, remote)
    undo(store)
    (found,) = found_in(store, remote)
    assert found.remembered(now(store).remembered_resolutions()) == saved
    store.put(AssetPath("a.json"), OURS + b" ")
    (found,) = found_in(store, remote)
    assert found.remembered(now(store).remembered_resolutions()) is None


def test_a_resolution_that_lapsed_is_noted_once():
    store, remote = both_changed(BASE, OURS, THEIRS)
    (found,) = found_in(store, remote)
    store.save_resolutions([found.resolution(side=Side.OURS)])
    pull(store, remote, PullOptions(on_conflict=OnConflict.THEIRS, use_saved=False))
    assert [note.text for note in pull(store, remote).notes] == [
        "the saved resolution is not used: base and ours changed since"
    ]
    assert pull(store, remote).notes == ()


def test_a_text_for_each_place_that_clashes_is_merged_with_the_rest():
    base = b"".join(b"%d\n" % number for number in range(20))
    ours = base.replace(b"3\n4\n", b"3\nfour\n", 1).replace(b"15\n", b"fifteen\nmore\n")
    theirs = (
        base.replace(b"3\n4\n", b"3\nIV\n", 1).replace(b"15\n", b"").replace(b"9\n", b"IX\n", 1)
    )
    (found,) = found_in(*both_changed(base, ours, theirs, name="a.txt"))
    assert len(found.lines) == 2
    picked = found.merged_lines([found.lines[0].lines.theirs, found.lines[1].lines.ours])
    merged = theirs.replace(b"14\n", b"14\nfifteen\nmore\n")
    assert picked == merged
    assert found.merged_lines([b"IV\nfour\n", b"new\n"]) == merged.replace(
        b"IV\n", b"IV\nfour\n"
    ).replace(b"fifteen\nmore\n", b"new\n")
    with pytest.raises(InvalidResolution, match="2 places clash, but 1 texts were given"):
        found.merged_lines([b""])


def planned(store: Any, remote: Any) -> PlannedConflicts:
    with store.snapshot() as ours:
        revision = remote.fetch(None, Limits(), Watch())
        return plan_conflicts(ours, remote, revision)


def test_what_saved_resolutions_leave_is_what_a_plan_leaves():
    store, remote = both_changed(BASE, OURS, THEIRS)
    store.put(AssetPath("n"), b"mine")
    remote.commit({"other": b"1", "a.json": THEIRS, "n/x": b"theirs"})
    every = planned(store, remote)
    assert (every.open, every.settled) == (every.plan.conflicts, ())
    sides = {str(each.path): each for each in found_in(store, remote)}
    clash, collision = sides["a.json"], sides["n/x"]
    for each in (clash, collision):
        store.save_resolutions([each.resolution(side=Side.THEIRS)])
    left = planned(store, remote)
    assert left.plan.conflicts == every.plan.conflicts
    assert [conflict.path for conflict in left.open] == ["n"]
    assert left.saved.keys() == {clash.party.asset_id, collision.party.asset_id}
    assert left.settled == (clash.party.asset_id,)
    assert [note.path for note in left.unused] == ["n/x"]
    store.save_resolutions([collision.resolution(side=Side.OURS)])
    assert (planned(store, remote).open, planned(store, remote).unused) == ((), ())
    assert sides["n"].party.asset_id in planned(store, remote).settled
    store.put(AssetPath("a.json"), OURS + b" ")
    (note,) = planned(store, remote).unused
    assert note.text == "the saved resolution is not used: ours changed since"
