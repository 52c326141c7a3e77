"""Open conflicts, and the resolutions that settle them."""

from __future__ import annotations

from typing import Any

import pytest

from towline import MemoryRemote, MemoryStore, PullOptions, Side, ThreeWay, plan_pull, pull, undo
from towline.content.fields import Reason
from towline.content.values import ABSENT
from towline.errors import InvalidResolution, InvalidValue
from towline.model import AssetPath
from towline.resolve import OpenConflict, open_conflicts
from towline.testing.plans import now

BASE = b'{"x": 1, "y": 1.5, "z": 1}'
OURS = b'{"x": 2, "z": 1}'
THEIRS = b'{"x": 3, "y": 2.5, "z": 3}'


def project(base: bytes, ours: bytes, theirs: bytes, name: str = "a.json") -> tuple[Any, Any]:
    """Return a project whose one asset both sides changed since the last pull."""
    store, remote = MemoryStore("project"), MemoryRemote()
    remote.commit({"other": b"1", name: base})
    pull(store, remote)
    store.put(AssetPath(name), ours)
    remote.commit({"other": b"1", name: theirs})
    return store, remote


def found_in(store: Any, remote: Any, **options: Any) -> tuple[OpenConflict, ...]:
    plan = plan_pull(store, remote, PullOptions(**options))

    def read(digest: Any) -> bytes | None:
        content: bytes | None = store.read(digest)
        return content or next((each for _, each in remote.contents([digest])), None)

    return open_conflicts(plan, read, kinds=store.kinds)


def test_fields_that_clash_have_their_values_on_three_sides():
    (found,) = found_in(*project(BASE, OURS, THEIRS))
    assert found.contents == ThreeWay(BASE, OURS, THEIRS)
    assert [(each.pointer, each.reason, each.values) for each in found.fields] == [
        ("/x", Reason.BOTH_CHANGED, ThreeWay(1, 2, 3)),
        ("/y", Reason.DELETED_HERE, ThreeWay(1.5, ABSENT, 2.5)),
    ]
    assert (found.path, found.lines, found.takes_content) == ("a.json", (), True)


def test_lines_that_clash_have_their_places():
    base = b"1\n2\n3\n4\n5\n"
    ours, theirs = base.replace(b"4", b"four"), b"0\n" + base.replace(b"4\n", b"")
    (found,) = found_in(*project(base, ours, theirs, "a.txt"))
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
    store, remote = project(BASE, OURS, THEIRS)
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
    (found,) = found_in(*project(base, ours, theirs, name))
    assert [field.pointer for field in found.fields] == [pointer]
    assert found.merged({pointer: Side.THEIRS}) == outcome


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"/x": Side.OURS}, r"'/y' has no side \(fields that clash: '/x', '/y'\)"),
        (
            {"/x": Side.OURS, "/y": Side.OURS, "/z": Side.OURS},
            r"'/z' is no field that clashes \(fields that clash: '/x', '/y'\)",
        ),
    ],
)
def test_fields_are_those_that_clash(fields, problem):
    (found,) = found_in(*project(BASE, OURS, THEIRS))
    with pytest.raises(InvalidResolution, match=problem) as refused:
        found.resolution(fields=fields)
    assert refused.value.fields == ("/x", "/y")


def test_exactly_one_choice_is_taken():
    (found,) = found_in(*project(BASE, OURS, THEIRS))
    choices: list[dict[str, Any]] = [{}, {"fields": {}}, {"side": Side.OURS, "content": b""}]
    for choice in choices:
        with pytest.raises(InvalidValue):
            found.resolution(**choice)
    (text,) = found_in(*project(b"1", b"2", b"3", "a.txt"))
    with pytest.raises(InvalidResolution, match="'/x' is no field that clashes"):
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
    store, remote = project(BASE, OURS, THEIRS)
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


def test_a_text_for_each_place_that_clashes_is_merged_with_the_rest():
    base = b"".join(b"%d\n" % number for number in range(20))
    ours = base.replace(b"3\n4\n", b"3\nfour\n", 1).replace(b"15\n", b"fifteen\nmore\n")
    theirs = (
        base.replace(b"3\n4\n", b"3\nIV\n", 1).replace(b"15\n", b"").replace(b"9\n", b"IX\n", 1)
    )
    (found,) = found_in(*project(base, ours, theirs, name="a.txt"))
    assert len(found.lines) == 2
    picked = found.merged_lines([found.lines[0].lines.theirs, found.lines[1].lines.ours])
    merged = theirs.replace(b"14\n", b"14\nfifteen\nmore\n")
    assert picked == merged
    assert found.merged_lines([b"IV\nfour\n", b"new\n"]) == merged.replace(
        b"IV\n", b"IV\nfour\n"
    ).replace(b"fifteen\nmore\n", b"new\n")
    with pytest.raises(InvalidResolution, match="2 places clash, 1 texts are given"):
        found.merged_lines([b""])
