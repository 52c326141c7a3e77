"""Git trees: the strict parser for all backends, and trees of files for tests and the demo.

Git and the libraries parse malformed trees differently (of two entries of one name, one reads the
first, another the last), so none of their parsers is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from hashlib import sha1
from operator import le
from typing import TypeAlias

from towline.frozen import frozen
from towline.names import PLAIN_NAME_BYTES, name_problem


class EntryMode(StrEnum):
    """The modes that Git writes."""

    FILE = "100644"
    EXECUTABLE = "100755"
    SYMLINK = "120000"
    SUBMODULE = "160000"
    TREE = "40000"


# git once wrote group-writable files, and still reads them as plain ones.
_MODES = {mode.value.encode(): mode for mode in EntryMode} | {b"100664": EntryMode.FILE}
_TREE = EntryMode.TREE.value.encode()
_NULL = bytes(20)
# An entry that needs no further look but at its place in the tree.
_PLAIN_ENTRY = re.compile(
    rb"(100644|100755|40000) (" + PLAIN_NAME_BYTES + rb")\0(.{20})", re.DOTALL
)


@frozen
class TreeEntry:
    """An entry of a tree. ``name`` is in bytes of any encoding."""

    name: bytes
    mode: EntryMode
    oid: str

    @property
    def is_tree(self) -> bool:
        """Whether it is a subtree."""
        return self.mode is EntryMode.TREE

    @property
    def order(self) -> bytes:
        """The sort key of git: a folder sorts as if its name ended in ``/``."""
        return self.name + b"/" if self.is_tree else self.name


RawEntry: TypeAlias = tuple[bytes, bytes, bytes]
"""The mode as git writes it, the name, and the object id in binary."""


@frozen
class ParsedTree:
    """The entries of a tree, and all its problems.

    Most entries of two trees that are compared are equal, so that they are not converted.
    """

    raw: Sequence[RawEntry]
    problems: tuple[str, ...] = ()
    """Each names the entry, relative to the tree."""

    @property
    def entries(self) -> tuple[TreeEntry, ...]:
        """Every entry, in the tree's order."""
        return tuple(entry_of(raw) for raw in self.raw)

    @property
    def folders(self) -> int:
        """How many entries are subtrees."""
        return sum(mode == _TREE for mode, _, _ in self.raw)


EMPTY = ParsedTree(())


def entry_of(raw: RawEntry) -> TreeEntry:
    """Convert an entry."""
    mode, name, oid = raw
    return TreeEntry(name, _MODES[mode], oid.hex())


def shown(name: bytes) -> str:
    """Return a name as text, with U+FFFD where it is not UTF-8."""
    return name.decode("utf-8", "replace")


def parse_tree(raw: bytes) -> ParsedTree:
    """Parse a raw tree strictly: known modes, git's order, no duplicate or hostile names."""
    plain = _PLAIN_ENTRY.findall(raw)
    if _is_whole(raw, plain):
        return ParsedTree(plain)
    entries: list[RawEntry] = []
    problems: list[str] = []
    names: set[bytes] = set()
    previous = b""
    for item in _items(raw):
        if isinstance(item, str):
            problems.append(item)
            continue
        if problem := _problem(item, names, previous):
            problems.append(problem)
        else:
            entries.append((item.mode.value.encode(), item.name, bytes.fromhex(item.oid)))
        names.add(item.name)
        previous = item.order
    return ParsedTree(entries, tuple(problems))


def _is_whole(raw: bytes, plain: list[RawEntry]) -> bool:
    """Whether these plain entries are all of a tree, in git's order, and none is twice in it."""
    modes, names, oids = zip(*plain, strict=True) if plain else ((), (), ())
    if 22 * len(plain) + sum(map(len, modes)) + sum(map(len, names)) != len(raw):
        return False
    if _NULL in oids or len(set(names)) != len(names):
        return False
    orders = names
    if _TREE in modes:
        orders = tuple(name + b"/" if mode == _TREE else name for mode, name, _ in plain)
    return all(map(le, orders, orders[1:]))


def _problem(entry: TreeEntry, names: set[bytes], previous: bytes) -> str | None:
    text = shown(entry.name)
    if entry.name in names:
        return f"{text!r} is twice in its folder"
    if problem := name_problem(text):
        return f"{text!r} {problem}"
    if entry.order < previous:
        return f"{text!r} is out of order"
    if not entry.oid.strip("0"):
        return f"{text!r} has a null object id"
    return None


def _items(raw: bytes) -> Iterator[TreeEntry | str]:
    at, end = 0, len(raw)
    while at < end:
        space = raw.find(b" ", at, at + 8)
        nul = raw.find(b"\0", at)
        if space < 0 or nul < space or nul + 21 > end:
            yield "the folder's tree object is malformed"
            return
        name = raw[space + 1 : nul]
        mode = _MODES.get(raw[at:space])
        if mode is None:
            yield f"{shown(name)!r} has an unknown mode"
        else:
            yield TreeEntry(name, mode, raw[nul + 1 : nul + 21].hex())
        at = nul + 21


def encode_tree(entries: Iterable[TreeEntry]) -> bytes:
    """Return the raw tree of entries, in git's order."""
    return b"".join(
        b"%s %s\0%s" % (entry.mode.value.encode(), entry.name, bytes.fromhex(entry.oid))
        for entry in sorted(entries, key=lambda entry: entry.order)
    )


@frozen
class Symlink:
    """A symbolic link in a commit."""

    target: str


@frozen
class Submodule:
    """A submodule in a commit: the id of a commit of another repository."""

    commit: str = "1" * 40


FileContent: TypeAlias = bytes | tuple[bytes, bool] | Symlink | Submodule
"""Bytes; bytes and whether the file is executable; or a symlink or submodule."""

Files: TypeAlias = Mapping[str, FileContent] | Mapping[bytes, FileContent]
"""The files of a commit by path; a path in bytes need not be UTF-8."""

Put: TypeAlias = Callable[[str, bytes], str]
"""Stores an object of a type, and returns its id."""


def object_id(kind: str, content: bytes) -> str:
    """Return the id of a Git object."""
    header = f"{kind} {len(content)}\0".encode()
    return sha1(header + content, usedforsecurity=False).hexdigest()


def commit_content(tree: str, parents: Sequence[str], time: int = 1_700_000_000) -> bytes:
    """Return a commit object; it depends on tree, parents and time alone."""
    who = f"towline <towline@localhost.invalid> {time} +0000"
    lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
    return "\n".join([*lines, f"author {who}", f"committer {who}", "", "a commit", ""]).encode()


def mode_and_bytes(content: FileContent) -> tuple[EntryMode, bytes]:
    """Return the mode of a file and the content of its blob (a submodule has none)."""
    match content:
        case bytes():
            return EntryMode.FILE, content
        case (data, executable):
            return (EntryMode.EXECUTABLE if executable else EntryMode.FILE), data
        case Symlink(target):
            return EntryMode.SYMLINK, target.encode()
        case Submodule():
            return EntryMode.SUBMODULE, b""


def put_files(files: Files, put: Put) -> str:
    """Store the blobs and trees of files, and return the id of the root tree.

    Raises:
        ValueError: a path is both a file and a folder.
    """
    folders: dict[bytes, list[TreeEntry]] = {b"": []}
    for path, content in files.items():
        raw = path.encode() if isinstance(path, str) else path
        folder, _, name = raw.rpartition(b"/")
        _add_folder(folders, folder)
        mode, data = mode_and_bytes(content)
        oid = content.commit if isinstance(content, Submodule) else put("blob", data)
        folders[folder].append(TreeEntry(name, mode, oid))
    for folder in sorted(folders, key=lambda path: path.count(b"/") + bool(path), reverse=True):
        entries = folders[folder]
        if len({entry.name for entry in entries}) != len(entries):
            raise ValueError(f"a path below {folder!r} is both a file and a folder")
        oid = put("tree", encode_tree(entries))
        if not folder:
            return oid
        parent, _, name = folder.rpartition(b"/")
        folders[parent].append(TreeEntry(name, EntryMode.TREE, oid))
    raise AssertionError("the root is the last folder")


def _add_folder(folders: dict[bytes, list[TreeEntry]], folder: bytes) -> None:
    while folder not in folders:
        folders[folder] = []
        folder = folder.rpartition(b"/")[0]
