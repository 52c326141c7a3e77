"""Which way a content is merged, and what is no merge at all."""

from __future__ import annotations

import pytest

from tests.unit.content.merging import content, merge
from towline.content import are_equal, merge_content
from towline.content.values import MAX_BYTES
from towline.content_rules import ContentMode, ContentRules, MergedBy
from towline.model import ThreeWay


def test_text_is_merged_by_lines():
    outcome = merge("a.txt", "1\n2\n3\n", "0\n2\n3\n", "1\n2\n4\n")
    assert (outcome.content, outcome.by) == (b"0\n2\n4\n", MergedBy.LINES)


def test_lines_that_clash_are_named():
    outcome = merge("a.txt", "1\n2\n", "1\no\n", "1\nt\n")
    assert outcome.content is None
    assert [region.base for region in outcome.regions] == [range(1, 2)]


def test_binary_content_is_never_merged():
    assert content("a.bin", "1\n2\n3\0", "0\n2\n3\0", "1\n2\n3\0\n4\n") is None


def test_modes():
    sides = ("a.json", '{\n"a":1,\n"b":1\n}', '{\n"a":2,\n"b":1\n}', '{\n"a":1,\n"b":2\n}')
    by = {mode: merge(*sides, ContentRules(mode=mode)).by for mode in ContentMode}
    assert by == {
        ContentMode.AUTO: MergedBy.STRUCTURE,
        ContentMode.STRUCTURE: MergedBy.STRUCTURE,
        ContentMode.LINES: MergedBy.LINES,
        ContentMode.NEVER: None,
    }
    structure = ContentRules(mode=ContentMode.STRUCTURE)
    assert merge("a.txt", "1\n2\n3\n", "0\n2\n3\n", "1\n2\n4\n", structure).by is None


def test_lines_that_make_no_document_any_more_are_a_conflict():
    base = '{\n"a": 1,\n\n\n"b": 2\n}\n'
    ours, theirs = base.replace('"a": 1,\n', ""), base.replace(',\n\n\n"b": 2', "\n\n\n")
    assert merge("a.json", base, ours, theirs, ContentRules(mode=ContentMode.LINES)).content is None


COMMENTED = {
    "theirs alone": ("a: 1\nb: 2\nc: 3\n", "a: 9\nb: 2\nc: 3\n", "a: 1\nb: 2\nc: 3 # why\n"),
    "theirs, with a value": (
        "a: 1\nb: 2\nc: 3\nd: 4\n",
        "a: 9\nb: 2\nc: 3\nd: 4\n",
        "a: 1\nb: 2\nc: 7 # why\nd: 4\n",
    ),
}


@pytest.mark.parametrize("name", COMMENTED)
def test_a_comment_of_theirs_is_taken(name: str):
    base, ours, theirs = COMMENTED[name]
    assert content("a.yml", base, ours, theirs) == theirs.replace("a: 1", "a: 9")


LOST = {
    "theirs, beside an edit of ours": (
        "a.yml",
        "a: 1\nb: 2\n",
        "a: 9\nb: 2\n",
        "a: 1 # why\nb: 2\n",
    ),
    "ours, on what theirs deletes": (
        "a.yml",
        "a: 1\nb: 2\n",
        "a: 1\nb: 2 # mine\n",
        "a: 1\n",
    ),
    "both, where the values are equal": (
        "a.toml",
        "a = 1\n",
        "a = 2 # mine\n",
        "a = 2 # yours\n",
    ),
}


@pytest.mark.parametrize("name", LOST)
def test_a_comment_is_never_lost(name: str):
    assert content(*LOST[name]) is None


def test_one_content_in_two_spellings_has_no_comment_that_the_other_lacks():
    assert are_equal("a.yml", b"a: 1 # mine\n", b"a:   1\n")
    assert not are_equal("a.yml", b"a: 1\n", b"a: 1 # yours\n")


SPELLINGS = {
    "indent": ("a.json", b'{"a": [1]}', b'{\n  "a": [1]}'),
    "key order": ("a.json", b'{"a": 1, "b": 2}', b'{"b": 2, "a": 1}'),
    "escapes": ("a.json", b'["\\u00e9/"]', '["é\\/"]'.encode()),
    "zeros": ("a.json", b"[1.0, 1e3]", b"[1.00, 1000.0]"),
    "final newline": ("a.json", b'{"a": 1}', b'{"a": 1}\n'),
    "byte order mark": ("a.json", b'{"a": 1}', b'\xef\xbb\xbf{"a": 1}'),
    "line ends": ("a.json", b'{\n"a": 1}', b'{\r\n"a": 1}'),
    "yaml": ("a.yml", b"a: 1 # x\nb: [x]\n", b'\xef\xbb\xbfb:\r\n- "x"\r\na: 1   # x'),
    "toml": ("a.toml", b"a = 1_0\nb.c = 'x'\n", b'\xef\xbb\xbfa = 10\r\n[b]\r\nc = "x"'),
}


@pytest.mark.parametrize("mode", ContentMode)
@pytest.mark.parametrize("name", SPELLINGS)
def test_sides_that_say_the_same_never_conflict(name: str, mode: ContentMode):
    path, ours, theirs = SPELLINGS[name]
    for base in (b"", b"{}", ours.replace(b"x", b"y").replace(b"1", b"2")):
        outcome = merge_content(path, ThreeWay(base, ours, theirs), ContentRules(mode=mode))
        assert outcome.content == ours
    assert are_equal(path, ours, theirs)


def test_a_comment_that_ours_deleted_is_no_difference():
    sides = ThreeWay(b"a: 1 # old\n", b"a: 2\n", b"a:  2 # old\n")
    for mode in ContentMode:
        assert merge_content("a.yml", sides, ContentRules(mode=mode)).content == sides.ours


def test_a_string_that_both_sides_edit_is_no_pair_of_additions():
    base = '["a = 1\\n", "b = 2\\n", "print(a)"]'
    ours, theirs = base.replace("b = 2", "b = 3"), base.replace("b = 2", "b = 4")
    assert content("a.json", base, ours, theirs) is None
    assert content("a.json", base, ours, ours.replace("a = 1", "a = 0")) is not None


def test_merged_lines_that_are_too_large_to_be_checked_are_a_conflict():
    long = '{\n"a": 1,\n"b": "' + "x" * MAX_BYTES + '",\n"c": 1\n}\n'
    ours = long.replace('"a": 1', '"k": 1,\n"a": 1')
    theirs = long.replace('"c": 1', '"k": 2,\n"c": 1')
    assert content("a.json", long, ours, theirs) is None
    assert content("a.json", long, ours, long) == ours
    assert content("a.txt", "x" + long, "x" + ours, "x" + theirs) is not None
