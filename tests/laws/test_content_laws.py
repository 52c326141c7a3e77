"""What holds of every structural merge of JSON, whatever the sides are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from tests.laws.budget import CONTENT_EXAMPLES, TOTAL, law
from towline.content.decision import value_of
from towline.content.formats import formats_of
from towline.content.json_values import parse_json
from towline.content.structure import StructureMerge, merge_values
from towline.model import ThreeWay

Json = Any

SCALARS = st.sampled_from([None, True, False, 0, 1, 1.0, -3, 1.5, "", "a", "b", "é\n", "1"])
KEYS = st.sampled_from("abcde")


def containers(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    named = st.builds(lambda at, value: {"id": at, "v": value}, st.integers(0, 6), inner)
    return (
        st.dictionaries(KEYS, inner, max_size=4)
        | st.lists(named, max_size=4, unique_by=lambda item: item["id"])
        | st.lists(st.sampled_from("pqrst"), max_size=4, unique=True)
        | st.lists(inner, max_size=4)
    )


VALUES = st.recursive(SCALARS, containers, max_leaves=12)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=4)


@st.composite
def edited(draw: st.DrawFn, value: Json) -> Json:
    """Draw what an editor could make of a value."""
    action = draw(st.integers(0, 9))
    if action == 0:
        return draw(VALUES)
    if isinstance(value, dict):
        fields = {
            key: item if key == "id" else draw(edited(item))
            for key, item in value.items()
            if key == "id" or draw(st.integers(0, 9))
        }
        if action == 1:
            fields[draw(KEYS)] = draw(VALUES)
        return dict(draw(st.permutations(list(fields.items())))) if action == 2 else fields
    if isinstance(value, list):
        items = [draw(edited(item)) for item in value if draw(st.integers(0, 9))]
        if action == 1:
            items.insert(draw(st.integers(0, len(items))), draw(VALUES))
        return list(draw(st.permutations(items))) if action == 2 else items
    return draw(SCALARS) if action == 3 else value


@st.composite
def spelled(draw: st.DrawFn, value: Json) -> bytes:
    """Draw a way to write a value."""
    indent = draw(st.sampled_from([None, 1, 2, 4, "\t"]))
    separators = (",", ":") if indent is None and draw(st.booleans()) else None
    text = json.dumps(value, indent=indent, separators=separators, ensure_ascii=draw(st.booleans()))
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return (
        draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
        + text.encode()
        + draw(st.sampled_from([b"", b"\n"]))
    )


@st.composite
def three_sides(draw: st.DrawFn) -> ThreeWay[bytes]:
    base = draw(OBJECTS)
    ours, theirs = draw(edited(base)), draw(edited(base))
    assume(isinstance(ours, dict) and isinstance(theirs, dict))
    return ThreeWay(draw(spelled(base)), draw(spelled(ours)), draw(spelled(theirs)))


def merge(sides: ThreeWay[bytes]) -> tuple[bytes, StructureMerge]:
    """Merge documents; where a field conflicts the bytes have ours' value."""
    documents = sides.map(parse_json)
    merged = merge_values(documents.map(lambda document: document.value))
    (json_format,) = formats_of("", sides.ours)
    content = json_format.edit(documents.ours, documents.theirs, merged.merge)
    assert content is not None
    wanted = value_of(merged.merge, documents.ours.value, documents.theirs.value)
    assert value(content) == wanted
    return content, merged


def value(content: bytes) -> Json:
    return parse_json(content).value


def leaves(found: Json) -> Iterator[Json]:
    """Yield every scalar of a value, and every key."""
    if isinstance(found, dict):
        for key, item in found.items():
            yield key
            yield from leaves(item)
    elif isinstance(found, list):
        for item in found:
            yield from leaves(item)
    else:
        yield found


def test_the_budget_is_spent():
    assert sum(CONTENT_EXAMPLES.values()) == TOTAL


@law("content: ours alone is base")
@given(three_sides(), st.data())
def test_where_only_theirs_changed_the_value_is_theirs(sides: ThreeWay[bytes], data: st.DataObject):
    again = data.draw(spelled(json.loads(sides.base)))
    content, merged = merge(ThreeWay(sides.base, again, sides.theirs))
    assert not merged.conflicts
    assert value(content) == value(sides.theirs)


@law("content: theirs alone is base")
@given(three_sides(), st.data())
def test_where_only_ours_changed_its_bytes_stay(sides: ThreeWay[bytes], data: st.DataObject):
    again = data.draw(spelled(json.loads(sides.base)))
    assert merge(ThreeWay(sides.base, sides.ours, again))[0] == sides.ours


@law("content: both are the same")
@given(three_sides(), st.data())
def test_where_both_made_the_same_ours_bytes_stay(sides: ThreeWay[bytes], data: st.DataObject):
    again = data.draw(spelled(json.loads(sides.ours)))
    content, merged = merge(ThreeWay(sides.base, sides.ours, again))
    assert content == sides.ours
    assert not merged.conflicts


@law("content: swap symmetry")
@given(three_sides())
def test_the_sides_conflict_at_the_same_places_the_other_way_about(sides: ThreeWay[bytes]):
    content, merged = merge(sides)
    other, swapped = merge(ThreeWay(sides.base, sides.theirs, sides.ours))
    places = [{conflict.pointer for conflict in each.conflicts} for each in (merged, swapped)]
    assert places[0] == places[1]
    if not merged.conflicts:
        # What both add at one place, and the order of keys, depend on who is asked.
        assert sorted(map(repr, leaves(value(content)))) == sorted(map(repr, leaves(value(other))))


@law("content: no invented value")
@given(three_sides())
def test_every_value_is_from_a_side(sides: ThreeWay[bytes]):
    found = set(leaves(value(merge(sides)[0])))
    assert found <= {*leaves(value(sides.ours)), *leaves(value(sides.theirs))}


@law("content: no lost edit")
@given(three_sides())
def test_a_member_that_one_side_changed_is_as_that_side_has_it(sides: ThreeWay[bytes]):
    content, merged = merge(sides)
    b, o, t, m = (value(side) for side in (sides.base, sides.ours, sides.theirs, content))
    clashing = {conflict.pointer[0] for conflict in merged.conflicts if conflict.pointer}
    for key in o.keys() | t.keys() | b.keys():
        was, mine, other = (side.get(key, "absent") for side in (b, o, t))
        if key in clashing:
            assert m.get(key, "absent") == mine or isinstance(mine, dict | list)
        elif was == other:
            assert m.get(key, "absent") == mine
        elif was == mine:
            assert m.get(key, "absent") == other


@law("content: key order")
@given(three_sides(), st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_matter(sides: ThreeWay[bytes], random: Any):
    def shuffled(found: Json) -> Json:
        if isinstance(found, dict):
            items = [(key, shuffled(item)) for key, item in found.items()]
            random.shuffle(items)
            return dict(items)
        return [shuffled(item) for item in found] if isinstance(found, list) else found

    other = sides.map(lambda side: json.dumps(shuffled(json.loads(side))).encode())
    assert value(merge(sides)[0]) == value(merge(other)[0])


@law("content: twice")
@given(three_sides())
def test_merging_the_outcome_once_more_changes_nothing(sides: ThreeWay[bytes]):
    content, _ = merge(sides)
    assert merge(ThreeWay(sides.theirs, content, sides.theirs))[0] == content


@law("content: bytes")
@given(OBJECTS, KEYS, SCALARS, SCALARS, st.data())
def test_bytes_outside_what_theirs_changed_are_ours(
    rest: Json, key: str, old: Json, new: Json, data: st.DataObject
):
    base = rest | {key: old}
    ours, theirs = data.draw(spelled(base)), data.draw(spelled(base | {key: new}))
    content, _ = merge(ThreeWay(ours, ours, theirs))
    changed = [start for start in range(len(ours)) if ours[start:].startswith(spellings(old))]
    assert any(
        content == ours[:start] + now + ours[start + len(was) :]
        for start in changed
        for was in spellings(old)
        for now in spellings(new)
    )


def spellings(scalar: Json) -> tuple[bytes, ...]:
    return json.dumps(scalar).encode(), json.dumps(scalar, ensure_ascii=False).encode()
