"""Selects the backend that fetches and the one that reads; each is imported at first use."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

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


class BackendPair(NamedTuple):
    """The fetcher and the readers of a backend, over one cache."""

    git: str | None
    """The executable; without it dulwich fetches."""
    cache: Cache
    environment: Mapping[str, str]
    pygit2_reads: bool
    asks_first: bool
    """Whether dulwich lists the ref before git fetches it."""

    @classmethod
    def choose(cls, backend: Backend, cache: Cache, environment: Mapping[str, str]) -> BackendPair:
        """Choose among the installed backends, without importing them.

        Raises:
            InvalidValue: the requested backend is not installed.
        """
        git = None if backend is Backend.DULWICH else find_git(environment)
        asks_first = backend is Backend.GIT_AND_DULWICH
        if (backend is Backend.GIT or asks_first) and git is None:
            version = ".".join(map(str, OLDEST))
            raise _missing(f"there is no git executable of at least {version} on the PATH")
        if (git is None or asks_first) and find_spec("dulwich") is None:
            raise _missing("dulwich is not installed")
        automatic = git is not None and backend is not Backend.GIT
        return cls(
            git=git,
            cache=cache,
            environment=environment,
            pygit2_reads=automatic and find_spec("pygit2") is not None,
            asks_first=asks_first,
        )

    def fetcher(self) -> Fetcher:
        """Return the fetcher."""
        if self.git is not None and not self.asks_first:
            return GitFetcher(self.git, self.cache, self.environment)
        from towline.remotes.dulwich_fetch import AskingFetcher, DulwichFetcher

        dulwich = DulwichFetcher(self.cache, self.environment)
        if self.git is None:
            return dulwich
        git = GitFetcher(self.git, self.cache, self.environment)
        return AskingFetcher(git, asks=dulwich, cache=self.cache)

    def reader(self, *, light: bool = False) -> CacheReader:
        """Return a reader; a light one imports nothing heavy where git is installed."""
        self.cache.guard()
        if self.git is not None:
            from towline.remotes.objects import GitReader, Pygit2Reader

            kind = Pygit2Reader if self.pygit2_reads and not light else GitReader
            return kind(self.git, self.cache, self.environment)
        from towline.remotes.packs import DulwichReader

        return DulwichReader(self.cache)


def _missing(problem: str) -> InvalidValue:
    return InvalidValue(field="backend", problem=problem)
