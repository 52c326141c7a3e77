"""Reads objects through ``git cat-file``: where pygit2 is not there, and for a look or two."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Self

from towline.limits import MIB, Limits
from towline.remotes.cache import Cache
from towline.remotes.git_environment import closed_environment
from towline.remotes.objects import ObjectMissing
from towline.remotes.rlimits import restrict

_BOUNDS = Limits(memory_bytes=1024 * MIB)
"""For children that read the cache: fetching has let nothing into it that needs more."""


class GitReader:
    """An `ObjectReader` over two children of git, started when first asked."""

    def __init__(self, executable: str, cache: Cache, environment: Mapping[str, str]) -> None:
        self._executable = executable
        self._cache = cache
        self._environment = environment
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def header(self, oid: str) -> tuple[str, int]:
        return self._ask("--batch-check", oid)

    def read(self, oid: str) -> tuple[str, bytes]:
        kind, size = self._ask("--batch", oid)
        stdout = self._child("--batch", oid).stdout
        assert stdout is not None
        content = stdout.read(size + 1)
        if len(content) != size + 1:
            raise self._broken("--batch", oid)
        return kind, content[:-1]

    def leads_to(self, revision: str, base: str) -> bool:
        command = [self._executable, "merge-base", "--is-ancestor", base, revision]
        with self._entered(revision) as folder:
            child = subprocess.Popen(
                command,
                env=self._variables(),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        restrict(child.pid, _BOUNDS)
        with child:
            code = child.wait()
        if code in (0, 1):
            return code == 0
        raise ObjectMissing(revision)

    def close(self) -> None:
        """End the children."""
        for option in list(self._children):
            self._drop(option)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _ask(self, option: str, oid: str) -> tuple[str, int]:
        child = self._child(option, oid)
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(oid.encode() + b"\n")
            child.stdin.flush()
            answer = child.stdout.readline().split()
        except OSError:
            answer = []
        if len(answer) != 3:
            raise ObjectMissing(oid) if answer else self._broken(option, oid)
        return answer[1].decode(), int(answer[2])

    def _child(self, option: str, oid: str) -> subprocess.Popen[bytes]:
        if option not in self._children:
            with self._entered(oid) as folder:
                self._children[option] = subprocess.Popen(
                    [self._executable, "cat-file", option],
                    env=self._variables(),
                    cwd=folder,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                )
                restrict(self._children[option].pid, _BOUNDS)
        return self._children[option]

    @contextmanager
    def _entered(self, oid: str) -> Iterator[str]:
        with ExitStack() as opened:
            try:
                folder = opened.enter_context(self._cache.entered())
            except OSError:
                raise ObjectMissing(oid) from None  # there is no cache
            yield folder

    def _variables(self) -> dict[str, str]:
        return {**closed_environment(self._environment), "GIT_DIR": "."}

    def _broken(self, option: str, oid: str) -> ObjectMissing:
        # Git ends at the first damaged object; the next question starts it anew.
        self._drop(option)
        return ObjectMissing(oid)

    def _drop(self, option: str) -> None:
        child = self._children.pop(option)
        with child:
            if child.stdin is not None:
                with contextlib.suppress(OSError):
                    child.stdin.close()
            child.terminate()
