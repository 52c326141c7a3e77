"""Owns how raw Git trees are read: the one parser, strict, whatever backend brought the bytes.

Git and the libraries read malformed trees differently (of two entries of one name, one takes the
first, another the last), so none of their tree parsers is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from towline.names import name_problem


class EntryMode(StrEnum):
    """The modes that Git writes."""

    FILE = "100644"
    EXECUTABLE = "100755"
    SYMLINK = "120000"
    SUBMODULE = "160000"
    TREE = "40000"


# Git once wrote group-writable files, and still reads them as plain ones.
_MODES = {mode.value.encode(): mode for mode in EntryMode} | {b"100664": EntryMode.FILE}


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One entry of a tree. ``name`` is as Git stores it: bytes, in no certain encoding."""

    name: bytes
    mode: EntryMode
    oid: str

    @property
    def is_tree(self) -> bool:
        """Whether it is a folder."""
        return self.mode is EntryMode.TREE

    @property
    def order(self) -> bytes:
        """The key by which Git sorts entries: a folder counts as if its name ended in ``/``."""
        return self.name + b"/" if self.is_tree else self.name


@dataclass(frozen=True, slots=True)
class ParsedTree:
    """What a raw tree holds, and everything that is wrong with it."""

    entries: tuple[TreeEntry, ...]
    problems: tuple[str, ...]
    """Each names the entry, relative to the tree."""


EMPTY = ParsedTree((), ())


def shown(name: bytes) -> str:
    """A name fit to be shown: U+FFFD stands where it is not UTF-8."""
    return name.decode("utf-8", "replace")


def parse_tree(raw: bytes) -> ParsedTree:
    """Read a raw tree, strictly: known modes, Git's order, no name twice, no hostile name."""
    entries: list[TreeEntry] = []
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
            entries.append(item)
        names.add(item.name)
        previous = item.order
    return ParsedTree(tuple(entries), tuple(problems))


def _problem(entry: TreeEntry, names: set[bytes], previous: bytes) -> str | None:
    text = shown(entry.name)
    if entry.name in names:
        return f"{text!r} stands twice in its folder"
    if problem := name_problem(text):
        return f"{text!r} {problem}"
    if entry.order < previous:
        return f"{text!r} is out of order"
    if not entry.oid.strip("0"):
        return f"{text!r} names no object"
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
            yield f"{shown(name)!r} has a mode that Git does not know"
        else:
            yield TreeEntry(name, mode, raw[nul + 1 : nul + 21].hex())
        at = nul + 21


def encode_tree(entries: Iterable[TreeEntry]) -> bytes:
    """The raw tree of these entries, in Git's order."""
    return b"".join(
        b"%s %s\0%s" % (entry.mode.value.encode(), entry.name, bytes.fromhex(entry.oid))
        for entry in sorted(entries, key=lambda entry: entry.order)
    )
