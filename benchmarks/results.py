"""The document of a run: what was measured, on what, and what became slower since the last."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from towline.testing.git_repository import run_git

from .bench import US, FailedCase, Figure, judged

FILE = Path(__file__).parent / "results.json"
"""The figures that the documents show."""
MOST_SLOWER = 0.15
"""The share by which a ratio may grow from one run to the next."""
PEERS = ("pygit2", "dulwich", "gitpython", "nbgitpuller", "nbdime")


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """A run, or several of one machine: a case has the figures of the last that measured it."""

    machine: dict[str, str]
    figures: Sequence[Figure]
    failures: Sequence[FailedCase] = ()

    def onto(self, last: Results | None) -> Results:
        """These results with the cases of the last that were not measured again.

        Where anything else of the machine or of a peer differs, nothing of the last is used.
        """
        if last is None or last.machine != self.machine:
            return self
        again = {each.of_case for each in self.figures}
        others = [each for each in last.figures if each.of_case not in again]
        return replace(self, figures=[*others, *self.figures])

    def dump(self) -> str:
        """Return one JSON document."""
        return json.dumps(asdict(self), indent=1) + "\n"


def load(text: str) -> Results:
    """Read what `Results.dump` returned."""
    document = json.loads(text)
    return Results(
        machine=document["machine"],
        figures=[Figure(**each) for each in document["figures"]],
        failures=[FailedCase(**each) for each in document["failures"]],
    )


def last_results() -> Results | None:
    """The results in the repository."""
    return load(FILE.read_text("utf-8")) if FILE.exists() else None


def slower(now: Results, last: Results) -> Iterator[tuple[Figure, Figure]]:
    """Towline's figures whose ratio grew by more than is allowed, with what they were."""
    known = {(each.of_case, each.who): each for each in judged(last.figures)}
    for figure in judged(now.figures):
        before = known.get((figure.of_case, figure.who))
        if before is None or figure.ratio is None or before.ratio is None:
            continue
        ours = figure.who.startswith(US)
        if ours and figure.ratio > before.ratio * (1 + MOST_SLOWER):
            yield figure, before


def machine() -> dict[str, str]:
    """What the figures depend on, and nothing that names the machine or its user."""
    return {
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "git": run_git(Path(), "version").decode().split()[2],
        **dict(_versions()),
    }


def _versions() -> Iterator[tuple[str, str]]:
    for name in PEERS:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue
