"""The merge inside an asset: JSON beside nbdime, lines beside git merge-file."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from towline.content import merge_content
from towline.content.lines import merge_lines
from towline.model import ThreeWay

from .bench import US, Bench, BenchCase, Sample, Work
from .processes import CPU, in_process, run

SECTION = "contents"
NBDIME = "nbdime"
GIT = "git merge-file"
MOST_OF_NBDIME = {"JSON of 1 MB": 0.06}
MOST_OF_GIT = 3.0
STEPS = {"JSON of 8 KB": (40, 1), "JSON of 1 MB": (5_000, 20)}
"""Steps of a pipeline, and how many of them each side edits."""


def measure(bench: Bench) -> None:
    """All of this section."""
    judge = bench.scale.judge
    for name, (count, edits) in STEPS.items():
        _json(bench, name, _documents(count if judge else count // 20, edits))
    _lines(bench, 60_000 if judge else 2_000)


def _documents(count: int, edits: int) -> ThreeWay[bytes]:
    def document(changed: range, value: str) -> bytes:
        steps: list[dict[str, Any]] = [
            {
                "id": f"step-{number}",
                "type": "sql.select",
                "settings": {"account": "shop", "table": f"orders_{number}", "limit": 100},
                "position": [number * 10, 40],
            }
            for number in range(count)
        ]
        for number in changed:
            steps[number]["settings"]["account"] = value
        return json.dumps({"name": "orders", "steps": steps}, indent=1).encode()

    gap = count // edits
    return ThreeWay(
        document(range(0), ""),
        document(range(0, count, gap), "here"),
        document(range(gap // 2, count, gap), "there"),
    )


def _json(bench: Bench, name: str, sides: ThreeWay[bytes]) -> None:
    def ours() -> None:
        outcome = merge_content("pipeline.json", sides)
        assert outcome.content is not None

    contenders: dict[str, Work] = {US: in_process(ours)}
    with suppress(ImportError):
        contenders[NBDIME] = in_process(_nbdime(sides))
    target = MOST_OF_NBDIME.get(name)
    case = BenchCase(
        section=SECTION, name=name, size=len(sides.ours), baseline=NBDIME, target=target
    )
    # nbdime takes 10 s for the large one.
    bench.compare(case, contenders, pace=replace(bench.scale.pace, least=1))


def _nbdime(sides: ThreeWay[bytes]) -> Callable[[], object]:
    from nbdime.merging.generic import decide_merge

    def merged() -> object:
        return decide_merge(*map(json.loads, (sides.base, sides.ours, sides.theirs)))

    return merged


def _lines(bench: Bench, count: int) -> None:
    base = [f"line {number} of {number * 7919 % 1000}\n" for number in range(count)]
    ours, theirs = list(base), list(base)
    for number in range(0, count, 100):
        ours[number] = f"here {number}\n"
        theirs[number + 50] = f"there {number}\n"
    sides = ThreeWay(*("".join(each).encode() for each in (base, ours, theirs)))
    with tempfile.TemporaryDirectory(prefix="towline-bench-") as name:
        folder = Path(name)
        names = ("ours", "base", "theirs")
        for side in names:
            (folder / side).write_bytes(getattr(sides, side))

        def merge_file() -> Sample:
            return {CPU: run(["git", "merge-file", "-p", *names], folder, folder)[CPU]}

        case = BenchCase(
            section=SECTION,
            name=f"{count:,} lines",
            size=len(sides.ours),
            baseline=GIT,
            target=MOST_OF_GIT,
        )
        works = {US: in_process(lambda: merge_lines(sides)), GIT: merge_file}
        bench.compare(case, works)
