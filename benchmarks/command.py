"""The command beside git and the Python libraries for Git: whole processes over loopback HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from fixtures.projects import large
from towline.testing.git_repository import run_git

from .bench import Bench, BenchCase, Sample, Work
from .contenders import GIT, Contender, ContenderCommand, installed
from .processes import run
from .projects import ServedProject, check_tree, remove, served_project

SECTION = "command"
TARGETS = {
    "first clone": {1_000: 2.5, 10_000: 2.0, 100_000: 2.0},
    "no-op pull": {1_000: 2.0, 10_000: 2.0, 100_000: 1.2},
    "pull of 1% changed": {1_000: 2.5, 10_000: 1.5, 100_000: 1.1},
    "pull of 1% changed on each side": {1_000: 2.5, 10_000: 1.5, 100_000: 1.0},
    "status, nothing edited": {1_000: 10.0, 10_000: 4.0, 100_000: 4.0},
    "undo of the last pull": {10_000: 4.0, 100_000: 4.0},
    "log": {10_000: 5.0, 100_000: 5.0},
}
"""The most that towline's time may be of git's, by size."""


@dataclass
class Race:
    """A served project, and a folder of each contender."""

    bench: Bench
    project: ServedProject
    contenders: list[Contender]
    edits: dict[str, bytes] = field(default_factory=dict)

    def folder(self, who: str) -> Path:
        """Where a contender works."""
        return self.project.folder / who

    def go(self, who: Contender, operation: ContenderCommand) -> Sample:
        """Run a contender's command for an operation."""
        folder = self.folder(who.name)
        names = {
            "url": self.project.url,
            "folder": str(folder),
            "before": self.project.before,
        }
        command = [part.format_map(names) for part in who.commands[operation]]
        here = self.project.folder if operation is ContenderCommand.CLONE else folder
        return run(command, here, self.project.folder)

    def all_of(self, operation: ContenderCommand) -> list[Contender]:
        """The contenders that have an operation."""
        return [each for each in self.contenders if operation in each.commands]

    def time(
        self,
        name: str,
        operation: ContenderCommand,
        before: Callable[[], None],
        *,
        expected: Callable[[], dict[str, bytes]],
    ) -> None:
        """Compare all that have the operation; who fails is out of what follows."""
        size = self.project.size
        target = TARGETS[name].get(size)
        case = BenchCase(section=SECTION, name=name, size=size, baseline=GIT, target=target)
        works: dict[str, Work] = {
            each.name: partial(self.go, each, operation) for each in self.all_of(operation)
        }

        def check(who: str) -> None:
            check_tree(self.folder(who), expected())

        failed = self.bench.compare(case, works, before=before, check=check)
        self.contenders = [each for each in self.contenders if each.name not in failed]

    def clone(self) -> None:
        """Clone everything into an empty folder."""

        def empty() -> None:
            for each in self.contenders:
                remove(self.folder(each.name))

        self.time("first clone", ContenderCommand.CLONE, empty, expected=self._theirs)

    def pull(self) -> None:
        """Pull nothing, and 1% of the files."""
        self._prepare(ContenderCommand.PULL, self.all_of(ContenderCommand.PULL))
        self.time("no-op pull", ContenderCommand.PULL, _nothing, expected=self._theirs)
        self.time(
            "pull of 1% changed", ContenderCommand.PULL, self.project.commit, expected=self._theirs
        )

    def look(self) -> None:
        """Look at a folder in which nothing is edited, and at what was pulled."""
        # The first look after a change reads files again.
        self._prepare(ContenderCommand.STATUS, self.all_of(ContenderCommand.STATUS))
        self.time(
            "status, nothing edited", ContenderCommand.STATUS, _nothing, expected=self._theirs
        )
        self.time("log", ContenderCommand.LOG, _nothing, expected=self._theirs)

    def undo(self) -> None:
        """Take a pull of 1% of the files back."""
        undone: dict[str, bytes] = {}

        def pull() -> None:
            everyone = self.all_of(ContenderCommand.UNDO)
            self._prepare(ContenderCommand.PULL, everyone)
            undone.update(self.project.files)
            self.project.commit()
            self._prepare(ContenderCommand.PULL, everyone)

        self.time("undo of the last pull", ContenderCommand.UNDO, pull, expected=lambda: undone)
        self._prepare(ContenderCommand.PULL, self.all_of(ContenderCommand.UNDO))

    def merge(self) -> None:
        """Pull 1% of the files where 1% is edited here, half of them the same files."""
        merging = self.all_of(ContenderCommand.MERGE)

        def edit_and_commit() -> None:
            self.project.commit()
            for each in merging:
                self._edit(each)

        name = "pull of 1% changed on each side"
        self.time(name, ContenderCommand.MERGE, edit_and_commit, expected=self._merged)

    def _edit(self, who: Contender) -> None:
        project, folder = self.project, self.folder(who.name)
        size, version = project.size, -project.version
        clashing, others = range(0, size, 200), range(50, size, 200)
        edits = {large.path(n): large.content(n, version) for n in (*clashing, *others)}
        for path, content in edits.items():
            (folder / path).write_bytes(content)
        if who.commits:
            run_git(folder, "commit", "--quiet", "--all", "--message", "edited here")
        self.edits = {large.path(n): edits[large.path(n)] for n in others}

    def _prepare(self, operation: ContenderCommand, contenders: Iterable[Contender]) -> None:
        for each in contenders:
            self.go(each, operation)

    def _theirs(self) -> dict[str, bytes]:
        return self.project.files

    def _merged(self) -> dict[str, bytes]:
        return self.project.files | self.edits


def _nothing() -> None:
    """What is compared needs no preparation."""


def measure(bench: Bench, contenders: Iterable[Contender] | None = None) -> None:
    """All of this section, by default with all that are installed."""
    contenders = list(installed() if contenders is None else contenders)
    for size in bench.scale.sizes:
        with served_project(size) as project:
            race = Race(bench, project, list(contenders))
            race.clone()
            race.pull()
            race.look()
            race.undo()
            race.merge()
