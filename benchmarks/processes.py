"""Whole processes, measured as a user meets them: from start to end, with all their children."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from towline.testing.git_repository import CLOSED_ENVIRONMENT

from .measures import Measure, compared


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Seconds."""

    wall: float
    cpu: float


def environment(home: Path) -> dict[str, str]:
    """Nothing of the machine's configuration, the installed command first, bytecode cached."""
    scripts = sysconfig.get_path("scripts")
    path = os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)])
    return {**CLOSED_ENVIRONMENT, "PATH": path, "HOME": str(home), "LC_ALL": "C.UTF-8"}


def run(command: Sequence[str], cwd: Path, home: Path) -> Cost:
    """What a command costs.

    Raises:
        subprocess.CalledProcessError: it failed; ``stderr`` says why.
    """
    with (home / "stderr").open("w+b") as errors:
        started = time.perf_counter()
        child = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment(home),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        # Returns the CPU time of the child and of the children it waited for, and of no other.
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            errors.seek(0)
            raise subprocess.CalledProcessError(
                child.returncode, list(command), stderr=errors.read().decode(errors="replace")
            )
    return Cost(wall=wall, cpu=usage.ru_utime + usage.ru_stime)


def best(costs: Sequence[Cost]) -> Cost:
    """The least of each figure."""
    return Cost(wall=min(c.wall for c in costs), cpu=min(c.cpu for c in costs))


def in_turns(contenders: Mapping[str, Callable[[], Cost]], rounds: int) -> dict[str, Cost]:
    """The best of each contender, taken in turns."""
    costs: dict[str, list[Cost]] = {who: [] for who in contenders}
    for _ in range(rounds):
        for who, work in contenders.items():
            costs[who].append(work())
    return {who: best(found) for who, found in costs.items()}


def costs_beside(
    peer: str, costs: Mapping[str, Cost], *, section: str, case: str, size: int
) -> Iterator[Measure]:
    """Each contender's elapsed and CPU seconds, beside its peer's."""
    for unit, figures in (
        ("s", {who: cost.wall for who, cost in costs.items()}),
        ("s CPU", {who: cost.cpu for who, cost in costs.items()}),
    ):
        yield from compared(peer, figures, section=section, case=case, size=size, unit=unit)
