"""Lines are merged as git merges them (the oracle compares), within bounds."""

from __future__ import annotations

import pytest

from towline.content import hunks, lines, search
from towline.content.lines import merge_lines
from towline.model import ThreeWay


def merged(base: bytes, ours: bytes, theirs: bytes) -> bytes | None:
    return merge_lines(ThreeWay(base, ours, theirs))


def test_a_last_line_without_an_end_differs_from_one_with():
    assert merged(b"1\n2\n3", b"0\n2\n3", b"1\n2\n3\n") == b"0\n2\n3\n"
    assert merged(b"1\n2\n3\n", b"0\n2\n3\n", b"1\n2\n3") == b"0\n2\n3"
    assert merged(b"1\n2\n3", b"1\n2\n3\n4\n", b"1\n2\n3\n") is None
    assert merged(b"", b"x", b"x") == b"x"
    assert merged(b"1\n", b"", b"1\n") == b""


def test_a_line_feed_alone_ends_a_line():
    assert merged(b"1\r2\n3\n4\n", b"1\r2\n3\n5\n", b"1\r0\n3\n4\n") == b"1\r0\n3\n5\n"


def test_many_lines_that_all_differ_are_compared():
    sides = (b"".join(b"%s%d\n" % (side, at) for at in range(100_000)) for side in (b"b", b"o"))
    base, ours = sides
    assert merged(base, ours, base) == ours
    assert merged(base, ours, base + b"t\n") is None


def test_a_comparison_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch):
    numbers = [b"%d\n" % number for number in range(200)]
    base, ours = (b"a\nb\n" + b"".join(each) + b"y\nz\n" for each in (numbers, numbers[::-1]))
    theirs = base + b"t\n"
    assert merged(base, ours, theirs) == ours + b"t\n"
    monkeypatch.setattr(search, "_BUDGET", 50)
    assert merged(base, ours, theirs) is None


def test_a_hunk_that_could_be_at_too_many_places_is_given_up(monkeypatch: pytest.MonkeyPatch):
    base, ours = b"a\n" + b"x\n" * 50 + b"b\nc\nd\n", b"a\n" + b"x\n" * 49 + b"b\nc\nd\n"
    theirs = base.replace(b"d", b"e")
    assert merged(base, ours, theirs) == ours.replace(b"d", b"e")
    monkeypatch.setattr(hunks, "_SLIDES", 40)
    assert merged(base, ours, theirs) is None


def test_more_lines_than_a_million_are_not_compared(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lines, "MAX_LINES", 3)
    assert merged(b"1\n2\n3\n", b"0\n2\n3\n", b"1\n2\n4\n") == b"0\n2\n4\n"
    assert merged(b"1\n2\n3\n", b"0\n2\n3\n", b"1\n2\n3\n4\n") is None
