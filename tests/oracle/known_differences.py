"""Where our answer is not git's, path by path, and why.

A known difference names exactly the paths at which the answers may differ; no other may.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.laws.reference import merged, rule_of
from tests.oracle.cases import Case, Tree
from towline.model import AssetPath, AssetState


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a merge: what is settled, and which paths are not."""

    settled: Tree
    unmerged: frozenset[AssetPath]

    def at(self, path: AssetPath) -> AssetState | str | None:
        """The outcome at one path."""
        return "unmerged" if path in self.unmerged else self.settled.get(path)


@dataclass(frozen=True, slots=True)
class KnownDifference:
    """One reason to differ."""

    name: str
    why: str
    covers: Callable[[Case, AssetPath, Answer, Answer], bool]
    """Takes the case, the path, our answer and git's."""


def differences(case: Case, ours: Answer, git: Answer) -> dict[AssetPath, str | None]:
    """What explains each path at which the answers differ; None where nothing known does."""
    found: dict[AssetPath, str | None] = {}
    paths = {*ours.settled, *ours.unmerged, *git.settled, *git.unmerged}
    for path in sorted(paths):
        if ours.at(path) != git.at(path):
            known = (each for each in KNOWN_DIFFERENCES if each.covers(case, path, ours, git))
            found[path] = next((each.name for each in known), None)
    return found


def _two_fields(case: Case, path: AssetPath, ours: Answer, git: Answer) -> bool:
    b, o, t = case.base.get(path), case.ours.get(path), case.theirs.get(path)
    return (
        b is not None
        and o is not None
        and t is not None
        and rule_of(b, o, t) == 9
        and git.at(path) == "unmerged"
        and ours.at(path) == merged(b, o, t)
    )


def _file_meets_folder(case: Case, path: AssetPath, ours: Answer, git: Answer) -> bool:
    trees = (case.base, case.ours, case.theirs)
    return (
        any(path in other.folders or other in path.folders for tree in trees for other in tree)
        and git.at(path) == "unmerged"
        and ours.at(path) == _by_the_table(case, path)
    )


def _by_the_table(case: Case, path: AssetPath) -> AssetState | str | None:
    b, o, t = case.base.get(path), case.ours.get(path), case.theirs.get(path)
    match rule_of(b, o, t):
        case 1 | 2 | 3:
            return t
        case 0 | 4 | 5 | 6 | 7:
            return o
        case _:
            return "unmerged"


KNOWN_DIFFERENCES = (
    KnownDifference(
        name="two fields",
        why=(
            "One side changed the content, the other the executable bit. read-tree compares whole "
            "entries and leaves it to the file-level merge, which takes both; rule 9 takes both."
        ),
        covers=_two_fields,
    ),
    KnownDifference(
        name="file meets folder",
        why=(
            "A name is a file on one side and a folder on another. read-tree walks the trees side "
            "by side and leaves everything under that name to a later step, though path by path "
            "nothing clashes and the outcome is possible: one of the two was deleted. Only what "
            "cannot coexist is rule 13."
        ),
        covers=_file_meets_folder,
    ),
)
