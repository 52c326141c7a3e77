"""Reads objects with ``git cat-file``: without pygit2, and for a few objects."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import Self

from towline.limits import MIB, Limits
from towline.remotes.cache import Cache
from towline.remotes.git_environment import closed_environment, restrict
from towline.remotes.objects import ObjectMissing

_BOUNDS = Limits(memory_bytes=1024 * MIB)
"""For children that read the cache; a fetch admits nothing that needs more."""


class GitReader:
    """A `CacheReader` over child processes of git, started at first use."""

    def __init__(self, executable: str, cache: Cache, environment: Mapping[str, str]) -> None:
        self._executable = executable
        self._cache = cache
        self._environment = environment
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def header(self, oid: str) -> tuple[str, int]:
        return self._header("--batch-check", oid)

    def read(self, oid: str) -> tuple[str, bytes]:
        kind, size = self._header("--batch", oid)
        stdout = self._child("--batch", oid).stdout
        assert stdout is not None
        content = stdout.read(size + 1)
        if len(content) != size + 1:
            raise self._broken("--batch", oid)
        return kind, content[:-1]

    def is_ancestor(self, base: str, revision: str) -> bool:
        with self._spawn(revision, "merge-base", "--is-ancestor", base, revision) as child:
            child.communicate()
            code = child.returncode
        if code in (0, 1):
            return code == 0
        raise ObjectMissing(revision)

    def close(self) -> None:
        """End the child processes."""
        for option in list(self._children):
            self._drop(option)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _header(self, option: str, oid: str) -> tuple[str, int]:
        child = self._child(option, oid)
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(oid.encode() + b"\n")
            child.stdin.flush()
            line = child.stdout.readline().split()
        except OSError:
            line = []
        if len(line) != 3:
            raise ObjectMissing(oid) if line else self._broken(option, oid)
        return line[1].decode(), int(line[2])

    def _child(self, option: str, oid: str) -> subprocess.Popen[bytes]:
        if option not in self._children:
            self._children[option] = self._spawn(oid, "cat-file", option)
        return self._children[option]

    def _spawn(self, oid: str, *arguments: str) -> subprocess.Popen[bytes]:
        with ExitStack() as stack:
            try:
                folder = stack.enter_context(self._cache.working_directory())
            except OSError:
                raise ObjectMissing(oid) from None  # there is no cache
            child = subprocess.Popen(
                [self._executable, *arguments],
                env={**closed_environment(self._environment), "GIT_DIR": "."},
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        restrict(child.pid, _BOUNDS)
        return child

    def _broken(self, option: str, oid: str) -> ObjectMissing:
        # git exits at a damaged object; the next read starts it again.
        self._drop(option)
        return ObjectMissing(oid)

    def _drop(self, option: str) -> None:
        child = self._children.pop(option)
        with child:
            if child.stdin is not None:
                with suppress(OSError):
                    child.stdin.close()
            child.terminate()
