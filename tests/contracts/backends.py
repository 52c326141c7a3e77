"""Remotes of every backend over real repositories, for the tests of this folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

from towline.ports import Remote
from towline.remotes.backends import Backend
from towline.remotes.git import GitRemote
from towline.testing.git_repository import GitRepository
from towline.testing.git_server import GitServer
from towline.testing.remote_contract import RemoteHarness

ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath)}


@contextmanager
def git_harness(folder: Path, backend: Backend, *, http: bool) -> Iterator[RemoteHarness]:
    """An empty repository, served as wanted, and remotes of a backend over it."""
    repository = GitRepository(folder / "served" / "project.git")
    caches = (folder / f"cache{number}.git" for number in count())
    with ExitStack() as stack:
        server = stack.enter_context(GitServer(folder / "served")) if http else None
        url = f"{server.url}/project.git" if server is not None else str(repository.path)

        def opener(ref: str, scope: str) -> Remote:
            cache = next(caches)
            remote = GitRemote(
                url, ref=ref, scope=scope, cache=cache, backend=backend, environment=ENVIRONMENT
            )
            remotes[id(remote)] = cache
            return stack.enter_context(remote)

        def lose(remote: Remote) -> None:
            shutil.rmtree(remotes[id(remote)] / "objects", ignore_errors=True)

        remotes: dict[int, Path] = {}
        yield RemoteHarness(
            repository=repository,
            opener=opener,
            lose=lose,
            requests=(lambda: len(server.tally.requests)) if server is not None else None,
            fetch_requests=4 if backend is Backend.GIT_AND_DULWICH else 3,
        )
