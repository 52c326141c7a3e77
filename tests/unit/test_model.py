"""The nouns: paths, ids, digests, three-way values, planned ids."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.asset_ids import planned_id
from towline.errors import InvalidValue
from towline.model import AssetId, AssetPath, Digest, ThreeWay


@pytest.mark.parametrize("content", [b"", b"a", b"line\n", bytes(range(256))])
def test_a_digest_is_gits_blob_id(content: bytes):
    hashed = subprocess.run(
        ["git", "hash-object", "--stdin"], input=content, capture_output=True, check=True
    )
    assert Digest.of(content) == hashed.stdout.decode().strip()


@pytest.mark.parametrize("raw", ["", "0" * 39, "0" * 41, "g" * 40, "A" * 40, "0" * 64])
def test_a_digest_is_forty_lower_case_hex_digits(raw: str):
    with pytest.raises(InvalidValue):
        Digest.parse(raw)
    assert Digest.parse("0123456789abcdef" * 2 + "01234567")


@pytest.mark.parametrize("raw", ["", "a\n", "\0", "x" * 256])
def test_an_id_is_short_and_printable(raw: str):
    with pytest.raises(InvalidValue):
        AssetId.parse(raw)


@pytest.mark.parametrize("raw", ["65e12ed44f526dee5878a380", "my asset", "ключ", "x" * 255])
def test_an_embedder_brings_ids_of_its_own(raw: str):
    assert AssetId.parse(raw) == raw


def test_a_path_knows_its_name_and_folders():
    path = AssetPath("a/b/c.json")
    assert (path.name, path.folders) == ("c.json", ("a", "a/b"))
    assert (AssetPath("c").name, AssetPath("c").folders) == ("c", ())


@pytest.mark.parametrize(
    ("sides", "clashes", "settled"),
    [
        ((1, 1, 1), False, 1),
        ((1, 2, 1), False, 2),
        ((1, 1, 2), False, 2),
        ((1, 2, 2), False, 2),
        ((1, 2, 3), True, 2),
    ],
)
def test_a_field_on_three_sides(sides: tuple[int, int, int], clashes: bool, settled: int):
    value = ThreeWay(*sides)
    assert (value.clashes, value.resolved()) == (clashes, settled)
    assert value.map(str) == ThreeWay(*map(str, sides))


def test_a_planned_id_is_the_same_everywhere():
    # printf 'project\0a/b.json\0%s' 0 | sha256sum | cut -c1-24
    found = planned_id("project", "a/b.json", lambda _: False)
    assert found == "8195bed5efa5951ee721f230"
    assert planned_id("other", "a/b.json", lambda _: False) != found


def test_a_planned_id_steps_past_used_ones():
    used: set[AssetId] = set()
    for _ in range(3):
        used.add(planned_id("project", "a", used.__contains__))
    assert len(used) == 3


@given(st.text(), st.text())
def test_project_and_path_cannot_be_confused(project: str, path: str):
    moved = planned_id(f"{project}x", path, lambda _: False)
    assert moved != planned_id(project, f"x{path}", lambda _: False)
