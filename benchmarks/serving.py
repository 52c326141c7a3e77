"""The control plane over HTTP: projects of one repository, pulled one and many at a time.

Its baseline is git in as many clones, one after another; that of reads is the same server while
nothing runs.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.postgres import running_server
from towline.testing.git_server import GitServer

from .bench import US, Bench, Case, Pace, Sample, Work, say
from .planes import Latencies, Plane, plane_over
from .processes import environment
from .projects import ServedProject

SECTION = "serving"
GIT = "git pull, one by one"
IDLE, LOADED = "nothing runs", "under load"
WHAT = {"none changed": 1.0, "1% changed": 1 / 0.7}
"""The most that a server's time may be of git's: at least 1.0 and 0.7 times its throughput."""
SINGLE = 3.0
"""The most that the time of a single pull with nothing to do may be of git's."""
LOOKS = 30
"""How often each status is read in a round while nothing runs."""


@dataclass
class Clones:
    """What git pulls into."""

    folder: Path
    url: str
    count: int

    def __post_init__(self) -> None:
        for number in range(self.count):
            self._git("clone", "--quiet", self.url, str(self._clone(number)))

    def pull(self, count: int) -> Sample:
        """Pull into the first of them, one after another."""
        began = time.perf_counter()
        for number in range(count):
            self._git("-C", str(self._clone(number)), "pull", "--quiet", "--ff-only")
        return {"ms a pull": 1000 * (time.perf_counter() - began) / count}

    def _clone(self, number: int) -> Path:
        return self.folder / f"clone{number}"

    def _git(self, *arguments: str) -> None:
        command = ["git", *arguments]
        subprocess.run(command, env=environment(self.folder), cwd=self.folder, check=True)


@dataclass
class Crowd:
    """Servers and clones that have as many projects of the same repository."""

    bench: Bench
    project: ServedProject
    clones: Clones
    planes: Mapping[str, Plane]

    def single(self) -> None:
        """One pull with nothing to do, as a client waits for it."""
        works: dict[str, Work] = {
            f"{US}, {name}": plane.pull_one for name, plane in self.planes.items()
        }
        works[GIT] = partial(self.clones.pull, 1)
        case = self._case("one pull, none changed", 1, SINGLE)
        for work in works.values():
            # The first request verifies a password, which is slow on purpose.
            work()
        self.bench.compare(case, works)

    def many(self, count: int) -> None:
        """As many pulls as there are projects, at once."""
        works: dict[str, Work] = {
            f"{US}, {name}": partial(plane.pull_many, count) for name, plane in self.planes.items()
        }
        works[GIT] = partial(self.clones.pull, count)
        scale = self.bench.scale
        pace = Pace(least=min(3, scale.pace.least), most=5, seconds=3 * scale.pace.seconds)
        for what, target in WHAT.items():
            before = self.project.commit if what == "1% changed" else _nothing
            case = self._case(f"pulled at once, {what}", count, target)
            self.bench.compare(case, works, pace=pace, before=before)

    def reads(self, count: int) -> None:
        """What others read while pulls run, beside the same while nothing runs."""
        for name, plane in self.planes.items():
            idle: list[Latencies] = []
            loaded: list[Latencies] = []
            for _ in range(self.bench.scale.pace.least):
                idle.append(plane.looks(LOOKS))
                self.project.commit()
                loaded.append(plane.looks_while(partial(plane.pull_many, count)))
            for what in idle[0]:
                case = Case(section=SECTION, name=f"{what} read, {name}", size=count, baseline=IDLE)
                samples = {IDLE: _medians(idle, what), LOADED: _medians(loaded, what)}
                self.bench.add(case, samples)

    @staticmethod
    def _case(name: str, size: int, target: float) -> Case:
        return Case(section=SECTION, name=name, size=size, baseline=GIT, target=target)


def _medians(rounds: Sequence[Latencies], what: str) -> list[Sample]:
    return [{"ms": 1000 * statistics.median(each[what])} for each in rounds]


def measure(bench: Bench) -> None:
    """All of this section."""
    most = max(bench.scale.crowds)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="towline-bench-")))
        server = stack.enter_context(GitServer(folder / "server"))
        project = ServedProject(folder, bench.scale.served_assets, server)
        planes = {}
        for name, url in _databases(stack, folder, bench):
            planes[name] = stack.enter_context(plane_over(folder / name, project.url, url, most))
            # The first pull creates everything.
            planes[name].pull_many(most)
        crowd = Crowd(bench, project, Clones(folder, project.url, most), planes)
        crowd.single()
        for count in bench.scale.crowds:
            crowd.many(count)
        crowd.reads(min(bench.scale.crowds))


def _databases(stack: ExitStack, folder: Path, bench: Bench) -> Iterator[tuple[str, str]]:
    """SQLite, and PostgreSQL where its programs are there; quick runs do without."""
    yield "SQLite", f"sqlite:///{folder}/SQLite/towline.db"
    if not bench.scale.judge:
        return
    try:
        server = stack.enter_context(running_server())
    except FileNotFoundError as error:
        say(f"{SECTION}: without PostgreSQL: {error}")
        return
    yield "PostgreSQL", server.create("bench")


def _nothing() -> None:
    """What is compared needs no preparation."""
