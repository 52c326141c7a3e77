"""Which way a content is merged, and what is no merge at all."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from towline.content import ContentOutcome, are_equal, merge_content
from towline.content.decision import Inside, Keep, Slot, Take
from towline.content.json_values import parse_json
from towline.content.merge import Choices
from towline.content.values import MAX_BYTES, NotParsed
from towline.content.yaml_edit import edit_yaml
from towline.content.yaml_values import parse_yaml
from towline.content_rules import ContentMode, ContentRules, FieldRule, MergedBy
from towline.model import ThreeWay
from towline.options import Side

YAML = "title: x\nstatus: test\nlevel: low # for now\n"


def merge(
    path: str, base: str, ours: str, theirs: str, mode: ContentMode = ContentMode.AUTO
) -> ContentOutcome:
    sides = ThreeWay(base.encode(), ours.encode(), theirs.encode())
    return merge_content(path, sides, ContentRules(mode=mode))


def content(path: str, base: str, ours: str, theirs: str) -> str | None:
    found = merge(path, base, ours, theirs).content
    return None if found is None else found.decode()


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
    by = {mode: merge(*sides, mode).by for mode in ContentMode}
    assert by == {
        ContentMode.AUTO: MergedBy.STRUCTURE,
        ContentMode.STRUCTURE: MergedBy.STRUCTURE,
        ContentMode.LINES: MergedBy.LINES,
        ContentMode.NEVER: None,
    }
    assert merge("a.txt", "1\n2\n3\n", "0\n2\n3\n", "1\n2\n4\n", ContentMode.STRUCTURE).by is None


def test_lines_that_make_no_document_any_more_are_a_conflict():
    base = '{\n"a": 1,\n\n\n"b": 2\n}\n'
    ours, theirs = base.replace('"a": 1,\n', ""), base.replace(',\n\n\n"b": 2', "\n\n\n")
    assert merge("a.json", base, ours, theirs, ContentMode.LINES).content is None


# --- YAML -------------------------------------------------------------------------------------


def test_yaml_keeps_comments_where_lines_say_what_was_decided():
    ours = YAML.replace("test", "stable")
    theirs = YAML.replace("low", "high").replace("title: x", "title: y")
    assert content("r.yml", YAML, ours, theirs) == (
        "title: y\nstatus: stable\nlevel: high # for now\n"
    )


@pytest.mark.parametrize("indent", ["", "  "])
def test_yaml_items_that_both_add_at_one_place_are_all_taken(indent: str):
    base = f"tags:\n{indent}- a\n{indent}- b\nz: 1\n"
    ours, theirs = (base.replace("z:", f"{indent}- {side}\nz:") for side in ("o", "t"))
    assert content("r.yaml", base, ours, theirs) == base.replace(
        "z:", f"{indent}- t\n{indent}- o\nz:"
    )


def test_yaml_items_are_moved_with_their_lines():
    base = "l:\n- id: a\n  v: 1\n- id: b\n  v: 1\n- id: c\n  v: 1\nz: 1\n"
    ours = base.replace("a\n  v: 1", "a\n  v: 2  # mine").replace("b\n  v: 1", "b\n  v: 2")
    theirs = "l:\n- id: c\n  v: 3\n- id: b\n  v: 1\n- id: a\n  v: 1\nz: 1\n"
    assert content("s.yml", base, ours, theirs) == (
        "l:\n- id: c\n  v: 3\n- id: b\n  v: 2\n- id: a\n  v: 2  # mine\nz: 1\n"
    )
    at_end = (side.removesuffix("z: 1\n").removesuffix("\n") for side in (base, ours, theirs))
    found = content("s.yml", *at_end)
    assert found == "l:\n- id: c\n  v: 3\n- id: b\n  v: 2\n- id: a\n  v: 2  # mine"


def test_yaml_members_of_items_are_put_in_place():
    base = "steps:\n  - id: a\n    v: 1\n    w: 1\n  - id: b\n    v: 1\n"
    ours = base.replace("v: 1\n    w", "v: 2\n    w")
    theirs = base.replace("w: 1\n", "w: 2\n    n:\n      - 1\n").replace(
        "id: b\n", "id: b\n    x: 1\n"
    )
    assert content("s.yml", base, ours, theirs) == (
        "steps:\n  - id: a\n    v: 2\n    w: 2\n    n:\n      - 1\n  - id: b\n    x: 1\n    v: 1\n"
    )


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "expected"),
    [
        ("{a: 1, b: 1}", "{a: 2, b: 1}", "{a: 1, b: 3}", "{a: 2, b: 3}"),
        ("{a: 1, b: 1}", "{a:   1, b: 1, o: 1}", "{a: 1, t: {x: 1}}", "{a:   1, t: {x: 1}, o: 1}"),
        ("[a, b]", "[a,b,o]", "[a, t, b]", "[a,t,b,o]"),
        ("{s: [{id: a, v: 1}]}", "{s: [ {id: a, v: 2} ]}", "{s: [{id: a, v: 1, w: '}'}]}", None),
        ("{a: , b}", "{a: , b, c: 1}", "{a: 5, b}", "{a: 5, b, c: 1}"),
        ("{a: {x: 1, y: 1}}", "{ a: {x: 2, y: 1} }", "\n  a:\n    x: 1\n    y: 3", None),
    ],
)
def test_yaml_in_brackets_is_edited_in_place(
    base: str, ours: str, theirs: str, expected: str | None
):
    found = content("a.yml", f"k: {base}\n", f"k: {ours}\n", f"k: {theirs}\n")
    if expected is None:
        expected = ours.replace("v: 2", "v: 2, w: '}'").replace("y: 1", "y: 3")
    assert found == f"k: {expected}\n"


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "expected"),
    [
        # A part is deleted where another is inserted.
        ("a: 1\nb: 1\nz: 1\n", "a: 2\nb: 1\nz: 1\n", "a: 1\nt: 1\nz: 1\n", "a: 2\nt: 1\nz: 1\n"),
        # All of a block is deleted, or replaced.
        (
            "d:\n  a: 1\n  b: 1  # last\n\nz: 1\n",
            "d:\n  a: 1\n  b: 1  # last\n\nz: 2\n",
            "d: {}  # last\nz: 1\n",
            "d: {}  # last\n\nz: 2\n",
        ),
        ("l:\r\n- a\r\nz: 1\r\n", "l:\r\n- a\r\nz: 2", "l: []\nz: 1\n", "l: []\r\nz: 2"),
        (
            "d:\n  a: |\n    x\nz: 1\n",
            "d:\n  a: |\n    x\nz: 2\n",
            "d: {}\nz: 1\n",
            "d: {}\nz: 2\n",
        ),
        (
            "- id: 1\n  d:\n    a: 1\n",
            "- id: 1\n  o: 1\n  d:\n    a: 1\n",
            "- id: 1\n  d: {}\n",
            "- id: 1\n  o: 1\n  d: {}\n",
        ),
        (
            "d:\n    a: 1\n    b: 1\nz: 1\n",
            "d:\n    a: 1\n    b: 1\nz: 2\n",
            "d:\n  t:\n    - 1\n  u: 1\nz: 1\n",
            "d:\n    t:\n      - 1\n    u: 1\nz: 2\n",
        ),
        # Lists that begin behind a dash.
        (
            "- - a\n  - b\n- - c\n",
            "- - a\n  - o\n- - c\n",
            "- - a\n  - b\n  - t\n- - d\n",
            "- - a\n  - o\n  - t\n- - d\n",
        ),
        (
            "m:\n  - - x: 1\n      y: 1\n",
            "m:\n  - - x: 2\n      y: 1\n",
            "m:\n  - - x: 1\n      y:\n        - 3\n",
            "m:\n  - - x: 2\n      y:\n        - 3\n",
        ),
    ],
)
def test_yaml_in_blocks_is_edited_in_place(base: str, ours: str, theirs: str, expected: str):
    assert content("a.yml", base, ours, theirs) == expected


def test_many_yaml_parts_take_no_quadratic_time():
    hashes = 0

    class Key(str):
        def __hash__(self) -> int:
            nonlocal hashes
            hashes += 1
            return super().__hash__()

    class Text(str):
        searches = 0

        def rfind(self, *found: Any) -> int:
            Text.searches += 1
            return super().rfind(*found)

    names = [f"k{number}" for number in range(200)]
    ours, theirs = (
        parse_yaml("".join(f"{side}{name}: 1\n" for side in sides for name in names).encode())
        for sides in ("a", "ab")
    )
    slots = [Slot(Key(f"a{name}"), f"a{name}", Keep()) for name in names]
    slots += [Slot(None, f"b{name}", Take()) for name in names]
    edited = edit_yaml(ours, replace(theirs, text=Text(theirs.text)), Inside(tuple(slots)))
    assert edited == theirs.text.encode()
    assert hashes <= 10 * len(names)
    assert Text.searches <= 4 * len(names)


def test_yaml_words_that_readers_disagree_on_are_compared_as_spelled():
    for one, other in [
        *(("no", '"no"'), ("1e3", "1000"), ("0777", "777"), ("~x", "null")),
        *(("1e3", '"1e3"'), ("08", '"08"'), ("0o7", '"0o7"')),
        *(("!!str 5", "5"), ("!!float 5", "5"), ("!!int 1.0", "1.0")),
    ]:
        base, ours, theirs = "a: x\nb: 1\n", f"a: {one}\nb: 1\n", f"a: {other}\nb: 2\n"
        assert content("a.yml", base, ours, theirs) is None
    assert content("a.yml", "a: x\n", "a: null\n", "a: ~\n") == "a: null\n"


def test_yaml_elements_are_known_by_any_plain_text():
    base = "- {id: 08, v: 1}\n- {id: 2024-01-01, v: 1}\n"
    ours, theirs = base.replace("1, v: 1", "1, v: 2"), base.replace("08, v: 1", "08, v: 3")
    for side in (theirs, "- {id: 1e3}\n" + theirs):
        assert content("a.yml", base, ours, side) == side.replace("1, v: 1", "1, v: 2")
    both = base.replace("08", "'2024-01-01'")
    assert merge("a.yml", both, both.replace("v: 1", "v: 2"), both + "- {id: 3}\n").fields


def test_yaml_that_shares_nodes_is_merged_where_lines_say_it():
    base = "a: &x\n  k: 1\nm: 1\nb: *x\nc: 1\n"
    assert content("a.yml", base, base.replace("c: 1", "c: 2"), base.replace("k: 1", "k: 3")) == (
        "a: &x\n  k: 3\nm: 1\nb: *x\nc: 2\n"
    )


def test_yaml_whose_aliases_multiply_is_not_parsed():
    doubled = "".join(f"a{each}: &a{each} [*a{each - 1}, *a{each - 1}]\n" for each in range(1, 60))
    for text in ("a0: &a0 x\n" + doubled, "&a [*a, *a]"):
        with pytest.raises(NotParsed):
            parse_yaml(text.encode())


def test_several_yaml_documents():
    base = "a: 1\n---\nb: 1\n"
    ours, theirs = base.replace("a: 1", "a: 2"), base.replace("b: 1", "b: 2")
    assert content("a.yml", base, ours, theirs) == "a: 2\n---\nb: 2\n"


def test_yaml_documents_of_which_none_is_known_are_merged_by_lines():
    base = "a: 1\n---\nb: 1\n---\nc: 1\n"
    ours, theirs = base.replace("a: 1", "a: 2"), base.replace("b:", "x: 1\n---\nb:")
    outcome = merge("a.yml", base, ours, theirs)
    assert (outcome.content, outcome.by) == (theirs.replace("a: 1", "a: 2").encode(), "lines")
    assert merge("a.yml", base, ours, base.replace("a: 1\n---\n", "")).regions


def test_yaml_directives_count():
    base = "%YAML 1.2\n---\na: 1\nb: 1\n"
    ours, theirs = base.replace("a: 1", "a: 2"), base.replace("1.2", "1.1").replace("b: 1", "b: 2")
    assert merge("a.yml", base, ours, theirs).problem == (
        "the fields merge, but a comment would be lost"
    )


def test_yaml_tags_count():
    assert content("a.yml", "a: !secret x\n", "a: !secret y\n", "a: y\n") is None


# --- TOML -------------------------------------------------------------------------------------


def test_toml_keeps_comments_and_takes_what_both_added():
    base = '[rule]\nname = "x" # n\ntags = [\n  "a",\n]\n'
    ours = base.replace('  "a",\n', '  "a",\n  "o",\n')
    theirs = base.replace('  "a",\n', '  "a",\n  "t",\n').replace('"x"', '"y"') + "n = 1.10\n"
    assert content("r.toml", base, ours, theirs) == (
        '[rule]\nname = "y" # n\ntags = [\n  "a",\n  "t",\n  "o",\n]\nn = 1.10\n'
    )


def test_toml_values_are_added_before_the_tables_of_their_table():
    base = "[a]\nx = 1\n\n[a.b]\n  y = 1"
    ours = base.replace("x = 1", "x = 2").replace("\n", "\r\n")
    theirs = (
        "[a]\nx = 1\nm = 1.0 # m\n'p q' = [\n  1,\n]\n\n"
        "[a.b]\n  y = 1\n  t = 1\n  u = 1\n\n[a.c]\nv = 1"
    )
    assert content("a.toml", base, ours, theirs) == (
        '[a]\r\nx = 2\r\nm = 1.0 # m\n"p q" = [\n  1,\n]\n\r\n'
        "[a.b]\r\n  y = 1\n  t = 1\n  u = 1\n\n[a.c]\nv = 1"
    )


def _calls(function: Callable[[], object]) -> int:
    """How many functions are called."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(before)
    return calls


@pytest.mark.parametrize("head", ["", "[a]\n"], ids=["document", "table"])
def test_many_toml_values_take_no_quadratic_time(head: str):
    def merged(number: int) -> None:
        base, both = (
            head + "".join(f"{key}{at} = 1\n" for at in range(number) for key in keys) + "\n[z]\n"
            for keys in ("k", "kn")
        )
        found = content("a.toml", base, base.replace("k0 = 1\nk1 = 1", "k0 = 2\nk1 = 1"), both)
        assert found is not None
        assert found.count("\n") == both.count("\n")

    merged(1)
    assert _calls(lambda: merged(400)) < 2.2 * _calls(lambda: merged(200))


def test_toml_arrays_that_take_too_many_edits_are_a_conflict(monkeypatch: pytest.MonkeyPatch):
    base, ours, theirs = "a = [1, 2]\n", "a = [2]\n", "a = [1, 2, 3, 4]\n"
    monkeypatch.setattr("towline.content.toml.MAX_ARRAY_STEPS", 6)
    assert content("a.toml", base, ours, theirs) == "a = [2, 3, 4]\n"
    monkeypatch.setattr("towline.content.toml.MAX_ARRAY_STEPS", 5)
    assert "cannot be written" in merge("a.toml", base, ours, theirs).problem


def test_toml_types_are_strict():
    assert content("a.toml", "a = 0\n", "a = 1\n", "a = 1.0\n") is None
    assert content("a.toml", "a = 0\n", "a = 1_000\n", "a = 1000\n") == "a = 1_000\n"
    assert content("a.toml", "a = 0\n", "a = 2024-01-01\n", 'a = "2024-01-01"\n') is None


@pytest.mark.parametrize(
    ("emptied", "added", "after"),
    [
        ("a: {}\nb: 1\n", "  y:\n    z: 2\n", "a:\n  y:\n    z: 2\nb: 1\n"),
        ("a:\n  {}\nb: 1\n", "  y: |\n    text\n", "a:\n  y: |\n    text\nb: 1\n"),
        ("a: {}\nb: 1\n", "  y: 2\n", "a: {y: 2}\nb: 1\n"),
        ("a: {}  # none\nb: 1\n", "  y:\n    z: 2\n", None),
    ],
)
def test_members_come_into_a_yaml_mapping_that_ours_emptied(
    emptied: str, added: str, after: str | None
):
    base = "a:\n  x: 1\nb: 1\n"
    theirs = f"a:\n  x: 1\n{added}b: 1\n"
    assert content("a.yml", base, emptied, theirs) == after
    nested = [
        text and f"- {text.replace(chr(10), chr(10) + '  ').rstrip(' ')}"
        for text in (base, emptied, theirs, after)
    ]
    assert content("a.yml", *map(str, nested[:3])) == nested[3]


def test_items_come_into_a_yaml_sequence_that_ours_emptied():
    base, ours = "a:\n- id: x\n  v: 1\nb: 1\n", "a: []\nb: 1"
    theirs = base.replace("b:", "- id: y\n  v: 2\nb:")
    assert content("a.yml", base, ours, theirs) == "a:\n- id: y\n  v: 2\nb: 1"


def test_toml_takes_a_boolean_with_its_comment():
    base, ours = "a = true # old\nz = 1\n", "a = true # old\nz = 2\n"
    theirs = "a = false # new\nz = 1\nb = true # also\n"
    assert content("a.toml", base, ours, theirs) == "a = false # new\nz = 2\nb = true # also\n"


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


GUARDED = ContentRules(fields=(("/l/*/cred", FieldRule.GUARDED),))


@pytest.mark.parametrize("mode", [ContentMode.AUTO, ContentMode.LINES])
def test_a_guarded_field_is_never_merged_silently(mode: ContentMode):
    base = '{"l": [\n{"x": 1, "cred": 1},\n{"x": 2, "cred": 2}\n]}\n'
    ours = base.replace("[\n", '[\n{"x": 0},\n')
    theirs = base.replace('"cred": 2', '"cred": 3')
    sides = ThreeWay(base.encode(), ours.encode(), theirs.encode())
    rules = replace(GUARDED, mode=mode)
    outcome = merge_content("a.json", sides, rules)
    assert outcome.content is None
    assert [(field.pointer, field.reason) for field in outcome.fields] == [(("l",), "guarded")]
    values = [json_value(side)["l"] for side in (base, ours, theirs)]
    assert outcome.fields[0].values == ThreeWay(*values)
    taken = merge_content("a.json", sides, rules, {("l",): Side.THEIRS})
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
    sides = ThreeWay(TWO_LISTS.encode(), ours.encode(), theirs.encode())
    rules = ContentRules(fields=(("/*/*/cred", FieldRule.GUARDED),))
    one: Choices = {("l",): Side.THEIRS}
    assert [each.pointer for each in merge_content("a.json", sides, rules, one).fields] == [("m",)]
    both = merge_content("a.json", sides, rules, {**one, ("m",): Side.OURS})
    assert both.content == ours.replace('"cred": 2', '"cred": 3').encode()


def test_a_guarded_field_of_an_element_that_gave_way_to_another():
    base = '{"l": [{"id": "a", "cred": 1}, {"id": "b", "cred": 2}], "v": 1}'
    theirs = base.replace('"a", "cred": 1', '"c", "cred": 3')
    sides = ThreeWay(base.encode(), base.replace('"v": 1', '"v": 2').encode(), theirs.encode())
    (field,) = merge_content("a.json", sides, GUARDED).fields
    assert (field.pointer, field.reason) == (("l", "[id=a]"), "guarded")
    for side, count in ((Side.THEIRS, 2), (Side.OURS, 3)):
        outcome = merge_content("a.json", sides, GUARDED, {field.pointer: side})
        assert outcome.content is not None
        assert len(json_value(outcome.content.decode())["l"]) == count


def test_a_guarded_field_may_be_new():
    base = '{"l": [{"x": 1, "cred": 1}], "v": 1}'
    ours = base.replace('"v": 1', '"v": 2')
    theirs = base.replace("}]", '}, {"x": 2, "cred": 9}]')
    sides = ThreeWay(base.encode(), ours.encode(), theirs.encode())
    assert merge_content("a.json", sides, GUARDED).content is not None


def test_a_string_that_both_sides_edit_is_no_pair_of_additions():
    base = '["a = 1\\n", "b = 2\\n", "print(a)"]'
    ours, theirs = base.replace("b = 2", "b = 3"), base.replace("b = 2", "b = 4")
    assert content("a.json", base, ours, theirs) is None
    assert content("a.json", base, ours, ours.replace("a = 1", "a = 0")) is not None


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
    sides = ThreeWay(base.encode(), ours.encode(), theirs.encode())
    assert base not in (ours, theirs)
    assert merge_content(path, sides, replace(SECRET, mode=mode)).content is None


@pytest.mark.parametrize("broken", [0, 1, 2])
def test_a_guarded_field_is_not_replaced_where_one_side_is_broken(broken: int):
    texts = [LAID_OUT, LAID_OUT.replace('"d": 1', '"d": 2')]
    texts.append(LAID_OUT.replace('"secret": 1', '"secret": 9'))
    texts[broken] = texts[broken].replace('"a": 1,', '"a": 1,,')
    sides = ThreeWay(*(text.encode() for text in texts))
    assert merge_content("a.json", sides, SECRET).content is None


def test_a_guarded_field_is_not_replaced_where_one_side_is_several_documents():
    base = "s:\n  secret: 1\na: 1\nb: 1\nd: 1\n"
    ours, theirs = base.replace("b: 1", "b: 2"), base.replace("t: 1", "t: 9") + "---\nx: 1\n"
    sides = ThreeWay(base.encode(), ours.encode(), theirs.encode())
    assert merge_content("a.yml", sides, SECRET).content is None


def test_merged_lines_that_are_too_large_to_be_checked_are_a_conflict():
    long = '{\n"a": 1,\n"b": "' + "x" * MAX_BYTES + '",\n"c": 1\n}\n'
    ours = long.replace('"a": 1', '"k": 1,\n"a": 1')
    theirs = long.replace('"c": 1', '"k": 2,\n"c": 1')
    assert content("a.json", long, ours, theirs) is None
    assert content("a.json", long, ours, long) == ours
    assert content("a.txt", "x" + long, "x" + ours, "x" + theirs) is not None


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
    sides = ThreeWay(was.encode(), was.replace('"z": 1}', '"z": 2}').encode(), there.encode())
    rules = ContentRules(mode=mode, fields=(("/l/0/cred", FieldRule.GUARDED),))
    outcome = merge_content("a.json", sides, rules)
    assert outcome.content is None
    assert {field.reason for field in outcome.fields} == {"guarded"}


@pytest.mark.parametrize("mode", [ContentMode.AUTO, ContentMode.LINES])
@pytest.mark.parametrize("merged", ["*d", "[*d]", "[*e, *d]"])
def test_what_yaml_merges_into_a_mapping_is_guarded_there(merged: str, mode: ContentMode):
    base = f"d: &d\n  cred: 1\n  x: 1\ne: &e\n  y: 1\na:\n  <<: {merged}\n  z: 1\nv: 1\n"
    ours, theirs = base.replace("v: 1", "v: 2"), base.replace("cred: 1", "cred: 9")
    sides = ThreeWay(base.encode(), ours.encode(), theirs.encode())
    rules = ContentRules(mode=mode, fields=(("/a/cred", FieldRule.GUARDED),))
    outcome = merge_content("a.yaml", sides, rules)
    assert outcome.content is None
    rules = replace(rules, fields=(("/a/y", FieldRule.GUARDED),))
    assert merge_content("a.yaml", sides, rules).content == theirs.replace("v: 1", "v: 2").encode()


def test_guarded_comes_before_other_rules():
    base = '{"cred": 1,\n"v": 1,\n"w": 1}'
    sides = ThreeWay(
        *(base.replace(*each).encode() for each in ((" ", " "), ("1}", "2}"), ("1,", "3,")))
    )
    rules = ContentRules(fields=(("/*", FieldRule.THEIRS), ("/cred", FieldRule.GUARDED)))
    (field,) = merge_content("a.json", sides, rules).fields
    assert (field.pointer, field.reason) == (("cred",), "guarded")


def test_a_guarded_number_is_one_element_of_a_list_by_position():
    base = '{"l": [{"cred": 1}, {"cred": 2}], "v": 1}'
    ours, theirs = base.replace('"v": 1', '"v": 2'), base.replace('"cred": 2', '"cred": 3')
    for number, merges in (("0", True), ("1", False)):
        sides = ThreeWay(base.encode(), ours.encode(), theirs.encode())
        rules = ContentRules(fields=((f"/l/{number}/cred", FieldRule.GUARDED),))
        assert (merge_content("a.json", sides, rules).content is not None) is merges
