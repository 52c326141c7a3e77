"""Creates real Git repositories, even hostile ones, for tests, the demo and benchmarks.

Objects are written as one pack a commit, so trees may hold anything, and ids are those of
`towline.remotes.MemoryRepository` for the same files. No user configuration is read.
"""

from __future__ import annotations

import subprocess
import zlib
from collections.abc import Sequence
from hashlib import sha1
from pathlib import Path
from typing import Final

from towline.model import Revision
from towline.remotes.git_process import closed_environment
from towline.remotes.objects import KINDS
from towline.remotes.trees import Files, commit_content, object_id, put_files

_TYPES: Final = {kind: number for number, kind in KINDS.items()}

CLOSED_ENVIRONMENT: Final = {
    **closed_environment({}),
    "GIT_AUTHOR_NAME": "towline",
    "GIT_AUTHOR_EMAIL": "towline@localhost.invalid",
    "GIT_AUTHOR_DATE": "1700000000 +0000",
    "GIT_COMMITTER_NAME": "towline",
    "GIT_COMMITTER_EMAIL": "towline@localhost.invalid",
    "GIT_COMMITTER_DATE": "1700000000 +0000",
}
"""git's environment: no configuration of the machine, a neutral author."""


def run_git(path: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    """Run a git command in a repository, and return its output.

    Raises:
        subprocess.CalledProcessError: it failed; ``stderr`` has the reason.
    """
    command = ["git", "-C", str(path), *arguments]
    ended = subprocess.run(
        command, input=stdin, capture_output=True, env=CLOSED_ENVIRONMENT, check=True
    )
    return ended.stdout


class GitRepository:
    """A bare repository at a path, created if missing; its HEAD points to ``main``."""

    def __init__(self, path: Path, *, object_format: str = "sha1") -> None:
        self.path = path
        self._known: dict[str, str] = {}
        self._pending: dict[str, tuple[str, bytes]] = {}
        if not (path / "HEAD").exists():
            path.mkdir(parents=True, exist_ok=True)
            form = f"--object-format={object_format}"
            run_git(path, "init", "--quiet", "--bare", "--initial-branch=main", form)

    def put(self, kind: str, content: bytes) -> str:
        """Store an object of any content, with the next commit, tag or `flush`; return its id."""
        oid = object_id(kind, content)
        if oid not in self._known:
            self._known[oid] = kind
            self._pending[oid] = (kind, content)
        return oid

    def commit(
        self,
        files: Files,
        *,
        ref: str = "main",
        parents: Sequence[Revision] | None = None,
        time: int = 1_700_000_000,
    ) -> Revision:
        """Commit files and move a branch to it; by default on top of that branch."""
        return self.commit_tree(put_files(files, self.put), ref=ref, parents=parents, time=time)

    def commit_tree(
        self,
        tree: str,
        *,
        ref: str = "main",
        parents: Sequence[Revision] | None = None,
        time: int = 1_700_000_000,
    ) -> Revision:
        """Commit a root tree that `put` stored, even a malformed one."""
        if parents is None:
            tip = self.tip(ref)
            parents = (tip,) if tip is not None else ()
        revision = Revision(self.put("commit", commit_content(tree, parents, time)))
        self.set_ref(ref, revision)
        return revision

    def tip(self, ref: str) -> Revision | None:
        """Return the commit of a branch (or of a full ref)."""
        path = self._ref_path(ref)
        return Revision(path.read_text().strip()) if path.exists() else None

    def set_ref(self, ref: str, oid: str | None) -> None:
        """Move a branch (or a full ref), or remove it."""
        self.flush()
        path = self._ref_path(ref)
        if oid is None:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(oid + "\n")

    def tag(self, name: str, oid: str) -> str:
        """Create an annotated tag, and return its id."""
        who = "towline <towline@localhost.invalid> 1700000000 +0000"
        kind = self._known.get(oid, "commit")
        text = f"object {oid}\ntype {kind}\ntag {name}\ntagger {who}\n\na tag\n"
        tag = self.put("tag", text.encode())
        self.set_ref(f"refs/tags/{name}", tag)
        return tag

    def set_head(self, branch: str) -> None:
        """Point HEAD to a branch, which need not exist."""
        (self.path / "HEAD").write_text(f"ref: refs/heads/{branch}\n")

    def flush(self) -> None:
        """Write the objects that `put` stored."""
        if self._pending:
            pack = pack_of(list(self._pending.values()))
            run_git(self.path, "index-pack", "--stdin", stdin=pack)
            self._pending.clear()

    def git(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """Run a git command in this repository, and return its output."""
        return run_git(self.path, *arguments, stdin=stdin)

    def _ref_path(self, ref: str) -> Path:
        return self.path / (ref if ref.startswith("refs/") else f"refs/heads/{ref}")


def pack_of(objects: Sequence[tuple[str, bytes]]) -> bytes:
    """Return a pack of undeltified objects."""
    return pack_of_entries([pack_entry(kind, content) for kind, content in objects])


def pack_of_entries(entries: Sequence[bytes]) -> bytes:
    """Return a pack of encoded entries, even malformed ones."""
    body = b"PACK" + (2).to_bytes(4, "big") + len(entries).to_bytes(4, "big") + b"".join(entries)
    return body + sha1(body, usedforsecurity=False).digest()


def pack_entry(kind: str, content: bytes) -> bytes:
    """Return the entry of an undeltified object in a pack."""
    return entry_header(_TYPES[kind], len(content)) + zlib.compress(content, 1)


def entry_header(kind: int, size: int) -> bytes:
    """Return the header of a pack entry: type and size."""
    first, size = (kind << 4) | (size & 15), size >> 4
    encoded = bytearray()
    while size:
        encoded.append(first | 128)
        first, size = size & 127, size >> 7
    encoded.append(first)
    return bytes(encoded)


def sha256_repository(path: Path) -> GitRepository:
    """Create a repository of sha256 objects with one commit on ``main``."""
    repository = GitRepository(path, object_format="sha256")
    tree = repository.git("mktree").decode().strip()
    commit = repository.git("commit-tree", tree, "-m", "a commit").decode().strip()
    repository.git("update-ref", "refs/heads/main", commit)
    return repository
