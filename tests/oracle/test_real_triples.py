"""Our answer with renames off is git's, on merges from git's and libgit2's own histories.

The file is not ours to redistribute: the environment variable TRIPLES names it (JSON lines,
gzipped: base, ours and theirs as path → [mode, blob], and git's verdict). Without it there is no
test here, and the summary says so. Symbolic links and submodules are taken as opaque assets.
"""

from __future__ import annotations

import gzip
import json
import os
import re
from collections import Counter
from collections.abc import Callable
from hashlib import sha1
from pathlib import Path
from typing import Any

from tests.laws.merging import party_paths, plan_of, result_of
from tests.oracle.cases import Case, Tree, sides_of
from towline.conflicts import ConflictKind
from towline.model import AssetPath, AssetState, Digest
from towline.options import OnConflict, PullOptions, Renames
from towline.plan import Plan

POLICY = PullOptions(on_conflict=OnConflict.SKIP, allow_empty=True, renames=Renames.OFF)
Row = dict[str, Any]

ASIDE = re.compile(r"~[0-9a-f]{40}$")
"""What git appends to the name of a file that it moves out of a folder's way."""


def tree_of(side: dict[str, tuple[int, str]]) -> Tree:
    return {AssetPath(path): _state(path, *entry) for path, entry in sorted(side.items())}


def _state(path: str, mode: int, blob: str) -> AssetState:
    if mode in (0o120000, 0o160000):
        # Opaque: the same object under another mode is another asset.
        blob = sha1(f"{mode} {blob}".encode()).hexdigest()
    return AssetState(path=AssetPath(path), digest=Digest(blob), executable=mode == 0o100755)


def conflicting(plan: Plan) -> set[str]:
    return {str(path) for conflict in plan.conflicts for path in party_paths(conflict)}


def agreed(row: Row, plan: Plan, result: Tree) -> bool:
    if row["git_clean"]:
        return not plan.conflicts and result == tree_of(row["git_result"])
    return conflicting(plan) == set(row["git_conflicts"])


def two_types_of_one_name(row: Row, plan: Plan, result: Tree) -> bool:
    """Git names a link and a file of one name apart, one of them moved aside; we name the path."""
    return not row["git_clean"] and conflicting(plan) == {
        ASIDE.sub("", path) for path in row["git_conflicts"]
    }


def file_meets_folder(row: Row, plan: Plan, result: Tree) -> bool:
    """Git names the file that it moved aside; rule 13 names what is in the folder as well."""
    named = {ASIDE.sub("", path) for path in row["git_conflicts"]}
    collisions = [
        {str(path) for path in party_paths(conflict)}
        for conflict in plan.conflicts
        if conflict.kind is ConflictKind.PATH_COLLISION
    ]
    met = {path for group in collisions if group & named for path in group}
    return not row["git_clean"] and named <= conflicting(plan) <= named | met


def line_ends_renormalised(row: Row, plan: Plan, result: Tree) -> bool:
    """t6418 turns merge.renormalize on: git then merges by other bytes than those stored."""
    return row["src"] == "t6418-99.git" and row["git_clean"] and conflicting(plan) == {"file"}


Reason = Callable[[Row, Plan, Tree], bool]
REASONS: tuple[Reason, ...] = (
    agreed,
    two_types_of_one_name,
    file_meets_folder,
    line_ends_renormalised,
)

if TRIPLES := os.environ.get("TRIPLES"):

    def test_real_merges(record_property: Callable[[str, object], None]):
        found: Counter[str] = Counter()
        with gzip.open(Path(str(TRIPLES)), "rt", encoding="utf-8") as lines:
            for number, row in enumerate(map(json.loads, lines)):
                reason = _rule(row)
                assert reason is not None, (number, row["src"])
                found[reason] += 1
        record_property("figures", f"real triples: {dict(found)} of {found.total()}")
        assert found["line_ends_renormalised"] <= 1
        assert found["agreed"] > 0.9 * found.total()


def _rule(row: Row) -> str | None:
    sides = sides_of(Case(*(tree_of(row[side]) for side in ("base", "ours", "theirs"))))
    plan = plan_of(sides, options=POLICY)
    result = result_of(sides, plan)
    return next((reason.__name__ for reason in REASONS if reason(row, plan, result)), None)
