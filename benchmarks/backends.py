"""The Git backends beside each other: fetching and reading, each in a process of its own."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fixtures.projects import large
from towline.model import Revision
from towline.remotes.backends import Backend
from towline.testing.git_repository import GitRepository
from towline.testing.git_server import GitServer

from .measures import Measure, Scale
from .processes import Cost, best, costs_beside, in_turns, run

SECTION = "backends"
ROOT = Path(__file__).parents[1]


@dataclass
class FetchedRepository:
    """A served repository, and a cache for each backend."""

    folder: Path
    size: int
    url: str

    def commit(self, version: int) -> Revision:
        """Change 1% of the files, and commit."""
        repository = GitRepository(self.folder / "server" / "large.git")
        changed = range(0, self.size, 100)
        return repository.commit(large.files(self.size, changed=changed, version=version))

    def first(self, backend: Backend) -> Cost:
        """Everything, from nothing."""
        shutil.rmtree(self._cache(backend), ignore_errors=True)
        return self.again(backend)

    def again(self, backend: Backend, base: Revision | None = None) -> Cost:
        """What came since base."""
        job = [sys.executable, "-m", "benchmarks.backend_job", self.url]
        job += [str(self._cache(backend)), str(backend), *([base] if base else [])]
        return run(job, ROOT, self.folder)

    def _cache(self, backend: Backend) -> Path:
        return self.folder / f"{backend}.git"


def measures(scale: Scale) -> Iterator[Measure]:
    """All of this section."""
    for size in scale.backend_sizes:
        with tempfile.TemporaryDirectory(prefix="towline-bench-") as name:
            folder = Path(name)
            with GitServer(folder / "server") as server:
                yield from _cases(FetchedRepository(folder, size, f"{server.url}/large.git"), scale)


def _cases(fetched: FetchedRepository, scale: Scale) -> Iterator[Measure]:
    rounds = scale.rounds(fetched.size)
    backends = list(Backend)
    base = fetched.commit(0)
    firsts = {str(b): partial(fetched.first, b) for b in backends}
    yield from _measures("all of it, from nothing", fetched, in_turns(firsts, rounds))
    nothing = {str(b): partial(fetched.again, b, base) for b in backends}
    yield from _measures("nothing new", fetched, in_turns(nothing, rounds))
    costs: dict[str, list[Cost]] = {str(b): [] for b in backends}
    for version in range(1, rounds + 1):
        revision = fetched.commit(version)
        for backend in backends:
            costs[str(backend)].append(fetched.again(backend, base))
        base = revision
    found = {who: best(taken) for who, taken in costs.items()}
    yield from _measures("1% changed", fetched, found)


def _measures(case: str, fetched: FetchedRepository, costs: dict[str, Cost]) -> Iterator[Measure]:
    return costs_beside(Backend.AUTO, costs, section=SECTION, case=case, size=fetched.size)
