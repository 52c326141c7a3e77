"""Libraries in a process that has them imported; towline's remote stays open between pulls.

The baselines are git's processes that do the same: ``git ls-remote`` where there is nothing to
pull, since it finds that out with the least work, else ``git pull``.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .bench import US, Bench, BenchCase, Sample, Work, WrongResult
from .processes import CPU, WALL, environment, run
from .projects import ServedProject, check_tree, served_project

SECTION = "library"
LS_REMOTE, PULL = "git ls-remote", "git pull"
LIBRARIES = (US, "pygit2", "dulwich")
"""The libraries that need no process for each pull."""
MOST_OF_LS_REMOTE, MOST_OF_PULL = 0.5, 0.8
"""Of a project of any size, and of one of 1,000 files."""


@dataclass(frozen=True, slots=True)
class LibraryJob:
    """A process that has a library imported, and pulls when it is asked to."""

    child: subprocess.Popen[str]
    errors: Path

    def pull(self) -> Sample:
        """What one pull takes in it."""
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write("pull\n")
        self.child.stdin.flush()
        answer = self.child.stdout.readline().split()
        if len(answer) != 2:
            raise WrongResult(f"its process ended: {self.errors.read_text(errors='replace')}")
        wall, cpu = map(float, answer)
        return {WALL: 1000 * wall, CPU: 1000 * cpu}


@contextmanager
def running_job(who: str, project: ServedProject) -> Iterator[LibraryJob]:
    """A process with a library, and a folder that it has cloned."""
    command = [sys.executable, "-m", "benchmarks.library_job", who, project.url]
    errors = project.folder / f"{who}.stderr"
    with (
        errors.open("wb") as stderr,
        subprocess.Popen(
            [*command, str(project.folder / who)],
            cwd=Path(__file__).parents[1],
            env=environment(project.folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as child,
    ):
        yield LibraryJob(child, errors)


def measure(bench: Bench) -> None:
    """All of this section."""
    for size in bench.scale.sizes:
        with served_project(size) as project, ExitStack() as stack:
            jobs = {who: stack.enter_context(running_job(who, project)) for who in LIBRARIES}
            _compare(bench, project, jobs)


def _compare(bench: Bench, project: ServedProject, jobs: Mapping[str, LibraryJob]) -> None:
    folder, size = project.folder, project.size
    run(["git", "clone", "--quiet", project.url, "git"], folder, folder)
    pulls: dict[str, Work] = {who: job.pull for who, job in jobs.items()}
    for pull in pulls.values():
        # The first one clones.
        pull()

    def check(who: str) -> None:
        check_tree(folder / who if who in jobs else folder / "git", project.files)

    nothing = BenchCase(
        section=SECTION,
        name="no-op pull",
        size=size,
        baseline=LS_REMOTE,
        target=MOST_OF_LS_REMOTE,
    )
    ls_remote = partial(run, ["git", "ls-remote", project.url, "main"], folder, folder)
    failed = bench.compare(nothing, pulls | {LS_REMOTE: ls_remote}, check=check)
    changed = BenchCase(
        section=SECTION,
        name="pull of 1% changed",
        size=size,
        baseline=PULL,
        target=MOST_OF_PULL if size == 1_000 else None,
    )
    git_pull = partial(run, ["git", "pull", "--quiet", "--ff-only"], folder / "git", folder)
    pulls = {who: pull for who, pull in pulls.items() if who not in failed}
    bench.compare(changed, pulls | {PULL: git_pull}, before=project.commit, check=check)
