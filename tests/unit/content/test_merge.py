"""Which way a content is merged, and what is no merge at all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from towline.content import ContentOutcome, are_equal, merge_content
from towline.content.values import NotParsed
from towline.content.yaml_values import parse_yaml
from towline.content_rules import ContentMode, ContentRules, FieldRule, MergedBy
from towline.model import ThreeWay

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
    assert [region.base for region in outcome.regions] == [(1, 2)]


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


def test_yaml_members_of_items_are_put_in_place():
    base = "steps:\n  - id: a\n    v: 1\n    w: 1\n  - id: b\n    v: 1\n"
    ours = base.replace("v: 1\n    w", "v: 2\n    w")
    theirs = base.replace("w: 1\n", "w: 2\n    n:\n      - 1\n").replace(
        "id: b\n", "id: b\n    x: 1\n"
    )
    assert content("s.yml", base, ours, theirs) == (
        "steps:\n  - id: a\n    v: 2\n    w: 2\n    n:\n      - 1\n  - id: b\n    x: 1\n    v: 1\n"
    )


def test_yaml_words_that_readers_disagree_on_are_compared_as_spelled():
    for one, other in [("no", '"no"'), ("1e3", "1000"), ("0777", "777"), ("~x", "null")]:
        base, ours, theirs = "a: x\nb: 1\n", f"a: {one}\nb: 1\n", f"a: {other}\nb: 2\n"
        assert content("a.yml", base, ours, theirs) is None
    assert content("a.yml", "a: x\n", "a: null\n", "a: ~\n") == "a: null\n"


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


def test_toml_types_are_strict():
    assert content("a.toml", "a = 0\n", "a = 1\n", "a = 1.0\n") is None
    assert content("a.toml", "a = 0\n", "a = 1_000\n", "a = 1000\n") == "a = 1_000\n"
    assert content("a.toml", "a = 0\n", "a = 2024-01-01\n", 'a = "2024-01-01"\n') is None


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


GUARDED = ContentRules(fields=(("/l/*/cred", FieldRule.GUARDED),))


@pytest.mark.parametrize("mode", [ContentMode.AUTO, ContentMode.LINES])
def test_a_guarded_field_is_never_merged_silently(mode: ContentMode):
    base = '{"l": [\n{"x": 1, "cred": 1},\n{"x": 2, "cred": 2}\n]}\n'
    ours = base.replace("[\n", '[\n{"x": 0},\n')
    sides = ThreeWay(base.encode(), ours.encode(), base.replace('"cred": 2', '"cred": 3').encode())
    outcome = merge_content("a.json", sides, replace(GUARDED, mode=mode))
    assert outcome.content is None
    assert [field.reason for field in outcome.fields] == ["guarded"]


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
