"""Ids inside an asset."""

from __future__ import annotations

import pytest

from towline.changes import RemoteAsset
from towline.merge.embedded import with_embedded_id
from towline.model import AssetPath, AssetState, Digest


def read(content: bytes, pointer: str = "/id", path: str = "a.json") -> RemoteAsset:
    """The asset, with its id or the reason why it has none."""
    state = AssetState(path=AssetPath(path), digest=Digest.of(content))
    return with_embedded_id(RemoteAsset(state=state), content, pointer)


def problem(asset: RemoteAsset) -> str | None:
    return None if asset.id_problem is None else asset.id_problem.text


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
    asset = read(content, pointer)
    assert asset.embedded_id == found
    assert (asset.id_problem is None) == (found is not None)


@pytest.mark.parametrize(
    ("content", "path", "found"),
    [
        (b"meta:\n  id: a-1 # for ever\n", "a.yaml", "a-1"),
        (b"\xef\xbb\xbfmeta: {id: 7}\n", "a.yml", "7"),
        (b"meta: {id: '007'}\n", "a.yml", "007"),
        (b"meta: {id: 0777}\n", "a.yml", "0777"),
        (b"meta: {id: 2024-01-01}\n", "a.yml", "2024-01-01"),
        (b"meta: {id: 1.5}\n", "a.yml", None),
        (b"meta: {id: !secret x}\n", "a.yml", None),
        (b"meta: {id: true}\n", "a.yml", None),
        (b"# nothing\n", "a.yml", None),
        (b"[meta]\nid = 'a-1'\n", "a.toml", "a-1"),
        (b"meta.id = 7\n", "a.toml", "7"),
        (b"meta.id = 2024-01-01\n", "a.toml", None),
    ],
)
def test_the_id_in_yaml_and_toml(content: bytes, path: str, found: str | None):
    assert read(content, "/meta/id", path).embedded_id == found


def test_the_id_in_the_second_of_several_documents():
    assert read(b"id: 1\n---\nid: 2\n", "/1/id", "a.yaml").embedded_id == "2"


@pytest.mark.parametrize(("length", "found"), [(255, True), (256, False), (5_000_000, False)])
def test_an_id_is_at_most_255_characters(length: int, *, found: bool):
    asset = read(b'{"id": "' + b"x" * length + b'"}')
    assert (asset.embedded_id is not None) == found


def test_a_number_too_long_to_print_is_no_id():
    assert read(b'{"id": ' + b"9" * 5_000 + b"}").embedded_id is None


BILLION = b"a: &a [x, x]\nb: &b [*a, *a, *a, *a]\nc: &c [*b, *b, *b, *b]\n" + b"".join(
    b"%c: &%c [*%c, *%c, *%c, *%c]\n" % (n + 1, n + 1, n, n, n, n) for n in b"cdefghijklmno"
)


@pytest.mark.parametrize(
    ("content", "path", "found"),
    [
        (b'{"other": 1}', "a.json", "no id is at /id"),
        (b'{"id": ""}', "a.json", "the id at /id is a placeholder"),
        (b'{"id": 0}', "a.json", "the id at /id is a placeholder"),
        (b"id: 00000000-0000-0000-0000-000000000000", "a.yaml", "the id at /id is a placeholder"),
        (b"id = '{0000}'", "a.toml", "the id at /id is a placeholder"),
        (b" \n", "a.json", "no id can be read at /id: it is empty"),
        (b'{"id": "a', "a.json", "no id can be read at /id: it is not JSON, or is cut off"),
        (b"\xff", "a.json", "no id can be read at /id: it is not JSON, or is cut off"),
        (b"a: [", "a.yml", "no id can be read at /id: it is not YAML, or is cut off"),
        (BILLION, "a.yml", "no id can be read at /id: it is not YAML, or is cut off"),
        (b"a = ", "a.toml", "no id can be read at /id: it is not TOML, or is cut off"),
        (
            b'{\n<<<<<<< ours\n"id": 1\n=======\n',
            "a.json",
            "no id can be read at /id: it has conflict markers",
        ),
    ],
)
def test_why_there_is_no_id(content: bytes, path: str, found: str):
    asset = read(content, path=path)
    assert (asset.embedded_id, problem(asset)) == (None, found)
