"""JSON is merged by structure, in ours' own bytes."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from tests.unit.content.merging import conflicts, merge, merged
from towline.content import are_equal, merge_content
from towline.content.fields import Reason
from towline.content.json_values import parse_json
from towline.content.values import MAX_BYTES, NotParsed, TooDeep, shown
from towline.content_rules import ContentRules, FieldRule
from towline.model import ThreeWay
from towline.options import Side

# --- objects ----------------------------------------------------------------------------------


def test_fields_that_each_side_changed_are_both_taken():
    assert merged('{"a":1,"b":2}', '{"a":1,"b":3}', '{"a":2,"b":2}') == '{"a":2,"b":3}'


def test_one_field_that_both_changed_is_a_conflict():
    found = conflicts('{"a":{"x":1},"b":2}', '{"a":{"x":2},"b":2}', '{"a":{"x":3},"b":3}')
    assert found == {"/a/x": Reason.BOTH_CHANGED}


def test_a_key_deleted_on_one_side_and_edited_on_the_other_is_a_conflict():
    assert conflicts('{"a":1}', "{}", '{"a":2}') == {"/a": Reason.DELETED_HERE}
    assert conflicts('{"a":1}', '{"a":2}', "{}") == {"/a": Reason.DELETED_THERE}


def test_a_deletion_of_what_the_other_side_left_alone_is_taken():
    assert merged('{"a": 1, "b": 2, "c": 3}', '{"a": 1, "b": 2, "c": 4}', '{"c": 3}') == '{"c": 4}'


def test_a_key_added_on_both_sides_is_merged_if_equal_and_a_conflict_if_not():
    assert merged('{"z":0}', '{"z":1, "a":[1]}', '{"z":0,"a": [1]}') == '{"z":1, "a":[1]}'
    assert conflicts('{"z":0}', '{"z":0,"a":1}', '{"z":0,"a":{}}') == {"/a": Reason.BOTH_ADDED}


def test_types_are_strict():
    for one, other in [("1", "1.0"), ("1", "true"), ("1", '"1"'), ("0", "null"), ("0", "false")]:
        assert not are_equal("a", f"[{one}]".encode(), f"[{other}]".encode())
        assert conflicts('{"a":"x"}', f'{{"a":{one}}}', f'{{"a":{other}}}')


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a":1,"b":2}', '{ "b": 2,\r\n"a": 1 }\n'),
        ('["\\u00e9"]', '["é"]'),
        ("[1.0]", "[1.00]"),
        ("[1e3]", "[1000.0]"),
        ("[1.5E400]", "[15e399]"),
        ('{"a":1}', '\ufeff{"a":1}'),
    ],
)
def test_what_differs_in_spelling_alone_never_conflicts(one: str, other: str):
    assert are_equal("a", one.encode(), other.encode())
    assert merged('{"old":0}', one, other) == one


# --- ours' bytes ------------------------------------------------------------------------------


def test_everything_but_what_theirs_changed_stays_as_it_is_spelled_here():
    base = '{"n": 1.10, "e": "\\u00e9", "big": 18446744073709551616, "x": {"y": 1}, "k": 1}'
    ours = (
        '\ufeff{\r\n\t"n" : 1.10,\r\n\t"e":"\\u00e9",\r\n\t"big": 18446744073709551616,'
        '\r\n\t"x": {"y":1 },\r\n\t"k": 2\r\n}'
    )
    theirs = json.dumps(json.loads(base) | {"x": {"y": 5}})
    assert merged(base, ours, theirs) == ours.replace('"y":1 ', '"y":5 ')


def test_what_is_added_is_laid_out_as_ours_is():
    base = '{"a": {"x": 1}, "l": []}'
    ours = '{\n    "a": {\n        "x": 2\n    },\n    "l": []\n}\n'
    theirs = json.dumps({"a": {"x": 1, "n": {"k": []}}, "l": [7]}, indent=2).replace("[]", "[1]")
    assert merged(base, ours, theirs) == (
        '{\n    "a": {\n        "x": 2,\n        "n": {\n            "k": [1]\n        }\n    },\n'
        '    "l": [\n        7\n    ]\n}\n'
    )


def test_a_new_key_comes_behind_the_one_that_it_follows_there():
    assert merged('{"a":1,"b":1}', '{"a":1,"b":2}', '{"a":1,"n":1,"b":1}') == '{"a":1,"n":1,"b":2}'
    assert merged('{"a":1,"b":1}', '{"a":1,"b":2}', '{"n":1,"a":1,"b":1}') == '{"n":1,"a":1,"b":2}'


# --- lists ------------------------------------------------------------------------------------

NODES = '{"n":[{"id":"a","v":1},{"id":"b","v":1},{"id":"c","v":1}]}'


def test_elements_with_an_identity_are_edited_added_and_deleted_independently():
    ours = '{"n":[{"id":"a","v":2},{"id":"b","v":1},{"id":"c","v":1},{"id":"o","v":1}]}'
    theirs = '{"n":[{"id":"a","v":1},{"id":"t","v":1},{"id":"c","v":3}]}'
    assert json.loads(merged(NODES, ours, theirs))["n"] == [
        {"id": "a", "v": 2},
        {"id": "t", "v": 1},
        {"id": "c", "v": 3},
        {"id": "o", "v": 1},
    ]


def test_an_element_moved_on_one_side_and_edited_on_the_other_is_both():
    moved = '{"n":[{"id":"c","v":1},{"id":"a","v":1},{"id":"b","v":1}]}'
    edited = NODES.replace('"b","v":1', '"b","v":9')
    for ours, theirs in [(moved, edited), (edited, moved)]:
        found = json.loads(merged(NODES, ours, theirs))["n"]
        assert [(item["id"], item["v"]) for item in found] == [("c", 1), ("a", 1), ("b", 9)]


def test_two_orders_of_the_same_elements_conflict_unless_the_list_is_unordered():
    ours = '{"n":[{"id":"b","v":1},{"id":"a","v":1},{"id":"c","v":1}]}'
    theirs = '{"n":[{"id":"a","v":1},{"id":"c","v":1},{"id":"b","v":2}]}'
    assert conflicts(NODES, ours, theirs)["/n"] is Reason.REORDERED
    unordered = ContentRules(unordered=("/n",))
    assert merged(NODES, ours, theirs, unordered) == ours.replace('"b","v":1', '"b","v":2')


def test_what_both_add_at_one_place_is_all_taken_theirs_first():
    assert merged('{"l":["x","y"]}', '{"l":["x","o","y"]}', '{"l":["x","t","y"]}') == (
        '{"l":["x","t","o","y"]}'
    )
    assert merged('{"l":[]}', '{"l":["o"]}', '{"l":["t"]}') == '{"l":["t","o"]}'


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ("a o c d", "a b t d", "a o t d"),
        ("a b t d", "a o c d", "a o t d"),
        ("a o b c d", "a t c d", "a o t c d"),
        ("a t c d", "a o b c d", "a o t c d"),
        ("o b c d", "a b c t", "o b c t"),
        ("o p c d", "a b t u", "o p t u"),
        ("a b c d o", "a b c t", "a b c t o"),
        ("c d o a b", "a b c t d", "c t d o a b"),
        ("a d", "a b t c d", "a t d"),
    ],
)
def test_edits_of_neighbours_stay_in_their_order(ours: str, theirs: str, expected: str):
    base, mine, other, both = (
        json.dumps({"l": side.split()}) for side in ("a b c d", ours, theirs, expected)
    )
    assert merged(base, mine, other) == both
    spaced = mine.replace(", ", " ,  ")
    assert json.loads(merged(base, spaced, other)) == json.loads(both)
    if len(expected.split()) == len(ours.split()):
        assert merged(base, spaced, other) == both.replace(", ", " ,  ")


def test_a_doubled_identity_is_not_merged_inside():
    doubled = NODES.replace('"id":"b"', '"id":"a"')
    edited = NODES.replace('"c","v":1', '"c","v":9')
    assert conflicts(NODES, doubled, edited) == {"/n": Reason.BOTH_CHANGED}
    assert merged(NODES, NODES, doubled) == doubled


def test_the_kind_names_the_identity():
    base = '[{"id":1,"step":"a","v":1},{"id":1,"step":"b","v":1}]'
    ours = base.replace('"a","v":1', '"a","v":2')
    theirs = '[{"id":1,"step":"n","v":1},' + base[1:]
    rules = ContentRules(identity=(("", "step"),))
    assert merged(base, ours, theirs, rules) == theirs.replace('"a","v":1', '"a","v":2')


def test_lists_of_one_length_are_merged_by_position_and_others_as_lines_are():
    assert merged("[1,2,3]", "[1,2,4]", "[0,2,3]") == "[0,2,4]"
    assert conflicts("[1,2,3]", "[1,2,4]", "[1,2,5]") == {"/2": Reason.BOTH_CHANGED}
    assert merged("[1,2,3,4]", "[1,2,3,4,5]", "[0,1,2,3,4]") == "[0,1,2,3,4,5]"
    assert conflicts("[1,2]", "[1,2,5]", "[1,2,6]") == {"": Reason.BOTH_CHANGED}


def test_an_element_without_an_identity_that_one_side_moved_is_not_merged_inside():
    base = '[{"n":"a","z":0},{"n":"b","z":0}]'
    moved, edited = '[{"n":"b","z":0},{"n":"a","z":0}]', base.replace('"a","z":0', '"a","z":1')
    assert conflicts(base, moved, edited) == {"": Reason.BOTH_CHANGED}
    assert conflicts(base, edited, moved) == {"": Reason.BOTH_CHANGED}


def test_an_edit_goes_to_no_other_element_where_a_deletion_and_an_insertion_moved_all():
    base = '[{"k":5,"m":5},{"k":0,"m":0},{"k":1,"m":1}]'
    moved, edited = '[{"k":0,"m":0},{"k":1,"m":1},{"k":9,"m":1}]', base.replace('"m":1', '"m":2')
    assert conflicts(base, moved, edited) == {"": Reason.BOTH_CHANGED}
    assert conflicts(base, edited, moved) == {"": Reason.BOTH_CHANGED}


UNORDERED = ContentRules(unordered=("",))


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "expected"),
    [
        ("[1,2,3]", "[3,2,1]", "[2,1,3]", "[3,2,1]"),
        ('[{"x":1},{"x":2}]', '[{"x":2},{"x":1},{"x":3}]', '[{"x":2},{"x":4}]', None),
        ("[1,2,2,3]", "[3,2,2,1,5]", "[2,1,3,6]", "[3,2,1,5,6]"),
        ("[1,2]", "[2,1,5]", "[5,1,2]", "[2,1,5]"),
        ("[1,2,3]", "[2,3]", "[3,2]", "[2,3]"),
        ("[1,2]", "[1,2]", "[2,1]", "[2,1]"),
    ],
)
def test_unordered_elements_without_an_identity_are_known_by_their_value(
    base: str, ours: str, theirs: str, expected: str | None
):
    expected = expected or '[{"x":2},{"x":3},{"x":4}]'
    assert merged(base, ours, theirs, UNORDERED) == expected


def test_an_unordered_element_that_both_sides_edited_is_a_conflict():
    base = '[{"x":1,"y":1},{"x":2,"y":2}]'
    ours, theirs = base.replace('"x":1', '"x":5'), base.replace('"y":1', '"y":5')
    for edit in (theirs, '[{"x":2,"y":2}]'):
        assert conflicts(base, ours, edit, UNORDERED) == {"": Reason.BOTH_CHANGED}


def test_an_unordered_element_does_not_replace_a_guarded_field():
    rules = ContentRules(unordered=("",), fields=(("/*/c", FieldRule.GUARDED),))
    base, ours = '[{"c":1},{"c":2}]', '[{"c":2},{"c":1},{"x":3}]'
    assert conflicts(base, ours, base.replace("1", "9"), rules) == {"": Reason.GUARDED}


def test_a_side_for_an_order_leaves_the_edits_of_the_other():
    ours = '{"n":[{"id":"b","v":1},{"id":"a","v":1},{"id":"c","v":1}]}'
    theirs = '{"n":[{"id":"a","v":1},{"id":"c","v":1},{"id":"b","v":2}]}'
    for side, order in ((Side.OURS, "bac"), (Side.THEIRS, "acb")):
        outcome = merge("a.txt", NODES, ours, theirs, choices={("n",): side})
        assert outcome.content is not None
        found = json.loads(outcome.content)["n"]
        assert [(each["id"], each["v"]) for each in found] == [
            (name, 2 if name == "b" else 1) for name in order
        ]


def test_doubled_keys_and_nan_are_compared_as_a_whole():
    assert merged('{"a":{"x":1,"x":2},"b":1}', '{"a":{"x":1,"x":2},"b":2}', '{"a":NaN,"b":1}') == (
        '{"a":NaN,"b":2}'
    )
    assert conflicts('{"a":1}', '{"a":{"x":1,"x":2}}', '{"a":{"x":1,"x":3}}')


# --- bounds -----------------------------------------------------------------------------------


def nested(depth: int, innermost: str, opening: str = "[", closing: str = "]") -> str:
    return opening * depth + innermost + closing * depth


@pytest.mark.parametrize(
    ("opening", "closing"), [("[", "]"), ('{"a": ', "}"), ('[0, {"a": ', "}]")]
)
def test_a_thousand_levels_are_merged_by_structure(opening: str, closing: str):
    base, ours, theirs = (
        nested(998 // len(closing), inner, opening, closing)
        for inner in ('{"x": 1, "y": [1]}', '{"x": 2, "y": [1]}', '{"x":1,"y":[5]}')
    )
    assert merged(base, ours, theirs) == ours.replace("[1]", "[5]")
    assert list(conflicts(base, ours, ours.replace("2", "3")).values()) == [Reason.BOTH_CHANGED]
    assert are_equal("a", ours.encode(), f" {ours}".encode())


def test_a_value_is_shown_up_to_the_depth_of_a_writer():
    deep, deeper = (parse_json(nested(levels, "1").encode()).value for levels in (128, 129))
    assert json.dumps(shown(deep)) == nested(128, "1")
    with pytest.raises(TooDeep):
        shown(deeper)


def test_what_is_too_deep_or_too_large_is_merged_by_lines():
    for large in (
        nested(1_001, "1"),
        nested(2_000, ""),
        nested(200, "," * 2_000_000),
        "[" * 10_000,
    ):
        assert merge("a.txt", large, large + "\n", large).content == f"{large}\n".encode()
        assert merge("a.txt", "[]", large, "[1]").by == "lines"
    long = f'["{"x" * MAX_BYTES}"]'
    assert merge("a.txt", "[]", long, "[1]").by == "lines"


def test_brackets_in_strings_are_no_levels():
    text = json.dumps(["[" * 2_000, '\\"[' * 2_000, "\\" * 3, {'"{': ["}"]}])
    assert merged("[]", "[]", text) == text


DEEP = nested(130, "1")


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "1 1",
        "1,",
        ",1",
        "1, ]",
        "{",
        "{1:2}",
        '{"a" 1}',
        '{"a":}',
        '{"a":1,}',
        "tru",
        '"a',
        "[}",
        '{"a":1]',
    ],
)
def test_a_deep_document_that_is_broken_is_no_json(broken: str):
    with pytest.raises(NotParsed):
        parse_json(f"[{DEEP}, {broken}]".encode())
    with pytest.raises(NotParsed):
        parse_json((DEEP[:-1] + broken).encode())


@pytest.mark.parametrize(
    "sound",
    [
        "1",
        "-1.50e3",
        '"\\u00e9"',
        "null",
        " [ ] ",
        " { } ",
        '{"a" : NaN, "b": [true ,2 ]}',
        '{"a":1,"a":2}',
    ],
)
def test_a_deep_document_has_the_values_of_a_shallow_one(sound: str):
    deep, shallow = (
        parse_json(text.encode()).value for text in (f"[{DEEP},{sound}]", f"[{sound}]")
    )
    assert deep[1] == shallow[0]
    with pytest.raises(NotParsed):
        parse_json(f"{DEEP}{sound}".encode())


def test_many_reordered_elements_take_no_quadratic_time():
    numbers = [str(number) for number in range(100_000)]
    base = "[" + ",".join(numbers) + "]"
    theirs = "[" + ",".join(reversed(numbers)) + ",1]"
    assert merged(base, base + " ", theirs) == theirs + " "
    named, backwards = (
        "[" + ",".join(f'{{"id":{number}}}' for number in order) + "]"
        for order in (numbers, reversed(numbers))
    )
    assert merged(named, named + " ", backwards) == backwards + " "


def test_many_keys_take_no_quadratic_time():
    base = {f"k{number}": 1 for number in range(100_000)}
    ours, theirs = base | {"k1": 2}, dict(reversed((base | {"k3": 4, "new": 5}).items()))
    found = merged(json.dumps(base), json.dumps(ours), json.dumps(theirs))
    assert json.loads(found) == base | {"k1": 2, "k3": 4, "new": 5}


def test_a_merge_takes_at_most_twelve_times_the_memory_of_its_input():
    steps = [{"id": f"step-{n}", "settings": {"table": f"orders_{n}"}} for n in range(1_000)]
    ours = [*steps[:-1], steps[-1] | {"settings": "here"}]
    theirs = [steps[0] | {"settings": "there"}, *steps[1:]]
    sides = ThreeWay(*(json.dumps(each, indent=1).encode() for each in (steps, ours, theirs)))
    merge_content("a.json", sides)
    tracemalloc.start()
    try:
        assert merge_content("a.json", sides).content is not None
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= 12 * sum(map(len, sides))
