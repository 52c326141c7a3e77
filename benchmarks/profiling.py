"""Where the time of the command goes, by profile: shares of the time between start and end."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .bench import Bench
from .contenders import LIMITS
from .processes import WALL, run
from .projects import ServedProject, served_project

SECTION = "profile"
SIZE = 10_000
START = "interpreter"
TIMES = 3
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Profiled:
    """A project that the command has cloned, and what it spends where."""

    bench: Bench
    project: ServedProject

    def command(self, name: str, *arguments: str, clone: bool = False) -> None:
        """Profile a command so often, with a commit of 1% before each pull of one."""
        found: list[Mapping[str, float]] = []
        for _ in range(1 if clone else TIMES):
            if name.endswith("changed"):
                self.project.commit()
            found.append(self._spent(arguments, clone=clone))
        shares = {
            group: 100 * statistics.median(each[group] / sum(each.values()) for each in found)
            for group in found[0]
        }
        self.bench.record(SECTION, name, self.project.size, shares, "%")

    def _spent(self, arguments: tuple[str, ...], *, clone: bool) -> dict[str, float]:
        folder, output = self.project.folder, self.project.folder / "profile.json"
        program = [sys.executable, str(ROOT / "benchmarks" / "profile_job.py"), str(output)]
        run([*program, *arguments], folder if clone else folder / "towline", folder)
        bare = run([sys.executable, "-c", "pass"], folder, folder)[WALL] / 1000
        return {START: bare, **json.loads(output.read_text())}


def measure(bench: Bench) -> None:
    """All of this section."""
    with served_project(SIZE if bench.scale.judge else min(bench.scale.sizes)) as project:
        profiled = Profiled(bench, project)
        limits = [part for limit in LIMITS for part in ("--limit", limit)]
        profiled.command("first clone", "clone", project.url, "towline", *limits, clone=True)
        profiled.command("no-op pull", "pull", "--yes")
        profiled.command("pull of 1% changed", "pull", "--yes")
        # The first one after a pull reads files again.
        profiled.command("status, nothing edited", "status")
        profiled.command("log", "log")
