"""The cost laws of a large project: counters, not times, each held to its bound."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fixtures.projects import large
from towline import DirectoryStore, GitRemote, Limits, PullOptions, Status, pull
from towline.testing.git_repository import GitRepository, run_git
from towline.testing.git_server import GitServer

from .measures import Measure, Scale

SECTION = "counters"
CHANGED = 10
LIMITS = Limits(assets=10**6, tree_entries=10**7, project_bytes=10**10, pack_bytes=10**10)


OWN_LISTINGS = 1
"""Of ``.towline``, to check who owns what is in it; none of the project's folders is listed."""


@dataclass
class CountedProject:
    """A served repository, its pulled project, and a clone by git."""

    folder: Path
    size: int
    server: GitServer

    @property
    def changed(self) -> range:
        """As many files as are changed, in folders as far apart as can be."""
        return range(0, self.size, self.size // CHANGED)[:CHANGED]

    @property
    def touched(self) -> set[str]:
        """The folders that hold a changed file, and all above them."""
        parts = [large.path(number).split("/")[:-1] for number in self.changed]
        return {"/".join(names[:depth]) for names in parts for depth in range(len(names) + 1)}

    def commit(self, version: int) -> None:
        """Put the project at a version, in the repository."""
        repository = GitRepository(self.folder / "server" / "large.git")
        repository.commit(large.files(self.size, changed=self.changed, version=version))

    def remote(self) -> GitRemote:
        """A new remote over the same cache, its counters at zero."""
        return GitRemote(
            f"{self.server.url}/large.git",
            cache=self.folder / "cache.git",
            environment=os.environ,
        )

    def pull(self, case: str) -> dict[str, int]:
        """Pull with a newly opened store and remote; everything that was counted."""
        self.server.tally.clear()
        with DirectoryStore.open(self.folder / "project") as store, self.remote() as remote:
            report = pull(store, remote, options=PullOptions(limits=LIMITS))
            assert report.status is not Status.CONFLICTS, case
            traffic, counts = remote.traffic, store.disk.counts
            return {
                "trees read": traffic.trees_read,
                "blobs read": traffic.blobs_read,
                "files opened": counts["read"],
                "folder listings": counts["list"],
                "flushes": counts["flush"],
                "requests": len(self.server.tally.requests),
                "bytes down": self.server.tally.bytes_sent,
                "listed": len(report.listed),
            }


def measures(scale: Scale) -> Iterator[Measure]:
    """All of this section."""
    size = scale.counter_size
    with tempfile.TemporaryDirectory(prefix="towline-bench-") as name:
        folder = Path(name)
        with GitServer(folder / "server") as server:
            project = CountedProject(folder, size, server)
            project.commit(0)
            (folder / "project").mkdir()
            DirectoryStore.create(folder / "project", project="large").close()
            project.pull("first")
            clone = folder / "clone.git"
            run_git(folder, "clone", "--quiet", "--bare", f"{server.url}/large.git", str(clone))
            yield from _no_op(project)
            project.commit(1)
            yield from _changed(project, _git_bytes(project, clone))


def _git_bytes(project: CountedProject, clone: Path) -> int:
    """What git's own fetch of the same commit downloads."""
    project.server.tally.clear()
    run_git(clone, "fetch", "--quiet", "origin", "main")
    return project.server.tally.bytes_sent


def _no_op(project: CountedProject) -> Iterator[Measure]:
    counted = project.pull("nothing new")
    bounds = {"requests": 2, "trees read": 0, "blobs read": 0, "files opened": 0}
    bounds |= {"folder listings": OWN_LISTINGS, "flushes": 0}
    yield from _bounded("nothing new", project.size, counted, bounds)


def _changed(project: CountedProject, git_bytes: int) -> Iterator[Measure]:
    counted = project.pull("changed")
    assert counted["listed"] == CHANGED, "it pulled what changed"
    bounds = {
        "trees read": 2 * len(project.touched),
        "blobs read": CHANGED,
        "files opened": CHANGED,
        "folder listings": OWN_LISTINGS,
        "flushes": 5,
        "requests": 3,
    }
    case = f"{CHANGED} files changed"
    yield from _bounded(case, project.size, counted, bounds)
    yield Measure(
        section=SECTION,
        case=case,
        size=project.size,
        who="git",
        value=git_bytes,
        unit="bytes down",
    )
    yield Measure(
        section=SECTION,
        case=case,
        size=project.size,
        who="towline",
        value=counted["bytes down"],
        unit="bytes down",
        ratio=counted["bytes down"] / git_bytes,
        target=1.1 * git_bytes,
    )


def _bounded(
    case: str, size: int, counted: dict[str, int], bounds: dict[str, int]
) -> Iterator[Measure]:
    for unit, bound in bounds.items():
        yield Measure(
            section=SECTION,
            case=case,
            size=size,
            who="towline",
            value=counted[unit],
            unit=unit,
            target=bound,
        )
