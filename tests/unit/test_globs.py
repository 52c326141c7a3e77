"""Which paths a glob covers."""

from __future__ import annotations

import pytest

from towline.errors import InvalidValue
from towline.globs import matches, matches_any


@pytest.mark.parametrize(
    ("glob", "covered", "not_covered"),
    [
        ("**", ["a", "a/b/c"], []),
        ("*.json", ["a.json", "x/y/a.json", ".json"], ["a.jsonx", "a.json/b"]),
        ("rules/*.json", ["rules/a.json"], ["rules/x/a.json", "x/rules/a.json", "a.json"]),
        ("rules/**", ["rules/a", "rules/x/a"], ["rules", "x/rules/a"]),
        ("rules/**/a", ["rules/a", "rules/x/a", "rules/x/y/a"], ["rules/xa"]),
        ("**/a", ["a", "x/a", "x/y/a"], ["xa", "a/x"]),
        ("?", ["a", "x/b", "é"], ["ab", ""]),
        ("a?b", ["axb"], ["a/b", "ab"]),
        ("[ab].txt", ["a.txt", "b.txt"], ["c.txt", "ab.txt"]),
        ("[!ab].txt", ["c.txt"], ["a.txt"]),
        ("[^ab]", ["c"], ["a"]),
        ("[]]", ["]"], ["["]),
        ("[a-c]", ["b"], ["d", "-"]),
        ("[[]", ["["], ["]"]),
        ("[a&&b]", ["&", "a"], ["c"]),
        ("a[!b]c", ["axc"], ["abc", "a/c"]),
        ("/a", ["a"], ["x/a"]),
        ("a.b", ["a.b"], ["axb"]),
        ("(a|b)+", ["(a|b)+"], ["a", "ab"]),
        ("A", ["A"], ["a"]),
        ("[+-0]", ["."], ["/"]),
        ("a**b", ["ab", "axb", "ax/yb"], ["axc"]),
        ("a**/b", ["a/b", "ax/b", "a/x/b"], ["ab", "axb"]),
        ("*b*", ["b", "abc", "bb", "x/ab"], ["a", "b/a"]),
        ("*ab*ab", ["abab", "xababab"], ["ab", "aba"]),
        ("a/*b/**", ["a/b/c", "a/bb/c/d"], ["a/b", "a/x/b/c"]),
        ("**/a*/**/b", ["a/b", "ax/y/b", "x/a/b/a/b"], ["b", "a/xb", "xa/b"]),
    ],
)
def test_globs(glob: str, covered: list[str], not_covered: list[str]):
    assert [path for path in covered if not matches(glob, path)] == []
    assert [path for path in not_covered if matches(glob, path)] == []


def test_a_set_that_makes_no_sense_is_named():
    with pytest.raises(InvalidValue, match="z-a"):
        matches_any(("[z-a]",), "a")


def test_any_of_several_globs():
    assert matches_any(("a", "b"), "b")
    assert not matches_any((), "b")


@pytest.mark.parametrize("star", ["*", "**", "**/"])
def test_no_glob_is_slow(star: str):
    # With backtracking this would not end before the test's time is out.
    path = "/".join(["a" * 100] * 20)
    assert not matches(f"{star}a" * 60 + "b", path)
    assert matches(f"{star}*a" * 15, path)
