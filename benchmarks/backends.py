"""The Git backends of the library beside each other: fetching and reading, whole processes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from towline.model import Revision
from towline.remotes.backends import Backend

from .bench import Bench, BenchCase, Sample, Work
from .processes import run
from .projects import ServedProject, remove, served_project

SECTION = "backends"
ROOT = Path(__file__).parents[1]


@dataclass
class Caches:
    """A served repository, and a cache for each backend."""

    project: ServedProject

    def again(self, backend: Backend, base: Callable[[], Revision] | None) -> Sample:
        """Fetch and read what came since a revision, or everything."""
        job = [sys.executable, "-m", "benchmarks.backend_job", self.project.url]
        job += [str(self.cache(backend)), str(backend), *([base()] if base else [])]
        return run(job, ROOT, self.project.folder)

    def cache(self, backend: Backend) -> Path:
        """Where a backend fetches to."""
        return self.project.folder / f"{backend}.git"

    def remove(self) -> None:
        """Remove all of them."""
        for backend in Backend:
            remove(self.cache(backend))


def measure(bench: Bench) -> None:
    """All of this section, on the smallest project."""
    with served_project(min(bench.scale.sizes)) as project:
        _compare(bench, Caches(project))


def _compare(bench: Bench, caches: Caches) -> None:
    project = caches.project

    def case(name: str) -> BenchCase:
        return BenchCase(section=SECTION, name=name, size=project.size, baseline=str(Backend.AUTO))

    def works(base: Callable[[], Revision] | None) -> dict[str, Work]:
        return {str(backend): partial(caches.again, backend, base) for backend in Backend}

    bench.compare(case("all of it, from nothing"), works(None), before=caches.remove)
    bench.compare(case("nothing new"), works(lambda: project.revision))
    bench.compare(case("1% changed"), works(lambda: project.before), before=project.commit)
