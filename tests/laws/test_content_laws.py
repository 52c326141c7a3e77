"""What holds of every structural merge of JSON, whatever the sides are."""

from __future__ import annotations

import json
from copy import deepcopy
from random import Random
from typing import Any

from hypothesis import given

from tests.laws.budget import CONTENT_EXAMPLES, TOTAL, law
from tests.laws.documents import (
    SCALARS,
    SEEDS,
    Json,
    document,
    fields,
    leaves,
    respelled,
    shuffled,
    sides_and_more,
)
from towline.content.decision import value_of
from towline.content.formats import formats_of
from towline.content.json_values import parse_json
from towline.content.structure import StructureMerge, merge_values
from towline.model import ThreeWay

Drawn = tuple[ThreeWay[bytes], Random]


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


def test_the_budget_is_spent():
    assert sum(CONTENT_EXAMPLES.values()) == TOTAL


@law("content: ours alone is base")
@given(sides_and_more())
def test_where_only_theirs_changed_the_value_is_theirs(drawn: Drawn):
    sides, random = drawn
    again = respelled(random, json.loads(sides.base))
    content, merged = merge(ThreeWay(sides.base, again, sides.theirs))
    assert not merged.conflicts
    assert value(content) == value(sides.theirs)


@law("content: theirs alone is base")
@given(sides_and_more())
def test_where_only_ours_changed_its_bytes_stay(drawn: Drawn):
    sides, random = drawn
    again = respelled(random, json.loads(sides.base))
    assert merge(ThreeWay(sides.base, sides.ours, again))[0] == sides.ours


@law("content: both are the same")
@given(sides_and_more())
def test_where_both_made_the_same_ours_bytes_stay(drawn: Drawn):
    sides, random = drawn
    again = respelled(random, json.loads(sides.ours))
    content, merged = merge(ThreeWay(sides.base, sides.ours, again))
    assert content == sides.ours
    assert not merged.conflicts


@law("content: swap symmetry")
@given(sides_and_more())
def test_the_sides_conflict_at_the_same_places_the_other_way_about(drawn: Drawn):
    sides, _ = drawn
    content, merged = merge(sides)
    other, swapped = merge(ThreeWay(sides.base, sides.theirs, sides.ours))
    places = [{conflict.pointer for conflict in each.conflicts} for each in (merged, swapped)]
    assert places[0] == places[1]
    if not merged.conflicts:
        # What both add at one place, and the order of keys, depend on who is asked.
        assert sorted(map(repr, leaves(value(content)))) == sorted(map(repr, leaves(value(other))))


@law("content: no invented value")
@given(sides_and_more())
def test_every_value_is_from_a_side(drawn: Drawn):
    sides, _ = drawn
    found = set(leaves(value(merge(sides)[0])))
    assert found <= {*leaves(value(sides.ours)), *leaves(value(sides.theirs))}


@law("content: no lost edit")
@given(sides_and_more())
def test_a_value_that_one_side_changed_is_as_that_side_has_it(drawn: Drawn):
    sides, _ = drawn
    content, merged = merge(sides)
    clashing = {conflict.pointer for conflict in merged.conflicts}
    check_edits((), [value(side) for side in (*sides, content)], clashing)


def check_edits(pointer: tuple[str, ...], sides: list[Json], clashing: set[Any]) -> None:
    b, o, t, m = sides
    if not any(place[: len(pointer)] == pointer for place in clashing):
        if t in (b, o):
            assert m == o
        elif b == o:
            assert m == t
    objects = [named(side) for side in sides]
    if pointer not in clashing and all(found is not None for found in objects):
        for key in {key for found in objects for key in found or ()}:
            inner = [(found or {}).get(key, "absent") for found in objects]
            check_edits((*pointer, key), inner, clashing)


def named(side: Json) -> dict[str, Json] | None:
    """The members of an object, or the elements of a list whose elements all have an id."""
    if isinstance(side, list) and all(isinstance(item, dict) and "id" in item for item in side):
        found = {f"[id={item['id'][1]}]": item for item in side}
        return found if len(found) == len(side) else None
    return side if isinstance(side, dict) else None


@law("content: key order")
@given(sides_and_more())
def test_the_order_of_keys_does_not_matter(drawn: Drawn):
    sides, random = drawn

    def reordered(found: Json) -> Json:
        if isinstance(found, dict):
            return shuffled(random, {key: reordered(item) for key, item in found.items()})
        return [reordered(item) for item in found] if isinstance(found, list) else found

    other = sides.map(lambda side: json.dumps(reordered(json.loads(side))).encode())
    assert value(merge(sides)[0]) == value(merge(other)[0])


@law("content: twice")
@given(sides_and_more())
def test_merging_the_same_once_more_changes_nothing(drawn: Drawn):
    sides, _ = drawn
    content, merged = merge(sides)
    if not merged.conflicts:
        again, second = merge(ThreeWay(sides.base, content, sides.theirs))
        assert again == content
        # Repeated elements without an identity are paired again, as git pairs repeated lines again.
        for conflict in second.conflicts:
            assert all(isinstance(side, list) and named(side) is None for side in conflict.values)
    assert merge(ThreeWay(sides.theirs, content, sides.theirs))[0] == content


@law("content: bytes")
@given(SEEDS)
def test_bytes_outside_the_fields_that_theirs_changed_are_ours(drawn: tuple[int, int]):
    seed, size = drawn
    random = Random(seed)
    base = document(random, size)
    places = list(range(len(list(fields(base)))))
    random.shuffle(places)
    changed = {place: random.choice(SCALARS) for place in places[:5]}
    mine = with_fields(base, {place: random.choice(SCALARS) for place in places[5:8]})
    # Written once with a mark in each field that theirs changes.
    marked = respelled(random, with_fields(mine, {place: f"<{place}>" for place in changed}))
    was = [found[key] for found, key in fields(base)]
    ours = with_marks(marked, {place: json.dumps(was[place]) for place in changed})
    theirs = respelled(random, with_fields(base, changed))
    content, merged = merge(ThreeWay(json.dumps(base).encode(), ours, theirs))
    assert not merged.conflicts
    new = {place: scalar for place, scalar in changed.items() if not is_same(was[place], scalar)}
    assert content in [
        with_marks(
            marked,
            {place: json.dumps(was[place]) for place in changed}
            | {place: json.dumps(scalar, ensure_ascii=escapes) for place, scalar in new.items()},
        )
        for escapes in (True, False)
    ]


def with_fields(found: Json, changed: dict[int, Json]) -> Json:
    made = deepcopy(found)
    for place, (parent, key) in enumerate(list(fields(made))):
        if place in changed:
            parent[key] = changed[place]
    return made


def with_marks(text: bytes, spelled: dict[int, str]) -> bytes:
    for place, scalar in spelled.items():
        text = text.replace(f'"<{place}>"'.encode(), scalar.encode())
    return text


def is_same(one: Json, other: Json) -> bool:
    return type(one) is type(other) and bool(one == other)
