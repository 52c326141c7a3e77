"""Merged lines are git's: on generated edits, ``git merge-file`` conflicts where we do, or agrees.

ORACLE_EXAMPLES sets how many random merges are compared (``make oracle`` sets 100,000).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.oracle.git_lines import git_merge_file, random_sides
from towline.content.lines import merge_lines
from towline.model import ThreeWay

EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES", "1000"))
BATCH = 1_000


@pytest.mark.parametrize("batch", range(0, EXAMPLES, BATCH))
def test_generated_edits(
    batch: int, tmp_path: Path, record_property: Callable[[str, object], None]
):
    random = Random(batch)
    clean = 0
    count = min(BATCH, EXAMPLES - batch)
    for _ in range(count):
        sides = random_sides(random)
        git = git_merge_file(tmp_path, sides)
        assert merge_lines(sides) == git, sides
        clean += git is not None
    record_property("figures", f"{count} merges of lines, seed {batch}: {clean} clean")
    assert 0 < clean < count


def test_a_costly_comparison_is_cut_short_as_git_does(tmp_path: Path):
    random = Random(7)
    base, ours = ([b"%d\n" % random.randint(0, 400) for _ in range(3_000)] for _ in range(2))
    theirs = [b"first\n", *base]
    sides = ThreeWay(b"".join(base), b"".join(ours), b"".join(theirs))
    assert merge_lines(sides) == git_merge_file(tmp_path, sides)
    sides = ThreeWay(sides.base, sides.theirs, sides.ours + b"last\n")
    assert merge_lines(sides) == git_merge_file(tmp_path, sides)
