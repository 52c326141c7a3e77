"""Values that are numbered are equal where values are."""

from __future__ import annotations

import itertools

from towline.content.equality import Equality
from towline.content.values import ABSENT, Unmergeable, Value, parse_number

VALUES: tuple[Value, ...] = (
    None,
    True,
    False,
    "1",
    *map(parse_number, ("1", "1.0", "10e-1", "-1")),
    [],
    {},
    ABSENT,
    [[], {}],
    [[], []],
    [{}, []],
    {"a": []},
    {"a": {}},
    {"b": []},
    {"a": [parse_number("1")], "b": "x"},
    {"b": "x", "a": [parse_number("1")]},
    {"a": [parse_number("1.0")], "b": "x"},
    Unmergeable("NaN"),
    Unmergeable([("a", []), ("a", {})]),
    Unmergeable([("a", {}), ("a", [])]),
    Unmergeable(("!tag", [None])),
    ("plain", "1"),
)


def test_numbers_are_equal_where_values_are():
    for pair in itertools.combinations_with_replacement(VALUES, 2):
        equality = Equality()
        one, other = ([each, "x"] for each in pair)
        found = equality.are_equal(one, other)
        assert found == (one == other)
        assert (equality.key(one) == equality.key(other)) == found
        assert equality.are_equal(one, other) == equality.are_equal(*pair) == found
