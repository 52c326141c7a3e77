"""Where git merges the lines of JSON to JSON, our value is equal, or a rule says why not.

ORACLE_EXAMPLES sets how many random merges are compared (``make oracle`` sets 100,000).
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.laws.documents import document, edited_object
from tests.oracle.git_lines import git_merges
from towline.content import FieldConflict, merge_content
from towline.content.fields import Reason
from towline.content.identity import element_names
from towline.model import ThreeWay

EXAMPLES = min(int(os.environ.get("ORACLE_EXAMPLES", "1000")), 20_000)
BATCH = 1_000
Sides = ThreeWay[Any]


def random_sides(random: Random) -> Sides:
    base = document(random, random.randint(1, 4))
    return ThreeWay(base, *(edited_object(random, base, random.randint(0, 9)) for _ in range(2)))


def written(side: Any, *, sort_keys: bool = False) -> bytes:
    return json.dumps(side, indent=1, sort_keys=sort_keys).encode() + b"\n"


def parsed(content: bytes | None) -> Any:
    """The value, in which 1 and true differ; None where it is no JSON."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a key is there twice")
        return dict(pairs)

    def number(literal: str) -> tuple[str, str]:
        return ("number", literal)

    try:
        return json.loads(
            content or b"", object_pairs_hook=unique, parse_int=number, parse_float=number
        )
    except ValueError:
        return None


def rules_of(conflict: FieldConflict) -> Iterator[str]:
    """By which rule we conflict where git does not."""
    values = list(conflict.values)
    if conflict.reason in (Reason.DELETED_HERE, Reason.DELETED_THERE):
        # Git pairs lines such as "]," of one value with those of another.
        yield "deleted on one side, edited on the other"
    elif any(token.isdigit() for token in conflict.pointer) or (
        all(isinstance(value, list) for value in values) and element_names(values) is None
    ):
        # An element is one line to us, or one position, and several lines to git.
        yield "a list without identities"


def difference(sides: Sides, git: Any, folder: Path) -> set[str] | None:
    """The rules by which our answer is not git's; None where no rule explains it."""
    ours = merge_content("a.json", sides.map(written))
    if ours.content is None:
        rules = [set(rules_of(conflict)) for conflict in ours.fields]
        return None if not all(rules) else set().union(*rules)
    if parsed(ours.content) == git:
        return {"agreed"}
    # A key that one side moved and the other deleted: order is no edit of ours.
    in_one_order = sides.map(lambda side: written(side, sort_keys=True))
    (again,) = git_merges(folder, [in_one_order])
    if again is None or parsed(again) == parsed(ours.content):
        return {"keys in another order"}
    return None


@pytest.mark.parametrize("batch", range(0, EXAMPLES, BATCH))
def test_generated_documents(
    batch: int, tmp_path: Path, record_property: Callable[[str, object], None]
):
    random = Random(batch)
    cases = [random_sides(random) for _ in range(min(BATCH, EXAMPLES - batch))]
    found: Counter[str] = Counter()
    merged = git_merges(tmp_path / "git", [sides.map(written) for sides in cases])
    for sides, content in zip(cases, merged, strict=True):
        git = parsed(content)
        if git is None:
            found["git conflicts" if content is None else "no JSON any more"] += 1
            continue
        rules = difference(sides, git, tmp_path / f"again {sum(found.values())}")
        assert rules is not None, (sides, content)
        found.update(rules)
    record_property("figures", f"{len(cases)} merges of JSON, seed {batch}: {dict(found)}")
    assert found["agreed"] > len(cases) / 4
