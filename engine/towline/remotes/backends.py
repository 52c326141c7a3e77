"""Selects the backend that fetches and the one that reads; each is imported at first use."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING

from towline.errors import InvalidValue
from towline.remotes.git_fetch import GitFetcher
from towline.remotes.git_process import OLDEST, find_git

if TYPE_CHECKING:
    from towline.remotes.cache import Cache
    from towline.remotes.fetcher import Fetcher
    from towline.remotes.objects import CacheReader


class Backend(StrEnum):
    """An implementation of Git; ``auto`` fetches with git and reads with pygit2 if installed.

    ``git+dulwich`` is ``auto``, but asks over HTTP in this process whether there is anything new:
    for a process that pulls more than once, since loading dulwich takes longer than running git.
    """

    AUTO = "auto"
    GIT = "git"
    DULWICH = "dulwich"
    GIT_AND_DULWICH = "git+dulwich"


class GitBackends:
    """The fetcher and the readers of a backend, over one cache.

    ``auto`` chooses among what is installed when it is first used, since that runs git; another
    backend is missed at once.

    Raises:
        InvalidValue: the requested backend is not installed.
    """

    def __init__(self, backend: Backend, cache: Cache, environment: Mapping[str, str]) -> None:
        self._backend = backend
        self._cache = cache
        self._environment = environment
        if backend is not Backend.AUTO:
            _ = self._git

    @cached_property
    def _git(self) -> str | None:
        """The executable; without it dulwich fetches."""
        git = None if self._backend is Backend.DULWICH else find_git(self._environment)
        if self._backend in (Backend.GIT, Backend.GIT_AND_DULWICH) and git is None:
            version = ".".join(map(str, OLDEST))
            raise _missing(f"there is no git of version {version} or later on the PATH")
        if (git is None or self._asks_first) and find_spec("dulwich") is None:
            raise _missing("dulwich is not installed")
        return git

    @property
    def _asks_first(self) -> bool:
        """Whether dulwich lists the ref before git fetches it."""
        return self._backend is Backend.GIT_AND_DULWICH

    @cached_property
    def _pygit2_reads(self) -> bool:
        return self._backend is not Backend.GIT and find_spec("pygit2") is not None

    @cached_property
    def fetcher(self) -> Fetcher:
        """The fetcher."""
        if self._git is not None and not self._asks_first:
            return GitFetcher(self._git, self._cache, self._environment)
        from towline.remotes.dulwich_fetch import AskingFetcher, DulwichFetcher

        dulwich = DulwichFetcher(self._cache, self._environment)
        if self._git is None:
            return dulwich
        git = GitFetcher(self._git, self._cache, self._environment)
        return AskingFetcher(git, asks=dulwich, cache=self._cache)

    def reader(self, *, light: bool = False) -> CacheReader:
        """Return a reader; a light one imports nothing heavy where git is installed."""
        self._cache.guard()
        if self._git is not None:
            from towline.remotes.objects import GitReader, Pygit2Reader

            kind = Pygit2Reader if not light and self._pygit2_reads else GitReader
            return kind(self._git, self._cache, self._environment)
        from towline.remotes.packs import DulwichReader

        return DulwichReader(self._cache)


def _missing(problem: str) -> InvalidValue:
    return InvalidValue(field="backend", problem=problem)
