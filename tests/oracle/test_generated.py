"""Our answer with renames off is git's, on generated merges; or a named rule says why not.

ORACLE_EXAMPLES sets how many random merges are compared (``make oracle`` sets 100,000).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from itertools import islice

import pytest

from tests.laws.merging import party_paths, plan_of, result_of
from tests.oracle.cases import Case, exhaustive_cases, random_cases, sides_of
from tests.oracle.git import ReadTree
from tests.oracle.known_differences import KNOWN_DIFFERENCES, Answer, differences
from towline.options import OnConflict, PullOptions, Renames

EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES", "3000"))
BATCH = 5_000
POLICY = PullOptions(on_conflict=OnConflict.SKIP, allow_empty=True, renames=Renames.OFF)


def our_answer(case: Case) -> Answer:
    sides = sides_of(case)
    plan = plan_of(sides, options=POLICY)
    unmerged = frozenset(path for conflict in plan.conflicts for path in party_paths(conflict))
    result = result_of(sides, plan)
    return Answer({path: s for path, s in result.items() if path not in unmerged}, unmerged)


def compare(cases: list[Case], read_tree: ReadTree) -> Counter[str]:
    """How many cases agree, and how many differ by which rule."""
    found: Counter[str] = Counter()
    for case, index in zip(cases, read_tree.merge(cases), strict=True):
        ours = our_answer(case)
        git = Answer(index.settled, frozenset(index.unmerged))
        known = differences(case, ours, git)
        assert None not in known.values(), (case, ours, git)
        found.update({str(each) for each in known.values()} or {"agreed"})
    return found


@pytest.fixture(scope="module")
def read_tree(tmp_path_factory: pytest.TempPathFactory) -> ReadTree:
    return ReadTree(tmp_path_factory.mktemp("oracle") / "repository")


def test_every_merge_of_a_file_and_a_folder_of_its_name(read_tree: ReadTree):
    found = compare(list(exhaustive_cases()), read_tree)
    assert found["agreed"]
    # A rule that explains nothing would be a hole in the comparison.
    assert {each.name for each in KNOWN_DIFFERENCES} == found.keys() - {"agreed"}


@pytest.mark.parametrize("batch", range(0, EXAMPLES, BATCH))
def test_generated_merges(
    batch: int, read_tree: ReadTree, record_property: Callable[[str, object], None]
):
    count = min(BATCH, EXAMPLES - batch)
    found = compare(list(islice(random_cases(seed=batch), count)), read_tree)
    record_property("figures", f"{count} generated merges, seed {batch}: {dict(found)}")
    assert found["agreed"] > count / 2
