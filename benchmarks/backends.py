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

from .measures import Measure, Scale, beside
from .processes import Cost, best, in_turns, run

SECTION = "backends"
ROOT = Path(__file__).parents[1]


@dataclass
class Bench:
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
                yield from _cases(Bench(folder, size, f"{server.url}/large.git"), scale)


def _cases(bench: Bench, scale: Scale) -> Iterator[Measure]:
    rounds = scale.rounds(bench.size)
    backends = list(Backend)
    base = bench.commit(0)
    firsts = {str(b): partial(bench.first, b) for b in backends}
    yield from _told("all of it, from nothing", bench.size, in_turns(firsts, rounds))
    nothing = {str(b): partial(bench.again, b, base) for b in backends}
    yield from _told("nothing new", bench.size, in_turns(nothing, rounds))
    costs: dict[str, list[Cost]] = {str(b): [] for b in backends}
    for version in range(1, rounds + 1):
        revision = bench.commit(version)
        for backend in backends:
            costs[str(backend)].append(bench.again(backend, base))
        base = revision
    found = {who: best(taken) for who, taken in costs.items()}
    yield from _told("1% changed", bench.size, found)


def _told(case: str, size: int, costs: dict[str, Cost]) -> Iterator[Measure]:
    for unit in ("s", "s CPU"):
        yield from beside(
            Backend.AUTO,
            [
                Measure(
                    section=SECTION,
                    case=case,
                    size=size,
                    who=who,
                    value=cost.wall if unit == "s" else cost.cpu,
                    unit=unit,
                )
                for who, cost in costs.items()
            ],
        )
