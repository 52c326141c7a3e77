"""A whole pull beside git's, as whole processes: clone, nothing new, 1% changed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from fixtures.projects import large
from towline.testing.git_repository import GitRepository, run_git
from towline.testing.git_server import GitServer

from .measures import Measure, Scale
from .processes import Cost, best, costs_beside, in_turns, run

SECTION = "pull"
PEER = "git"
LIMITS = ("assets=1000000", "tree_entries=10000000", "project_bytes=10000000000")
LIMIT_OPTIONS = tuple(part for limit in LIMITS for part in ("--limit", limit))


@dataclass
class ClonedRepository:
    """A served repository, and a clone by each contender."""

    folder: Path
    size: int
    url: str
    version: int = 0
    clones: dict[str, int] = field(default_factory=dict)

    @property
    def repository(self) -> GitRepository:
        """The served one."""
        return GitRepository(self.folder / "server" / "large.git")

    def commit(self) -> None:
        """Change 1% of the files, the first of each hundred."""
        self.version += 1
        changed = range(0, self.size, 100)
        self.repository.commit(large.files(self.size, changed=changed, version=self.version))

    def clone(self, who: str) -> Cost:
        """Clone into a new folder."""
        self.clones[who] = self.clones.get(who, 0) + 1
        target = self.clone_of(who).name
        command = {
            "git": ["git", "clone", "--quiet", self.url, target],
            "towline": ["towline", "clone", self.url, target, *LIMIT_OPTIONS],
        }
        return run(command[who], self.folder, self.folder)

    def clone_of(self, who: str) -> Path:
        """The latest clone."""
        return self.folder / f"{who}{self.clones[who]}"

    def edit(self) -> None:
        """One local edit in each, so that the pull is a merge."""
        for who in self.clones:
            (self.clone_of(who) / large.path(50)).write_bytes(b"edited here\n")
        run_git(self.clone_of("git"), "commit", "--quiet", "--all", "--message", "edited here")

    def pull(self, who: str) -> Cost:
        """Pull into the latest clone."""
        command = {
            "git": ["git", "pull", "--quiet", "--no-rebase", "--no-edit"],
            "towline": ["towline", "pull", "--yes"],
        }
        cost = run(command[who], self.clone_of(who), self.folder)
        got = (self.clone_of(who) / large.path(0)).read_bytes()
        assert got == large.content(0, self.version), f"{who} has pulled"
        return cost


def measures(scale: Scale) -> Iterator[Measure]:
    """All of this section."""
    for size in scale.pull_sizes:
        with tempfile.TemporaryDirectory(prefix="towline-bench-") as name:
            folder = Path(name)
            repository = GitRepository(folder / "server" / "large.git")
            repository.commit(large.files(size))
            with GitServer(folder / "server") as server:
                clones = ClonedRepository(folder, size, f"{server.url}/large.git")
                yield from _cases(clones, scale)


def _cases(clones: ClonedRepository, scale: Scale) -> Iterator[Measure]:
    rounds = scale.rounds(clones.size)
    cloners = {who: partial(clones.clone, who) for who in ("git", "towline")}
    yield from _measures("clone", clones, in_turns(cloners, rounds))
    clones.edit()
    pullers = {who: partial(clones.pull, who) for who in ("git", "towline")}
    # The first one looks at the edited file.
    in_turns(pullers, 1)
    yield from _measures("nothing new", clones, in_turns(pullers, scale.repeat))
    costs: dict[str, list[Cost]] = {who: [] for who in pullers}
    for _ in range(rounds):
        clones.commit()
        for who, pull in pullers.items():
            costs[who].append(pull())
    best_of_each = {who: best(found) for who, found in costs.items()}
    yield from _measures("1% changed", clones, best_of_each)


def _measures(case: str, clones: ClonedRepository, costs: dict[str, Cost]) -> Iterator[Measure]:
    return costs_beside(PEER, costs, section=SECTION, case=case, size=clones.size)
