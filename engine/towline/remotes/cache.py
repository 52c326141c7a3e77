"""The cache: a bare repository that holds what was fetched, made, shared and thrown away at need.

Fetched commits stay under ``refs/heads/``, since that is all that dulwich offers to a remote as
known. Nothing is ever collected: a base may be on no branch any more. Several processes may use
one cache; those that write to it take turns.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from hashlib import sha256
from pathlib import Path

from towline.errors import LinkRefused, UnsafeOwner
from towline.model import Revision
from towline.ports import Watch

_CONFIG = """\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
[gc]
\tauto = 0
"""
MANY_PACKS = 50
"""Each fetch brings one; a look-up asks them all."""
_TIP_FOLDER = "refs/heads/towline"
_POLL_SECONDS = 0.05
_TEMPORARY = "towline-cache-"
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Cache:
    """A bare repository at a path; it need not exist yet.

    ``trusts`` tells of a user id whether parts of it may belong to that user: the running user,
    root and the owner of the folder around it, unless given.
    """

    def __init__(self, path: Path, trusts: Callable[[int], bool] | None = None) -> None:
        self.path = path
        self._trusts = trusts or self._is_ours

    def ensure(self) -> None:
        """Make the repository if it is not there, or not whole."""
        self.guard()
        there = (self.path / "config").is_file() and (self.path / "objects").is_dir()
        if there and (self.used or not any((self.path / _TIP_FOLDER).glob("*"))):
            return
        shutil.rmtree(self.path / "refs", ignore_errors=True)  # they name what is gone
        for folder in ("objects/pack", "objects/info", "refs/heads", "refs/tags"):
            (self.path / folder).mkdir(parents=True, exist_ok=True)
        _replace(self.path / "HEAD", "ref: refs/heads/none\n")
        _replace(self.path / "config", _CONFIG)

    def guard(self) -> None:
        """Take back whatever would make git read settings or objects that are not ours.

        A cache may lie in a folder that came from somewhere else.

        Raises:
            LinkRefused: there is a link in it, or in its place.
            UnsafeOwner: a part of it belongs to a user who is not trusted.
        """
        self._check(self.path)
        with suppress(FileNotFoundError, NotADirectoryError):
            for _, folders, files, descriptor in os.fwalk(self.path, follow_symlinks=False):
                for name in (*folders, *files):
                    self._check(Path(name), descriptor)
        for name in ("commondir", "config.worktree", "objects/info/alternates"):
            (self.path / name).unlink(missing_ok=True)
        config = self.path / "config"
        if config.exists() and config.read_bytes() != _CONFIG.encode():
            _replace(config, _CONFIG)

    def _check(self, path: Path, folder: int | None = None) -> None:
        with suppress(FileNotFoundError):  # git may remove it meanwhile
            found = os.stat(path, dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
                problem = f"{path.name} is a link or a special file"
                raise LinkRefused(project=str(self.path), problem=problem)
            if not self._trusts(found.st_uid):
                problem = path.name
                raise UnsafeOwner(project=str(self.path), problem=problem, owner=found.st_uid)

    def _is_ours(self, owner: int) -> bool:
        return owner in (0, os.geteuid()) or owner == self.path.parent.stat().st_uid

    @contextmanager
    def entered(self) -> Iterator[str]:
        """The cache as a working folder for a child: this one, whatever gets its path.

        Raises:
            OSError: there is none.
        """
        descriptor = os.open(self.path, _FOLDER_FLAGS)
        try:
            by_descriptor = f"/proc/self/fd/{descriptor}"
            yield by_descriptor if os.path.exists(by_descriptor) else str(self.path)
        finally:
            os.close(descriptor)

    def discard(self) -> None:
        """Throw everything away, damaged or not, and begin anew."""
        self.remove()
        self.ensure()

    def remove(self) -> None:
        """Take the cache away; whoever has it open keeps what it has open."""
        if self.path.exists():
            grave = Path(tempfile.mkdtemp(prefix=f".{self.path.name}-", dir=self.path.parent))
            try:
                self.path.rename(grave / "cache")
            finally:
                shutil.rmtree(grave, ignore_errors=True)

    @contextmanager
    def writing(self, watch: Watch) -> Iterator[None]:
        """Be the only writer; waits for others, for as long as the watch lets it.

        Raises:
            Cancelled: the caller asked to stop while waiting.
            LinkRefused, UnsafeOwner: see `guard`.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = self.path.with_name(self.path.name + ".lock")
        self._check(lock)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(lock, flags, 0o600)
        try:
            while not _locked(handle):
                watch.check()
                time.sleep(_POLL_SECONDS)
            self.ensure()
            yield
        finally:
            os.close(handle)

    def tip_name(self, address: str, name: str) -> str:
        """The ref of the cache for a ref of a remote."""
        key = sha256(f"{address}\0{name}".encode()).hexdigest()[:24]
        return f"{_TIP_FOLDER}/{key}"

    def tip(self, ref: str) -> Revision | None:
        """What a ref of the cache holds."""
        try:
            text = (self.path / ref).read_text().strip()
        except (OSError, UnicodeDecodeError):
            return None
        return Revision(text) if len(text) == 40 else None

    def set_tip(self, ref: str, revision: Revision) -> None:
        """Point a ref of the cache at a commit that is in it."""
        if self.tip(ref) != revision:
            (self.path / ref).parent.mkdir(parents=True, exist_ok=True)
            _replace(self.path / ref, revision + "\n")

    @property
    def shallow(self) -> bool:
        """Whether history is cut off somewhere."""
        try:
            return (self.path / "shallow").stat().st_size > 0
        except OSError:
            return False

    @property
    def used(self) -> bool:
        """Whether there is anything in it, so that it can be damaged."""
        packs, loose = self.path / "objects/pack", self.path / "objects"
        return any(packs.glob("*.pack")) or any(loose.glob("??/*"))

    def packs(self) -> dict[Path, int]:
        """The packs and their sizes."""
        return dict(self._sizes("*.pack"))

    def drop(self, packs: Iterable[Path], ref: str, old: Revision | None) -> None:
        """Take back what a fetch brought; only while `writing`."""
        for pack in packs:
            for file in pack.parent.glob(f"{pack.stem}.*"):
                file.unlink(missing_ok=True)
        if old is None:
            (self.path / ref).unlink(missing_ok=True)
        else:
            self.set_tip(ref, old)

    def unfinished_bytes(self) -> int:
        """The size of the largest pack that was not finished."""
        return max((size for _, size in self._sizes("tmp_pack_*")), default=0)

    def _sizes(self, pattern: str) -> Iterator[tuple[Path, int]]:
        """The packs of a name and their sizes; git may rename or remove one while we look."""
        for pack in (self.path / "objects/pack").glob(pattern):
            size = None
            with suppress(FileNotFoundError):
                size = pack.stat().st_size
            if size is not None:
                yield pack, size

    def sweep(self) -> None:
        """Remove what a stopped fetch or `remove` left behind; only while `writing`."""
        for pattern in ("tmp_*", ".tmp*", "pack-*.keep"):
            for litter in (self.path / "objects/pack").glob(pattern):
                litter.unlink(missing_ok=True)
        for removed in self.path.parent.glob(f".{self.path.name}-*"):
            shutil.rmtree(removed, ignore_errors=True)


def temporary_folder() -> tuple[Path, Callable[[], None]]:
    """Make a temporary folder, and return it with what removes it.

    Its lock is held until then, so that what a killed process left is recognised and removed here.
    """
    for path in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY}*"):
        _remove_unlocked(path)
    while True:
        path = Path(tempfile.mkdtemp(prefix=_TEMPORARY))
        # Another process may find it, and remove it, before the lock is held.
        with suppress(FileNotFoundError):
            handle = os.open(path, _FOLDER_FLAGS)
            with suppress(OSError):  # a file system without locks; nothing is removed there
                fcntl.flock(handle, fcntl.LOCK_EX)
            if path.exists():
                return path, partial(_remove, path, handle)
            os.close(handle)


def _remove(path: Path, handle: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    os.close(handle)


def _remove_unlocked(path: Path) -> None:
    with suppress(OSError):
        handle = os.open(path, _FOLDER_FLAGS)
        try:
            if os.fstat(handle).st_uid == os.geteuid() and _locked(handle):
                shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(handle)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _replace(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(prefix=".towline-", dir=path.parent)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    Path(name).replace(path)
