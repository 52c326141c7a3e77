"""What a kind says of its fields; a guarded one is never replaced, whatever way a merge takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.content.merging import conflicts, merge, merged
from towline.content import merge_content
from towline.content.fields import Reason
from towline.content.json_values import parse_json
from towline.content.merge import Choices
from towline.content.values import MAX_BYTES
from towline.content_rules import ContentMode, ContentRules, FieldRule
from towline.model import ThreeWay
from towline.options import Side


@pytest.mark.parametrize(
    ("rule", "expected"),
    [(FieldRule.THEIRS, "2.10"), (FieldRule.OURS, "2.9"), (FieldRule.LARGER, "2.9")],
)
def test_a_volatile_field_is_settled_by_its_rule(rule: FieldRule, expected: str):
    rules = ContentRules(fields=(("/*/v", rule),))
    found = merged('{"a":{"v":2.0}}', '{"a":{"v":2.9}}', '{"a":{"v":2.10}}', rules)
    assert found == f'{{"a":{{"v":{expected}}}}}'


def test_larger_takes_the_later_text_and_the_larger_of_huge_numbers():
    rules = ContentRules(fields=(("/v", FieldRule.LARGER),))
    for base, smaller, larger in [
        ('"2024-01-01"', '"2024-02-01"', '"2024-03-01"'),
        ("1", "2" * 5_000, "3" * 5_000),
        ("1", "9", "10"),
    ]:
        was, ours, theirs = (f'{{"v":{value}}}' for value in (base, smaller, larger))
        assert merged(was, ours, theirs, rules) == theirs
        assert merged(was, theirs, ours, rules) == theirs


@pytest.mark.parametrize(
    ("path", "spelled", "ours", "theirs"),
    [
        ("a.json", '{{"v": {}}}', "1", '"1"'),
        ("a.json", '{{"v": {}}}', "true", "2"),
        ("a.json", '{{"v": {}}}', "[1]", "[2]"),
        ("a.yml", "v: {}\n", "2024-02-01", '"2024-03-01"'),
        ("a.yml", "v: {}\n", "1e3", "1e4"),
        ("a.toml", "v = {}\n", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00"),
        ("a.toml", "v = {}\n", "2024-02-01T12:00:00+02:00", "2024-02-01T11:00:00Z"),
        ("a.toml", "v = {}\n", "1.5", "inf"),
    ],
)
def test_what_cannot_be_compared_has_no_larger_one(path: str, spelled: str, ours: str, theirs: str):
    rules = ContentRules(fields=(("/v", FieldRule.LARGER),))
    sides = ThreeWay(*(spelled.format(value).encode() for value in ("0", ours, theirs)))
    outcome = merge_content(path, sides, rules)
    assert [(each.pointer, each.reason) for each in outcome.fields] == [(("v",), "both_changed")]


@pytest.mark.parametrize(
    ("path", "spelled", "smaller", "larger"),
    [
        ("a.yml", "v: {}\n", "2024-02-01", "2024-03-01"),
        ("a.yml", "v: {}\n", "2024-02-01T10:00:00Z", "2024-02-01T10:00:00.5Z"),
        ("a.toml", "v = {}\n", "2024-02-01T12:00:00+00:00", "2024-02-01T13:00:00Z"),
        ("a.toml", "v = {}\n", "07:00:00", "17:00:00"),
        ("a.toml", "v = {}\n", "9", "10.5"),
    ],
)
def test_larger_takes_the_later_date_or_time(path: str, spelled: str, smaller: str, larger: str):
    rules = ContentRules(fields=(("/v", FieldRule.LARGER),))
    base, one, other = (spelled.format(value).encode() for value in ("0", smaller, larger))
    assert merge_content(path, ThreeWay(base, one, other), rules).content == other
    assert merge_content(path, ThreeWay(base, other, one), rules).content == other


def test_a_guarded_field_that_theirs_changed_is_a_conflict():
    rules = ContentRules(fields=(("/account", FieldRule.GUARDED),))
    base, ours, theirs = '{"account":"a","x":1}', '{"account":"a","x":2}', '{"account":"b","x":1}'
    assert conflicts(base, ours, theirs, rules) == {"/account": Reason.GUARDED}
    assert merged(base, theirs, ours, rules) == '{"account":"b","x":2}'


def test_a_conflict_is_settled_by_a_side_for_its_field():
    sides = ('{"a":1,"b":1}', '{"a":2,"b":1}', '{"a":3,"b":4}')
    for side, expected in [(Side.THEIRS, '{"a":3,"b":4}'), (Side.OURS, '{"a":2,"b":4}')]:
        outcome = merge("a.txt", *sides, choices={("a",): side})
        assert outcome.content == expected.encode()


# --- guarded fields ---------------------------------------------------------------------------

GUARDED = ContentRules(fields=(("/l/*/cred", FieldRule.GUARDED),))


@pytest.mark.parametrize("mode", [ContentMode.AUTO, ContentMode.LINES])
def test_a_guarded_field_is_never_merged_silently(mode: ContentMode):
    base = '{"l": [\n{"x": 1, "cred": 1},\n{"x": 2, "cred": 2}\n]}\n'
    ours = base.replace("[\n", '[\n{"x": 0},\n')
    theirs = base.replace('"cred": 2', '"cred": 3')
    rules = replace(GUARDED, mode=mode)
    outcome = merge("a.json", base, ours, theirs, rules)
    assert outcome.content is None
    assert [(field.pointer, field.reason) for field in outcome.fields] == [(("l",), "guarded")]
    values = [json_value(side)["l"] for side in (base, ours, theirs)]
    assert outcome.fields[0].values == ThreeWay(*values)
    taken = merge("a.json", base, ours, theirs, rules, {("l",): Side.THEIRS})
    assert taken.content == ours.replace('"cred": 2', '"cred": 3').encode()


def json_value(text: str) -> Any:
    return parse_json(text.encode()).value


TWO_LISTS = """{"l": [
{"x": 1, "cred": 1},
{"x": 2, "cred": 2}
],
"v": 1,
"m": [
{"x": 1, "cred": 5},
{"x": 2, "cred": 6}
]}
"""


def test_theirs_for_one_guarded_field_is_not_theirs_for_the_others():
    ours = TWO_LISTS.replace('{"x": 1', '{"y": 0},\n{"x": 1')
    theirs = TWO_LISTS.replace('"cred": 2', '"cred": 3').replace('"cred": 6', '"cred": 7')
    sides = ("a.json", TWO_LISTS, ours, theirs)
    rules = ContentRules(fields=(("/*/*/cred", FieldRule.GUARDED),))
    one: Choices = {("l",): Side.THEIRS}
    assert [each.pointer for each in merge(*sides, rules, one).fields] == [("m",)]
    both = merge(*sides, rules, {**one, ("m",): Side.OURS})
    assert both.content == ours.replace('"cred": 2', '"cred": 3').encode()


def test_a_guarded_field_of_an_element_that_gave_way_to_another():
    base = '{"l": [{"id": "a", "cred": 1}, {"id": "b", "cred": 2}], "v": 1}'
    theirs = base.replace('"a", "cred": 1', '"c", "cred": 3')
    sides = ("a.json", base, base.replace('"v": 1', '"v": 2'), theirs)
    (field,) = merge(*sides, GUARDED).fields
    assert (field.pointer, field.reason) == (("l", "[id=a]"), "guarded")
    for side, count in ((Side.THEIRS, 2), (Side.OURS, 3)):
        outcome = merge(*sides, GUARDED, {field.pointer: side})
        assert outcome.content is not None
        assert len(json_value(outcome.content.decode())["l"]) == count


def test_a_guarded_field_may_be_new():
    base = '{"l": [{"x": 1, "cred": 1}], "v": 1}'
    ours = base.replace('"v": 1', '"v": 2')
    theirs = base.replace("}]", '}, {"x": 2, "cred": 9}]')
    assert merge("a.json", base, ours, theirs, GUARDED).content is not None


SECRET = ContentRules(fields=(("/s/secret", FieldRule.GUARDED),))
LAID_OUT = '{"s": {\n"secret": 1,\n"q": 2\n},\n"a": 1,\n"b": 1,\n"c": 1,\n"d": 1\n}\n'
DEEP = '"b":' + "[" * 1_100 + "]" * 1_100
NOT_CHECKED = {
    "comments": ("a.json", LAID_OUT.replace('"b"', '// why\n"b"')),
    "a comment first": ("a.json", "// why\n" + LAID_OUT),
    "too large": ("a.json", LAID_OUT.replace('"b": 1', f'"b": "{"x" * MAX_BYTES}"')),
    "too deep": ("a.json", LAID_OUT.replace('"b": 1', DEEP)),
    "a template": ("a.yml", "s:\n  secret: 1\na: {% x %}\nb: 1\nc: 1\nd: 1\n"),
    "a doubled key": ("a.json", LAID_OUT.replace('"q": 2', '"q": 2,\n"q": 2')),
    "all doubled": ("a.json", LAID_OUT.replace('"a": 1', '"a": 1,\n"a": 1')),
    "a tag": ("a.yml", "s: !x\n  secret: 1\na: 1\nb: 1\nd: 1\n"),
}


@pytest.mark.parametrize("mode", [ContentMode.AUTO, ContentMode.LINES])
@pytest.mark.parametrize("name", NOT_CHECKED)
def test_a_guarded_field_is_not_replaced_where_it_cannot_be_looked_at(name: str, mode: ContentMode):
    path, base = NOT_CHECKED[name]
    ours = base.replace('"d": 1', '"d": 2').replace("d: 1", "d: 2")
    theirs = base.replace('"secret": 1', '"secret": 9').replace("secret: 1", "secret: 9")
    assert base not in (ours, theirs)
    assert merge(path, base, ours, theirs, replace(SECRET, mode=mode)).content is None


@pytest.mark.parametrize("broken", [0, 1, 2])
def test_a_guarded_field_is_not_replaced_where_one_side_is_broken(broken: int):
    texts = [LAID_OUT, LAID_OUT.replace('"d": 1', '"d": 2')]
    texts.append(LAID_OUT.replace('"secret": 1', '"secret": 9'))
    texts[broken] = texts[broken].replace('"a": 1,', '"a": 1,,')
    base, ours, theirs = texts
    assert merge("a.json", base, ours, theirs, SECRET).content is None


def test_a_guarded_field_is_not_replaced_where_one_side_is_several_documents():
    base = "s:\n  secret: 1\na: 1\nb: 1\nd: 1\n"
    ours, theirs = base.replace("b: 1", "b: 2"), base.replace("t: 1", "t: 9") + "---\nx: 1\n"
    assert merge("a.yml", base, ours, theirs, SECRET).content is None


@pytest.mark.parametrize("mode", [ContentMode.AUTO, ContentMode.LINES])
@pytest.mark.parametrize(
    ("base", "theirs"),
    [
        ('{"id": "a",\n"cred": 1}', '{"id": "a",\n"cred": 9}'),
        ('{"id": "z"},\n{"id": "a",\n"cred": 1}', '{"id": "a",\n"cred": 9},\n{"id": "z"}'),
        ('{"id": "a",\n"cred": 1}', '{"id": "b",\n"cred": 9}'),
        ('{"x": 1},\n{"x": 2,\n"cred": 1}', '{"y": 9,\n"cred": 9},\n{"x": 1},\n{"x": 3}'),
    ],
)
def test_a_guarded_number_is_any_element_that_has_no_place(
    base: str, theirs: str, mode: ContentMode
):
    was, there = (f'{{"l": [\n{side}\n],\n"v": 1,\n"w": 1,\n"z": 1}}' for side in (base, theirs))
    rules = ContentRules(mode=mode, fields=(("/l/0/cred", FieldRule.GUARDED),))
    outcome = merge("a.json", was, was.replace('"z": 1}', '"z": 2}'), there, rules)
    assert outcome.content is None
    assert {field.reason for field in outcome.fields} == {"guarded"}


@pytest.mark.parametrize("mode", [ContentMode.AUTO, ContentMode.LINES])
@pytest.mark.parametrize("merged", ["*d", "[*d]", "[*e, *d]"])
def test_what_yaml_merges_into_a_mapping_is_guarded_there(merged: str, mode: ContentMode):
    base = f"d: &d\n  cred: 1\n  x: 1\ne: &e\n  y: 1\na:\n  <<: {merged}\n  z: 1\nv: 1\n"
    ours, theirs = base.replace("v: 1", "v: 2"), base.replace("cred: 1", "cred: 9")
    rules = ContentRules(mode=mode, fields=(("/a/cred", FieldRule.GUARDED),))
    assert merge("a.yaml", base, ours, theirs, rules).content is None
    rules = replace(rules, fields=(("/a/y", FieldRule.GUARDED),))
    found = merge("a.yaml", base, ours, theirs, rules).content
    assert found == theirs.replace("v: 1", "v: 2").encode()


def test_guarded_comes_before_other_rules():
    base = '{"cred": 1,\n"v": 1,\n"w": 1}'
    rules = ContentRules(fields=(("/*", FieldRule.THEIRS), ("/cred", FieldRule.GUARDED)))
    (field,) = merge(
        "a.json", base, base.replace("1}", "2}"), base.replace("1,", "3,"), rules
    ).fields
    assert (field.pointer, field.reason) == (("cred",), "guarded")


def test_a_guarded_number_is_one_element_of_a_list_by_position():
    base = '{"l": [{"cred": 1}, {"cred": 2}], "v": 1}'
    ours, theirs = base.replace('"v": 1', '"v": 2'), base.replace('"cred": 2', '"cred": 3')
    for number, merges in (("0", True), ("1", False)):
        rules = ContentRules(fields=((f"/l/{number}/cred", FieldRule.GUARDED),))
        found = merge("a.json", base, ours, theirs, rules)
        assert (found.content is not None) is merges
