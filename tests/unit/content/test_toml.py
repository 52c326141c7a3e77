"""TOML is merged by structure, in ours' own bytes."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from tests.unit.content.merging import content, merge


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


def test_toml_takes_a_boolean_with_its_comment():
    base, ours = "a = true # old\nz = 1\n", "a = true # old\nz = 2\n"
    theirs = "a = false # new\nz = 1\nb = true # also\n"
    assert content("a.toml", base, ours, theirs) == "a = false # new\nz = 2\nb = true # also\n"
