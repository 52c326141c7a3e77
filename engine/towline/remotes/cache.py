"""The cache: a bare repository of fetched objects, which can be discarded and fetched again.

Fetched commits have refs below ``refs/heads/``, the only ones that dulwich sends as haves. Nothing
is garbage-collected: a base may be on no branch any more. Several processes may share a cache; a
lock serialises the writers.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from towline.errors import LinkRefused, UnsafeOwner
from towline.model import Revision

if TYPE_CHECKING:
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
"""Each fetch adds one; reading an object may search all."""
_TIP_FOLDER = "refs/heads/towline"
_POLL_SECONDS = 0.05
FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class ObjectMissing(Exception):
    """An object is missing from the cache or damaged there; the cache can be rebuilt."""

    def __init__(self, oid: str) -> None:
        super().__init__(oid)
        self.oid = oid


class Cache:
    """A bare repository at a path that need not exist.

    ``trusts`` returns whether parts of it may belong to a user id; by default the running user,
    root and the owner of the folder around it.
    """

    def __init__(self, path: Path, trusts: Callable[[int], bool] | None = None) -> None:
        self.path = path
        self._trusts = trusts or self._trusts_by_default

    def ensure(self) -> None:
        """Create the repository if it is missing or incomplete."""
        self.guard()
        exists = (self.path / "config").is_file() and (self.path / "objects").is_dir()
        if exists and (self.has_objects or not any((self.path / _TIP_FOLDER).glob("*"))):
            return
        _remove_folder(self.path / "refs")  # they point to missing objects
        for folder in ("objects/pack", "objects/info", "refs/heads", "refs/tags"):
            (self.path / folder).mkdir(parents=True, exist_ok=True)
        _replace(self.path / "HEAD", "ref: refs/heads/none\n")
        _replace(self.path / "config", _CONFIG)

    def guard(self) -> None:
        """Remove everything that makes git read other configuration or other objects.

        The folder of the cache may be untrusted.

        Raises:
            LinkRefused: it is or contains a link.
            UnsafeOwner: a part of it belongs to a user that is not trusted.
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
        with suppress(FileNotFoundError):  # git may remove it at any time
            found = os.stat(path, dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
                problem = f"{path.name} is a link or a special file"
                raise LinkRefused(project=str(self.path), problem=problem)
            if not self._trusts(found.st_uid):
                problem = path.name
                raise UnsafeOwner(project=str(self.path), problem=problem, owner=found.st_uid)

    def _trusts_by_default(self, owner: int) -> bool:
        return owner in (0, os.geteuid()) or owner == self.path.parent.stat().st_uid

    @contextmanager
    def working_directory(self) -> Iterator[str]:
        """Yield a path for a child's working directory, valid even if the cache is moved.

        Raises:
            OSError: there is no cache.
        """
        descriptor = os.open(self.path, FOLDER_FLAGS)
        try:
            by_descriptor = f"/proc/self/fd/{descriptor}"
            yield by_descriptor if os.path.exists(by_descriptor) else str(self.path)
        finally:
            os.close(descriptor)

    def discard(self) -> None:
        """Remove the cache, and create an empty one."""
        self.remove()
        self.ensure()

    def remove(self) -> None:
        """Remove the cache; processes that have its files open can still read them."""
        if self.path.exists():
            import tempfile

            trash = Path(tempfile.mkdtemp(prefix=f".{self.path.name}-", dir=self.path.parent))
            try:
                self.path.rename(trash / "cache")
            finally:
                _remove_folder(trash)

    @contextmanager
    def lock(self, watch: Watch) -> Iterator[None]:
        """Hold the lock of writers; waits for another process.

        Raises:
            Cancelled: the caller cancelled while waiting.
            LinkRefused, UnsafeOwner: see `guard`.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = self.path.with_name(self.path.name + ".lock")
        self._check(lock)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(lock, flags, 0o600)
        try:
            while not try_lock(handle):
                watch.check()
                time.sleep(_POLL_SECONDS)
            self.ensure()
            yield
        finally:
            os.close(handle)

    def tip_name(self, address: str, name: str) -> str:
        """Return the ref of the cache for a ref of a remote."""
        key = sha256(f"{address}\0{name}".encode()).hexdigest()[:24]
        return f"{_TIP_FOLDER}/{key}"

    def tip(self, ref: str) -> Revision | None:
        """Return the commit of a ref of the cache, if any."""
        try:
            text = (self.path / ref).read_text().strip()
        except (OSError, UnicodeDecodeError):
            return None
        return Revision(text) if len(text) == 40 else None

    def set_tip(self, ref: str, revision: Revision) -> None:
        """Point a ref of the cache to a commit in it."""
        if self.tip(ref) != revision:
            (self.path / ref).parent.mkdir(parents=True, exist_ok=True)
            _replace(self.path / ref, revision + "\n")

    @property
    def shallow(self) -> bool:
        """Whether the history is shallow."""
        try:
            return (self.path / "shallow").stat().st_size > 0
        except OSError:
            return False

    @property
    def has_objects(self) -> bool:
        """Whether it has objects, which can be damaged."""
        packs, loose = self.path / "objects/pack", self.path / "objects"
        return any(packs.glob("*.pack")) or any(loose.glob("??/*"))

    def packs(self) -> dict[Path, int]:
        """Return the packs with their sizes."""
        return dict(self._sizes("*.pack"))

    def drop(self, packs: Iterable[Path], ref: str, old: Revision | None) -> None:
        """Remove the packs of a fetch, and reset its ref; the caller holds the `lock`."""
        for pack in packs:
            for file in pack.parent.glob(f"{pack.stem}.*"):
                file.unlink(missing_ok=True)
        if old is None:
            (self.path / ref).unlink(missing_ok=True)
        else:
            self.set_tip(ref, old)

    def unfinished_bytes(self) -> int:
        """Return the size of the largest unfinished pack."""
        return max((size for _, size in self._sizes("tmp_pack_*")), default=0)

    def _sizes(self, pattern: str) -> Iterator[tuple[Path, int]]:
        """Yield files and their sizes; git may rename or remove one at any time."""
        for pack in (self.path / "objects/pack").glob(pattern):
            with suppress(FileNotFoundError):
                yield pack, pack.stat().st_size

    def sweep(self) -> None:
        """Remove temporary files of stopped processes; the caller holds the `lock`."""
        for pattern in ("tmp_*", ".tmp*", "pack-*.keep"):
            for temporary in (self.path / "objects/pack").glob(pattern):
                temporary.unlink(missing_ok=True)
        for removed in self.path.parent.glob(f".{self.path.name}-*"):
            _remove_folder(removed)


def try_lock(handle: int) -> bool:
    """Lock an open file or folder until it is closed; return whether it was free."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove_folder(path: Path) -> None:
    import shutil

    shutil.rmtree(path, ignore_errors=True)


def _replace(path: Path, text: str) -> None:
    import tempfile

    handle, name = tempfile.mkstemp(prefix=".towline-", dir=path.parent)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    Path(name).replace(path)
