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
    """An implementation of Git; ``auto`` fetches with git and reads with pygit2 if installed."""

    AUTO = "auto"
    GIT = "git"
    DULWICH = "dulwich"


class BackendPair(NamedTuple):
    """The fetcher and the readers of a backend, over one cache."""

    git: str | None
    """The executable; without it dulwich fetches."""
    cache: Cache
    environment: Mapping[str, str]
    pygit2_reads: bool

    @classmethod
    def choose(cls, backend: Backend, cache: Cache, environment: Mapping[str, str]) -> BackendPair:
        """Choose among the installed backends, without importing them.

        Raises:
            InvalidValue: the requested backend is not installed.
        """
        git = None if backend is Backend.DULWICH else find_git(environment)
        if backend is Backend.GIT and git is None:
            version = ".".join(map(str, OLDEST))
            raise _missing(f"there is no git executable of at least {version} on the PATH")
        if git is None and find_spec("dulwich") is None:
            raise _missing("dulwich is not installed")
        automatic = git is not None and backend is Backend.AUTO
        pygit2_reads = automatic and find_spec("pygit2") is not None
        return cls(git=git, cache=cache, environment=environment, pygit2_reads=pygit2_reads)

    def fetcher(self) -> Fetcher:
        """Return the fetcher."""
        if self.git is not None:
            return GitFetcher(self.git, self.cache, self.environment)
        from towline.remotes.dulwich_fetch import DulwichFetcher

        return DulwichFetcher(self.cache, self.environment)

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
