"""A library in a process of its own: ``LIBRARY URL FOLDER``.

For each line on stdin it pulls into the folder, or clones where there is none, and prints the
seconds and the CPU seconds that this took.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from benchmarks.backend_job import LIMITS
from towline import Backend, DirectoryStore, GitRemote, PullOptions, Status, pull

OPTIONS = PullOptions(limits=LIMITS)


def pull_with_towline(url: str, folder: Path) -> Callable[[], None]:
    """towline's pull, as docs/embedding.md has it: its remote stays open."""
    folder.mkdir()
    with DirectoryStore.create(folder, project="bench") as store:
        cache = store.cache_path
    remote = GitRemote(url, cache=cache, backend=Backend.GIT_AND_DULWICH, environment=os.environ)

    def work() -> None:
        with DirectoryStore.open(folder) as store:
            report = pull(store, remote, OPTIONS)
        assert report.status is not Status.CONFLICTS

    return work


def pull_with(peer: str, url: str, folder: Path) -> Callable[[], None]:
    """A peer's pull, in its own folder as the working folder."""
    module = import_module(f"benchmarks.peers.with_{peer}")

    def work() -> None:
        if not folder.exists():
            module.clone(url, str(folder))
        os.chdir(folder)
        module.pull()

    return work


def main(library: str, url: str, folder: str) -> None:
    """Pull for each line."""
    place = Path(folder)
    work = pull_with_towline(url, place) if library == "towline" else pull_with(library, url, place)
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), _cpu()
        work()
        print(time.perf_counter() - wall, _cpu() - cpu, flush=True)


def _cpu() -> float:
    """CPU seconds of this process and of the children that it has waited for."""
    both = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


if __name__ == "__main__":
    main(*sys.argv[1:])
