"""What is an asset, and of which kind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from towline.content_rules import ContentMode, ContentRules, FieldRule
from towline.errors import InvalidValue
from towline.kinds import Kind, Kinds

KINDS = Kinds(
    (
        Kind(name="rule", globs=("rules/**",), id_pointer="/id"),
        Kind(name="workflow", globs=("*.flow", "flows/*")),
        Kind(name="file", globs=("*.json",)),
    )
)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("rules/a.json", "rule"),
        ("a.json", "file"),
        ("x/a.flow", "workflow"),
        ("flows/a.json", "workflow"),
        ("readme.md", None),
        (".hidden.json", None),
        ("rules/.draft/a", None),
    ],
)
def test_the_first_kind_that_covers_a_path_has_it(path: str, kind: str | None):
    found = KINDS.of(path)
    assert (found and found.name) == kind


def test_hidden_files_can_be_assets():
    kinds = Kinds(hidden=True)
    assert kinds.of(".hidden") is not None
    assert Kinds().of(".hidden") is None


@pytest.mark.parametrize(
    "kinds",
    [
        (Kind(name="a", globs=("x",)), Kind(name="a", globs=("y",))),
        (Kind(name="", globs=("x",)),),
        (Kind(name="a", globs=()),),
        (Kind(name="a", globs=("",)),),
        (Kind(name="a", globs=("x",), id_pointer="id"),),
    ],
)
def test_kinds_that_say_nothing_or_twice_are_refused(kinds: tuple[Kind, ...]):
    with pytest.raises(InvalidValue):
        Kinds(kinds)


def test_the_fingerprint_changes_where_the_same_tree_could_give_other_assets():
    first, *others = KINDS.kinds
    assert Kinds(KINDS.kinds).fingerprint == KINDS.fingerprint
    different = [
        Kinds(tuple(others)),
        Kinds((*others, first)),
        Kinds(KINDS.kinds, hidden=True),
        Kinds((Kind(name="rule", globs=("rules/**",)), *others)),
    ]
    assert KINDS.fingerprint not in {kinds.fingerprint for kinds in different}


def test_the_content_fingerprint_changes_with_what_kinds_say_of_contents_alone():
    rule, *others = KINDS.kinds
    rules = ContentRules(fields=(("/version", FieldRule.LARGER),))
    versioned = Kinds((replace(rule, content=rules), *others))
    guarded = ContentRules(fields=(("/version", FieldRule.GUARDED),))
    assert KINDS.content_fingerprint == ""
    assert versioned.content_fingerprint not in (
        "",
        Kinds((replace(rule, content=guarded), *others)).content_fingerprint,
    )
    assert versioned.fingerprint == KINDS.fingerprint


def test_a_document_has_all_that_a_kind_says():
    content = ContentRules(
        mode=ContentMode.LINES,
        identity=(("/steps", "name"),),
        unordered=("/tags",),
        fields=(("/version", FieldRule.LARGER),),
    )
    kind = Kind(name="bill", globs=("*",), id_pointer="/id", data_type="bills", content=content)
    kinds = Kinds((kind, *KINDS.kinds), hidden=True)
    assert Kinds.from_document(kinds.to_document()) == kinds


def test_a_glob_that_makes_no_sense_is_named():
    with pytest.raises(InvalidValue) as caught:
        Kinds((Kind(name="rule", globs=("*.json", "[z-a]")),))
    assert "[z-a]" in caught.value.message
