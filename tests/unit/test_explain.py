"""How an explanation shows contents: fields, lines, digests, and the guards between them."""

import json
from typing import Any

import pytest

from towline.content.values import ABSENT
from towline.content_rules import ContentMode, ContentRules, FieldRule
from towline.explain import (
    MAX_FIELD_BYTES,
    MAX_TEXT_BYTES,
    Explanation,
    Format,
    explain,
    explanation_json,
)
from towline.model import AssetPath, AssetState, Digest, ThreeWay


def explained(
    base: Any,
    ours: Any,
    theirs: Any,
    rules: ContentRules | None = None,
    path: str = "a.json",
) -> Explanation:
    """Explain three contents; None is an absent side, what is no bytes is written as JSON."""
    known: dict[Digest, bytes] = {}

    def state(content: Any) -> AssetState | None:
        if content is None:
            return None
        written = content if isinstance(content, bytes) else json.dumps(content).encode()
        known[Digest.of(written)] = written
        return AssetState(path=AssetPath(path), digest=Digest.of(written))

    return explain(ThreeWay(base, ours, theirs).map(state), known.get, rules)


def fields(explanation: Explanation) -> dict[str, tuple[Any, Any, Any, bool]]:
    return {field.pointer: (*field.values, field.clashes) for field in explanation.fields}


def test_fields_that_differ_are_named_by_pointer_with_all_three_values():
    found = explained(
        {"name": "a", "steps": [{"url": "x"}, {"url": "y"}], "on": True},
        {"name": "b", "steps": [{"url": "x"}, {"url": "z"}], "on": True},
        {"name": "a", "steps": [{"url": "x"}, {"url": "w"}], "on": True},
    )
    assert found.format is Format.JSON
    assert fields(found) == {
        "/name": ("a", "b", "a", False),
        "/steps/1/url": ("y", "z", "w", True),
    }


def test_both_changing_a_field_alike_is_no_clash():
    assert fields(explained({"a": 1}, {"a": 2}, {"a": 2})) == {"/a": (1, 2, 2, False)}


def test_a_field_added_differently_on_both_sides_clashes():
    found = explained({"k": 0}, {"k": 0, "a": 1}, {"k": 0, "a": 2})
    assert fields(found) == {"/a": (ABSENT, 1, 2, True)}


def test_an_edit_inside_what_the_other_side_removed_is_one_clash_at_the_outer_place():
    found = explained({"a": {"b": 1}, "k": 0}, {"a": {"b": 2}, "k": 0}, {"k": 0})
    assert fields(found) == {"/a": ({"b": 1}, {"b": 2}, ABSENT, True)}


@pytest.mark.parametrize(
    ("before", "after"), [(1, True), (0, False), (1, 1.0), (None, 0), ("1", 1), ([], {})]
)
def test_values_that_python_or_a_reader_could_confuse_are_distinguished(before: Any, after: Any):
    found = explained({"a": before}, {"a": after}, {"a": before})
    assert [(field.pointer, field.clashes) for field in found.fields] == [("/a", False)]


def test_null_is_a_value_and_no_absence():
    found = explained({"a": None, "k": 0}, {"k": 0}, {"a": 1, "k": 0})
    assert fields(found) == {"/a": (None, ABSENT, 1, True)}


@pytest.mark.parametrize(
    ("key", "pointer"),
    [
        ("a/b", "/a~1b"),
        ("m~n", "/m~0n"),
        ("", "/"),
        ("0", "/0"),
        ("it's", "/it's"),
        ('"', '/"'),
        ("a['b']", "/a['b']"),
        ("__private", "/__private"),
        ("名前 [red]", "/名前 [red]"),
    ],
)
def test_any_key_becomes_a_pointer(key: str, pointer: str):
    assert fields(explained({key: 1}, {key: 2}, {key: 1})) == {pointer: (1, 2, 1, False)}


def test_objects_without_a_common_key_are_compared_key_by_key():
    assert list(fields(explained({"a": 1}, {"b": 1}, {"a": 1}))) == ["/a", "/b"]


def test_a_value_that_python_holds_equal_to_base_clashes_as_any_other():
    assert fields(explained({"a": 1}, {"a": True}, {"a": 2})) == {"/a": (1, True, 2, True)}


def test_elements_of_lists_without_an_identity_are_paired_by_index():
    found = explained([1, 2], [0, 1, 2], [1, 3])
    assert fields(found) == {
        "/0": (1, 0, 1, False),
        "/1": (2, 1, 3, True),
        "/2": (ABSENT, 2, ABSENT, False),
    }


def test_elements_of_lists_are_paired_by_the_identity_that_a_merge_uses():
    read, write, new = {"id": "read", "on": 1}, {"id": "write"}, {"id": 7}
    found = explained(
        {"steps": [read, write], "tags": ["a", "b"]},
        {"steps": [new, {**read, "on": 2}, write], "tags": ["a", "b", "c"]},
        {"steps": [write, read], "tags": ["b"]},
    )
    names = ["[id=read]", "[id=write]"]
    assert fields(found) == {
        "/steps": (names, ["[id=7]", *names], names[::-1], False),
        "/steps/[id=read]/on": (1, 2, 1, False),
        "/steps/[id=7]": (ABSENT, new, ABSENT, False),
        "/tags/[a]": ("a", "a", ABSENT, False),
        "/tags/[c]": (ABSENT, "c", ABSENT, False),
    }


def test_yaml_is_compared_field_by_field():
    found = explained(
        b"# one\nname: a\nlevel: 1\nat: 2024-01-02\nsteps:\n  - id: x\n    url: u\n",
        b"name: b\nlevel: 1.5\nat: 2024-01-03\nsteps:\n  - id: y\n  - id: x\n    url: v\n",
        b"name: a\nlevel: no\nat: 2024-01-02\nsteps:\n  - id: x\n    url: u\n",
        path="a.yml",
    )
    assert found.format is Format.YAML
    assert fields(found) == {
        "/at": ("2024-01-02", "2024-01-03", "2024-01-02", False),
        "/name": ("a", "b", "a", False),
        "/level": (1, 1.5, "no", True),
        "/steps/[id=x]/url": ("u", "v", "u", False),
        "/steps/[id=y]": (ABSENT, {"id": "y"}, ABSENT, False),
    }
    assert explained(b"a: 1\n", b"# why\na: 1\n", b"a: 1\n", path="a.yml").lines[0].lines
    assert explained(b"a: 1\n", b"a: 1\na: 2\n", None, path="a.yml").format is Format.TEXT
    assert explained(b"a: 1\n", b"b: 1\n", None, path="a.txt").format is Format.TEXT


def test_toml_is_compared_field_by_field():
    found = explained(
        b'[[rule]]\nid = "x"\nsince = 2024-01-02\n',
        b'[[rule]]\nid = "x"\nsince = 2024-01-03\nweight = 1e3\n',
        b'[[rule]]\nid = "x"\nsince = 2024-01-02\n',
        path="a.toml",
    )
    assert found.format is Format.TOML
    assert fields(found) == {
        "/rule/[id=x]/since": ("2024-01-02", "2024-01-03", "2024-01-02", False),
        "/rule/[id=x]/weight": (ABSENT, 1000.0, ABSENT, False),
    }


def test_elements_are_named_by_the_identity_that_the_kind_gives():
    rules = ContentRules(identity=(("/steps", "ref"),), unordered=("/steps",))
    one, two = {"ref": "a", "id": 1}, {"ref": "b", "id": 1}
    found = explained([], {"steps": [one, two]}, {"steps": [two, {**one, "on": 1}]}, rules)
    assert fields(found)[""][3] is True
    found = explained(None, {"steps": [one, two]}, {"steps": [two, {**one, "on": 1}]}, rules)
    assert fields(found) == {"/steps/[ref=a]/on": (ABSENT, ABSENT, 1, False)}


def test_the_text_absent_is_a_value():
    assert fields(explained({"a": 1, "k": "absent"}, {"a": 1}, None))["/k"][:2] == (
        "absent",
        ABSENT,
    )


def test_what_a_merge_takes_from_theirs_is_listed_with_the_rule():
    rules = ContentRules(mode=ContentMode.AUTO, fields=(("/version", FieldRule.LARGER),))
    sides = ({"a": 1, "b": 1, "version": 1}, {"a": 2, "b": 1, "version": 2})
    merged = explained(*sides, {"a": 1, "b": 3, "version": 5}, rules=rules)
    assert merged.merged_by == "structure"
    assert [(each.pointer, each.rule) for each in merged.taken] == [
        (("b",), None),
        (("version",), FieldRule.LARGER),
    ]
    clashing = explained(*sides, {"a": 3, "b": 3, "version": 5}, rules=rules)
    assert (clashing.merged_by, clashing.taken) == (None, ())


def test_pointers_into_lists_are_in_the_order_of_their_numbers():
    found = explained([0] * 12, [1] * 12, [0] * 12)
    assert [field.pointer for field in found.fields] == [f"/{number}" for number in range(12)]


def test_another_type_at_the_root_is_one_difference():
    assert fields(explained({"a": 1}, [1], {"a": 1})) == {"": ({"a": 1}, [1], {"a": 1}, False)}


def test_without_a_base_ours_and_theirs_are_compared():
    found = explained(None, {"a": 1, "k": 0}, {"a": 2, "k": 0})
    assert fields(found) == {"/a": (ABSENT, 1, 2, True)}


def test_a_side_that_is_gone_shows_what_the_other_changed():
    found = explained({"a": 1}, {"a": 2}, None)
    assert fields(found) == {"/a": (1, 2, ABSENT, True)}
    assert found.contents.theirs is None


def test_the_same_values_written_differently_are_shown_as_lines():
    found = explained(b'{"a": 1}\n', b'{"a":1}\n', b'{"a": 1}\n')
    assert (found.format, found.fields) == (Format.JSON, ())
    assert found.lines[0].lines[-2:] == ('-{"a": 1}', '+{"a":1}')
    assert found.note


@pytest.mark.parametrize(
    "ours",
    [
        b'{"a": 1, "a": 2}\n',
        b'{"a": NaN}\n',
        b'{"a": \n',
        b"plain\n",
        b"3\n",
        b"[" * 5000 + b"]" * 5000,
    ],
    ids=["key twice", "NaN", "broken", "text", "scalar", "too deep to read"],
)
def test_what_json_could_not_show_truly_is_shown_as_lines(ours: bytes):
    found = explained(b'{"a": 1}\n', ours, b'{"a": 1}\n')
    assert found.format is Format.TEXT
    assert any(line.startswith("+") for line in found.lines[0].lines[2:])


def test_json_too_deep_to_compare_is_shown_as_lines():
    deep = b"[" * 900 + b"1" + b"]" * 900 + b"\n"
    found = explained(deep, deep.replace(b"1", b"2"), deep)
    assert found.format is Format.TEXT
    assert "too deep" in found.note


def test_text_is_compared_line_by_line_as_git_does():
    found = explained(b"a\nb\x0cc\n", b"a\nB\x0cc\n", b"a\nb\x0cc\nd")
    assert found.format is Format.TEXT
    ours, theirs = found.lines
    assert (ours.before, ours.after, theirs.after) == ("base", "ours", "theirs")
    assert ours.lines[3:] == (" a", "-b\x0cc", "+B\x0cc")
    assert theirs.lines[3:] == (" a", " b\x0cc", "+d", "+\\ No newline at end of file")


@pytest.mark.parametrize("text", [b'{\n"a": 1\n}\n', b"one\ntwo\n"])
def test_a_difference_of_line_ends_alone_is_noted(text: bytes):
    windows = text.replace(b"\n", b"\r\n")
    found = explained(text, windows, text)
    assert found.note == "only the line ends of ours differ from base: LF became CRLF"
    assert (found.lines, found.fields) == ((), ())
    mixed = explained(None, windows, windows.replace(b"\r", b"", 1))
    assert mixed.note == "only the line ends of theirs differ from ours: CRLF became mixed"


def test_line_ends_that_differ_do_not_hide_another_edit():
    found = explained(b"one\n", b"one\r\n", b"two\n")
    assert found.note.startswith("only the line ends of ours")
    assert [(each.after, each.lines[-1]) for each in found.lines] == [("theirs", "+two")]
    both = explained(b"one\n", b"two\r\n", b"one\n")
    assert both.note == ""
    assert both.lines[0].lines[-1] == "+two\r"


@pytest.mark.parametrize("ours", [b"\0\1", b"\xff\xfe"])
def test_what_is_no_text_shows_digests_and_sizes(ours: bytes):
    found = explained(b"text", ours, b"text")
    assert (found.format, found.fields, found.lines) == (Format.BINARY, (), ())
    assert found.contents.ours is not None
    assert (found.contents.ours.digest, found.contents.ours.size) == (Digest.of(ours), 2)


def test_json_above_its_guard_is_shown_as_lines():
    large = b'{\n"k": "' + b"x" * MAX_FIELD_BYTES + b'",\n"a": 1\n}\n'
    found = explained(large, large.replace(b'"a": 1', b'"a": 2'), large)
    assert found.format is Format.TEXT
    assert '+"a": 2' in found.lines[0].lines
    assert "too large" in found.note


def test_text_above_its_guard_shows_digests_alone():
    found = explained(b"x" * (MAX_TEXT_BYTES + 1), b"x", b"x")
    assert (found.format, found.lines) == (Format.DIGESTS_ONLY, ())
    assert "too large" in found.note


def test_content_that_is_not_here_is_noted():
    one, two = (AssetState(path=AssetPath("a"), digest=Digest(n * 40)) for n in "12")
    found = explain(ThreeWay(one, two, one), {Digest("1" * 40): b"x"}.get)
    assert found.format is Format.DIGESTS_ONLY
    assert found.note == f"the content of {'2' * 12} is not here"
    assert found.contents.ours is not None
    assert found.contents.ours.size is None


def test_paths_and_modes_are_given_where_they_differ():
    digest = Digest.of(b"x")
    base = AssetState(path=AssetPath("a"), digest=digest)
    ours = AssetState(path=AssetPath("b"), digest=digest)
    theirs = AssetState(path=AssetPath("a"), digest=digest, executable=True)
    found = explain(ThreeWay(base, ours, theirs), {digest: b"x"}.get)
    assert found.paths == ThreeWay("a", "b", "a")
    assert found.executable == ThreeWay(False, False, True)
    assert (found.fields, found.lines) == ((), ())
    assert explain(ThreeWay(base, base, None), {digest: b"x"}.get).paths is None


def test_the_json_form_leaves_out_what_a_side_lacks():
    shown = explanation_json(explained({"a": 1}, {"b": None}, None))
    assert shown["format"] == "json"
    assert shown["fields"] == [
        {"pointer": "/a", "clashes": False, "base": 1},
        {"pointer": "/b", "clashes": False, "ours": None},
    ]
    assert set(shown["contents"]) == {"base", "ours"}  # type: ignore[call-overload]
    json.dumps(shown)
