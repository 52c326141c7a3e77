from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from towline.names import name_problem
from towline.remotes.trees import EntryMode, ParsedTree, TreeEntry, encode_tree, parse_tree

OID = "1" * 40


def raw(*entries: tuple[bytes, bytes]) -> bytes:
    return b"".join(b"%s %s\0%s" % (mode, name, bytes.fromhex(OID)) for mode, name in entries)


def problems(*entries: tuple[bytes, bytes]) -> list[str]:
    return list(parse_tree(raw(*entries)).problems)


FILE, TREE = b"100644", b"40000"

names = st.binary(min_size=1, max_size=12).filter(
    lambda name: not {0, 47} & set(name) and name_problem(name.decode("utf-8", "replace")) is None
)
trees = st.lists(
    st.builds(
        TreeEntry,
        names,
        st.sampled_from(EntryMode),
        st.binary(min_size=20, max_size=20).map(bytes.hex),
    ).filter(lambda entry: entry.oid.strip("0") != ""),
    unique_by=lambda entry: entry.name,
)


@given(trees)
def test_what_is_encoded_is_read(entries: list[TreeEntry]) -> None:
    parsed = parse_tree(encode_tree(entries))
    assert parsed.problems == ()
    assert sorted(parsed.entries, key=lambda e: e.name) == sorted(entries, key=lambda e: e.name)


@given(st.binary(max_size=200))
@example(b"100644 a")
@example(b"100644 a\0short")
@example(b"100644a\0" + b"1" * 20)
@example(b" a\0" + b"1" * 20)
def test_no_bytes_are_too_odd(data: bytes) -> None:
    parsed = parse_tree(data)
    assert isinstance(parsed, ParsedTree)
    if not parsed.problems:
        assert encode_tree(parsed.entries) == data or b"100664" in data


@given(trees, st.data())
def test_any_other_order_is_a_problem(entries: list[TreeEntry], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(entries))
    raw = b"".join(encode_tree([entry]) for entry in shuffled)
    assert bool(parse_tree(raw).problems) == (raw != encode_tree(entries))


@pytest.mark.parametrize(
    ("mode", "read"),
    [
        (b"100644", EntryMode.FILE),
        (b"100664", EntryMode.FILE),
        (b"100755", EntryMode.EXECUTABLE),
        (b"120000", EntryMode.SYMLINK),
        (b"160000", EntryMode.SUBMODULE),
        (b"40000", EntryMode.TREE),
    ],
)
def test_modes(mode: bytes, read: EntryMode) -> None:
    (entry,) = parse_tree(raw((mode, b"a"))).entries
    assert entry == TreeEntry(b"a", read, OID)


@pytest.mark.parametrize("mode", [b"040000", b"100600", b"100777", b"10644", b"0", b"140000", b""])
def test_modes_that_git_does_not_write(mode: bytes) -> None:
    assert problems((mode, b"a")) != []


@pytest.mark.parametrize(
    "entries",
    [
        ((FILE, b"a"), (FILE, b"a")),
        ((FILE, b"a"), (TREE, b"a")),
        ((FILE, b"a"), (FILE, b"a.b"), (TREE, b"a")),
        ((FILE, b"b"), (FILE, b"a")),
        ((TREE, b"a"), (FILE, b"a.b")),
    ],
)
def test_duplicates_and_disorder(entries: tuple[tuple[bytes, bytes], ...]) -> None:
    assert problems(*entries) != []


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b".",
        b"..",
        b".git",
        b".GIT",
        b".git ",
        b".git. .",
        b"git~1",
        b".git:x",
        ".g\u200cit".encode(),
        b".towline",
        b".Towline",
        b"a/b",
        b"a\\b",
        b"a\nb",
        b"a\x7f",
        b"\xff\x01",
    ],
)
def test_hostile_names(name: bytes) -> None:
    assert len(problems((FILE, name))) == 1


@pytest.mark.parametrize("name", [b"a:b?c*", b" ", b"-rf", b"CON", b"a.", "日本".encode(), b"\xff"])
def test_odd_names_pass(name: bytes) -> None:
    assert problems((FILE, name)) == []


def test_every_problem_is_reported() -> None:
    found = problems((FILE, b".git"), (b"1", b"a"), (FILE, b"b"), (FILE, b"b"), (FILE, b"a"))
    assert len(found) == 4


def test_an_object_of_zeros() -> None:
    assert parse_tree(b"100644 a\0" + bytes(20)).problems == ("'a' has a null object id",)
