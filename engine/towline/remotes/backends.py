"""The backends, and which of them talks and which reads: chosen late, imported later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from typing import Protocol, assert_never

from towline.errors import InvalidValue
from towline.remotes.cache import Cache
from towline.remotes.fetcher import Fetcher
from towline.remotes.git_environment import OLDEST, find_git
from towline.remotes.git_fetch import GitFetcher
from towline.remotes.git_read import GitReader
from towline.remotes.objects import Ancestry, ObjectReader


class Backend(StrEnum):
    """What speaks Git: ``auto`` fetches with git and reads with pygit2 where they are there."""

    AUTO = "auto"
    GIT = "git"
    DULWICH = "dulwich"


class CacheReader(ObjectReader, Ancestry, Protocol):
    """An `ObjectReader` over a cache, which knows its history, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendPair:
    """The two halves of a backend over one cache."""

    backend: Backend
    """The one that talks; never ``auto``."""
    git: str | None
    cache: Cache
    environment: Mapping[str, str]
    pygit2_reads: bool

    @classmethod
    def choose(cls, backend: Backend, cache: Cache, environment: Mapping[str, str]) -> BackendPair:
        """Settle what to use of what is installed; nothing is imported yet.

        Raises:
            InvalidValue: the backend that was asked for is not installed.
        """
        git = find_git(environment) if backend in (Backend.AUTO, Backend.GIT) else None
        pygit2_reads = False
        if backend is Backend.AUTO:
            backend = Backend.GIT if git is not None else Backend.DULWICH
            pygit2_reads = git is not None and find_spec("pygit2") is not None
        if backend is Backend.GIT and git is None:
            version = ".".join(map(str, OLDEST))
            raise _missing(f"there is no git executable of at least {version} on the PATH")
        if backend is Backend.DULWICH and find_spec("dulwich") is None:
            raise _missing("dulwich is not installed")
        return cls(
            backend=backend,
            git=git,
            cache=cache,
            environment=environment,
            pygit2_reads=pygit2_reads,
        )

    def fetcher(self) -> Fetcher:
        """The half that talks."""
        match self.backend:
            case Backend.GIT | Backend.AUTO:
                assert self.git is not None, "choose() has seen to it"
                return GitFetcher(self.git, self.cache, self.environment)
            case Backend.DULWICH:
                from towline.remotes.dulwich_fetch import DulwichFetcher

                return DulwichFetcher(self.cache, self.environment)
            case _:
                assert_never(self.backend)

    def reader(self) -> CacheReader:
        """The half that reads much."""
        self.cache.guard()
        if self.pygit2_reads:
            from towline.remotes.pygit2_read import Pygit2Reader

            # Git walks a long history faster than we do object by object.
            return Pygit2Reader(self.cache, self.glance())
        return self.glance()

    def glance(self) -> CacheReader:
        """A reader for a look or two, that imports nothing heavy where git is there."""
        self.cache.guard()
        if self.git is not None:
            return GitReader(self.git, self.cache, self.environment)
        from towline.remotes.dulwich_read import DulwichReader

        return DulwichReader(self.cache)


def _missing(problem: str) -> InvalidValue:
    return InvalidValue(field="backend", problem=problem)
