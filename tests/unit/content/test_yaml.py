"""YAML is merged by structure, in ours' own bytes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.content.merging import content, merge
from towline.content.decision import Inside, Keep, Slot, Take
from towline.content.values import NotParsed
from towline.content.yaml_edit import edit_yaml
from towline.content.yaml_values import parse_yaml

YAML = "title: x\nstatus: test\nlevel: low # for now\n"


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
