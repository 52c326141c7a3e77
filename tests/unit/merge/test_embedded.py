"""Ids inside an asset."""

from __future__ import annotations

import pytest

from towline.merge.embedded import content_problem, embedded_id


@pytest.mark.parametrize(
    ("content", "pointer", "found"),
    [
        (b'{"id": "a-1"}', "/id", "a-1"),
        (b'{"id": 7}', "/id", "7"),
        (b'{"meta": {"ids": ["x", "y"]}}', "/meta/ids/1", "y"),
        (b'{"a/b": {"~": "x"}}', "/a~1b/~0", "x"),
        (b'"whole"', "", "whole"),
        (b'{"id": "a-1"}', "/other", None),
        (b'{"ids": ["x"]}', "/ids/1", None),
        (b'{"ids": ["x"]}', "/ids/-1", None),
        (b'{"id": true}', "/id", None),
        (b'{"id": null}', "/id", None),
        (b'{"id": {"x": 1}}', "/id", None),
        (b'{"id": ""}', "/id", None),
        (b'{"id": "a\\u0000b"}', "/id", None),
        (b'{"id": "\\ud800"}', "/id", None),
        (b"not json", "/id", None),
        (b"\xff\xfe", "/id", None),
        (b"[" * 100_000, "/id", None),
    ],
)
def test_the_id_at_a_pointer(content: bytes, pointer: str, found: str | None):
    assert embedded_id(content, pointer) == found


@pytest.mark.parametrize(("length", "found"), [(255, True), (256, False), (5_000_000, False)])
def test_an_id_is_at_most_255_characters(length: int, *, found: bool):
    content = b'{"id": "' + b"x" * length + b'"}'
    assert (embedded_id(content, "/id") is not None) == found


def test_a_number_too_long_to_print_is_no_id():
    assert embedded_id(b'{"id": ' + b"9" * 5_000 + b"}", "/id") is None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'{"other": 1}', None),
        (b" \n", "it is empty"),
        (b'{"id": "a', "it is not JSON, or is cut off"),
        (b"\xff", "it is not JSON, or is cut off"),
        (b'{\n<<<<<<< ours\n"id": 1\n=======\n', "it has conflict markers"),
    ],
)
def test_content_that_no_pointer_can_read(content: bytes, problem: str | None):
    assert content_problem(content) == problem
