"""Files as plain values, and the Git objects that they make: for the fake and for test servers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha1
from typing import TypeAlias

from towline.remotes.trees import EntryMode, TreeEntry, encode_tree


@dataclass(frozen=True, slots=True)
class Symlink:
    """A symbolic link in a commit."""

    target: str


@dataclass(frozen=True, slots=True)
class Submodule:
    """A submodule in a commit: the id of a commit of another repository."""

    commit: str = "1" * 40


FileContent: TypeAlias = bytes | tuple[bytes, bool] | Symlink | Submodule
"""Bytes; bytes and whether they are executable; or what is no file."""

Files: TypeAlias = Mapping[str, FileContent] | Mapping[bytes, FileContent]
"""What a commit holds, by path; paths in bytes need not be UTF-8."""

Put: TypeAlias = Callable[[str, bytes], str]
"""Stores an object of a type and tells its id."""


def object_id(kind: str, content: bytes) -> str:
    """The id that Git gives to an object."""
    header = f"{kind} {len(content)}\0".encode()
    return sha1(header + content, usedforsecurity=False).hexdigest()


def commit_content(tree: str, parents: Sequence[str], time: int = 1_700_000_000) -> bytes:
    """A commit object: neutral, and the same for the same tree, parents and time."""
    who = f"towline <towline@localhost.invalid> {time} +0000"
    lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
    return "\n".join([*lines, f"author {who}", f"committer {who}", "", "a commit", ""]).encode()


def mode_and_bytes(content: FileContent) -> tuple[EntryMode, bytes]:
    """The mode of a file and what its blob holds (a submodule has none)."""
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
    """Store blobs and trees of a commit's files; the id of the root tree.

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
