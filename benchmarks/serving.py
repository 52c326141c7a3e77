"""The control plane over HTTP: projects of one repository, pulled one and many at a time.

Its baseline is git in as many clones, one after another; that of reads is the same server while
nothing runs.
"""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.postgres import PostgresServer

from .bench import US, Bench, BenchCase, Sample, Work
from .databases import kib, postgresql
from .planes import UNIT, Latencies, PlaneClient, Tenancy, running_plane
from .processes import environment
from .projects import ServedProject, check_tree, served_project

SECTION = "serving"
GIT = "git pull, one by one"
IDLE, LOADED = "nothing runs", "under load"
MANY = {"none changed": 1.0, "1% changed": 1 / 0.7}
"""The most that a server's time may be of git's: at least 1.0 and 0.7 times its throughput."""
ONE_WORKER, TWO_WORKERS = "one worker", 1 / 1.6
"""The most that two may take of what one takes: at least 1.6 times its throughput."""
ONE = 3.0
"""The most that the time of one pull with nothing to do may be of git's."""
RUNS = 2
"""Runs of each project with nothing to do, by which a database's growth is measured."""
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
            self._git("clone", "--quiet", self.url, str(self.clone(number)))

    def clone(self, number: int) -> Path:
        """One of them."""
        return self.folder / f"clone{number}"

    def pull(self, count: int) -> Sample:
        """Pull into the first of them, one after another."""
        began = time.perf_counter()
        for number in range(count):
            self._git("-C", str(self.clone(number)), "pull", "--quiet", "--ff-only")
        return {UNIT: 1000 * (time.perf_counter() - began) / count}

    def _git(self, *arguments: str) -> None:
        command = ["git", *arguments]
        subprocess.run(command, env=environment(self.folder), cwd=self.folder, check=True)


@dataclass
class Crowd:
    """Servers and clones that have as many projects of the same repository."""

    bench: Bench
    project: ServedProject
    clones: Clones
    servers: Mapping[str, PlaneClient]

    def one(self) -> None:
        """One pull with nothing to do, as a client waits for it."""
        works: dict[str, Work] = {who: each.pull_one for who, each in self.servers.items()}
        works[GIT] = partial(self.clones.pull, 1)
        for work in works.values():
            # The first request verifies a password, which is slow on purpose.
            work()
        self.bench.compare(self._case("one pull, none changed", 1, ONE), works)

    def many(self, count: int) -> None:
        """As many pulls as there are projects, at once."""
        works: dict[str, Work] = {
            who: partial(each.pull_many, count)
            for who, each in self.servers.items()
            if len(each.projects) >= count
        }
        works[GIT] = partial(self.clones.pull, count)

        def check(who: str) -> None:
            if who == GIT:
                check_tree(self.clones.clone(count - 1), self.project.files)
            else:
                self.servers[who].check(count, self.project.files)

        for what, target in MANY.items():
            before = self.project.commit if what == "1% changed" else _nothing
            case = self._case(f"pulled at once, {what}", count, target)
            self.bench.compare(case, works, before=before, check=check)

    def reads(self, count: int) -> None:
        """What others read while pulls run, beside the same while nothing runs."""
        who, client = list(self.servers.items())[-1]
        idle: list[Latencies] = []
        loaded: list[Latencies] = []
        for _ in range(self.bench.scale.pace.least):
            idle.append(client.looks(LOOKS))
            self.project.commit()
            loaded.append(client.looks_while(partial(client.pull_many, count)))
        for what in idle[0]:
            case = BenchCase(section=SECTION, name=f"{what}, {who}", size=count, baseline=IDLE)
            samples = {IDLE: _medians(idle, what), LOADED: _medians(loaded, what)}
            self.bench.add(case, samples)

    @staticmethod
    def _case(name: str, size: int, target: float) -> BenchCase:
        return BenchCase(section=SECTION, name=name, size=size, baseline=GIT, target=target)


def _medians(rounds: Sequence[Latencies], what: str) -> list[Sample]:
    return [{"ms": 1000 * statistics.median(each[what])} for each in rounds]


def measure(bench: Bench) -> None:
    """All of this section; the last database has as many projects as the largest crowd."""
    least, most = min(bench.scale.crowds), max(bench.scale.crowds)
    with ExitStack() as stack:
        project = stack.enter_context(served_project(bench.scale.served_assets))
        folder = project.folder
        servers = {}
        urls = {"SQLite": f"sqlite:///{folder}/towline.db"}
        if postgres := postgresql(stack, bench):
            urls["PostgreSQL"] = postgres.create("bench")
        for name, url in urls.items():
            count = most if name == list(urls)[-1] else least
            tenancy = Tenancy(name="bench", url=project.url, projects=count)
            [client] = stack.enter_context(running_plane(folder / name, url, [tenancy]))
            _fill(bench, client, url)
            servers[f"{US}, {name}"] = client
        crowd = Crowd(bench, project, Clones(folder, project.url, most), servers)
        crowd.one()
        for count in bench.scale.crowds:
            crowd.many(count)
        crowd.reads(least)
        if postgres:
            _workers(bench, project, postgres)


def _workers(bench: Bench, project: ServedProject, postgres: PostgresServer) -> None:
    """As many pulls at once, executed by two processes beside the one that answers, and by one."""
    count = min(bench.scale.crowds)
    case = BenchCase(
        section=SECTION,
        name="pulled at once, 1% changed, by workers",
        size=count,
        baseline=ONE_WORKER,
        target=TWO_WORKERS,
    )
    works: dict[str, Work] = {}
    with ExitStack() as stack:
        for number, who in enumerate((ONE_WORKER, f"{US}, two workers"), 1):
            tenancy = Tenancy(name="bench", url=project.url, projects=count)
            url, options = postgres.create(f"workers{number}"), ("--workers", str(number))
            plane = running_plane(project.folder / f"workers{number}", url, [tenancy], *options)
            [client] = stack.enter_context(plane)
            client.pull_many(count)
            works[who] = partial(client.pull_many, count)
        bench.compare(case, works, before=project.commit)


def _fill(bench: Bench, client: PlaneClient, url: str) -> None:
    """Pull everything, then nothing; how much a database of PostgreSQL grows by each."""
    count, sizes = len(client.projects), [kib(url)]
    for _ in range(1 + RUNS):
        client.pull_many(count)
        sizes.append(kib(url))
    if first := (sizes[1] - sizes[0]) / count:
        growth = {"project": first, "run": (sizes[-1] - sizes[1]) / count / RUNS}
        bench.record("database", "growth", count, growth, "KiB")


def _nothing() -> None:
    """What is compared needs no preparation."""
