"""Merged lines are git's: on generated edits, ``git merge-file`` conflicts where we do, or agrees.

ORACLE_EXAMPLES sets how many random merges are compared (``make oracle`` sets 100,000).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.oracle.git_lines import git_merge_file, git_merges, random_sides
from towline.content.lines import merge_lines
from towline.model import ThreeWay

EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES", "1000"))
BATCH = 1_000


@pytest.mark.parametrize("batch", range(0, EXAMPLES, BATCH))
def test_generated_edits(
    batch: int, tmp_path: Path, record_property: Callable[[str, object], None]
):
    random = Random(batch)
    cases = [random_sides(random) for _ in range(min(BATCH, EXAMPLES - batch))]
    found = git_merges(tmp_path, cases)
    for sides, git in zip(cases, found, strict=True):
        assert merge_lines(sides) == git, sides
    clean = len(cases) - found.count(None)
    record_property("figures", f"{len(cases)} merges of lines, seed {batch}: {clean} clean")
    assert 0 < clean < len(cases)


def test_one_merge_of_many_files_is_merge_file_for_each(tmp_path: Path):
    random = Random(5)
    cases = [random_sides(random) for _ in range(200)]
    assert git_merges(tmp_path / "merge", cases) == [
        git_merge_file(tmp_path, sides) for sides in cases
    ]


def test_a_costly_comparison_is_cut_short_as_git_does(tmp_path: Path):
    random = Random(7)
    base, ours = ([b"%d\n" % random.randint(0, 400) for _ in range(3_000)] for _ in range(2))
    theirs = [b"first\n", *base]
    sides = ThreeWay(b"".join(base), b"".join(ours), b"".join(theirs))
    assert merge_lines(sides) == git_merge_file(tmp_path, sides)
    sides = ThreeWay(sides.base, sides.theirs, sides.ours + b"last\n")
    assert merge_lines(sides) == git_merge_file(tmp_path, sides)
