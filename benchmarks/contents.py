"""The merge inside an asset: JSON beside nbdime, lines beside git merge-file, and memory."""

from __future__ import annotations

import json
import resource
import subprocess
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from towline.content import merge_content
from towline.content.lines import merge_lines
from towline.model import ThreeWay

from .measures import Measure, Scale, beside, best_cpu

SECTION = "contents"
NBDIME = "nbdime"
GIT = "git merge-file"
SMALL_MS = 3.0
MOST_OF_NBDIME = 0.06
MOST_OF_GIT = 3.0
MOST_MEMORY = 12.0
STEPS = {"8 KB": (40, 1), "1 MB": (5_000, 20)}
"""Steps of a pipeline, and how many of them each side edits."""


def measures(scale: Scale) -> Iterator[Measure]:
    """All of this section."""
    for case, (count, edits) in STEPS.items():
        steps = count if scale.judge_times else count // 20
        sides = _documents(steps, edits)
        found = list(beside(NBDIME, _json(f"JSON of {case}", sides, scale)))
        yield from found
        ratio = next(each.ratio for each in found if each.who == "towline")
        if case == "1 MB" and ratio is not None:
            yield _figure("JSON of 1 MB, to nbdime", len(sides.ours), ratio, MOST_OF_NBDIME, scale)
        if case == "1 MB":
            yield _memory(sides, scale)
    yield from _lines(scale)


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


def _json(case: str, sides: ThreeWay[bytes], scale: Scale) -> Iterator[Measure]:
    def ours() -> None:
        outcome = merge_content("pipeline.json", sides)
        assert outcome.content is not None

    contenders: dict[str, Callable[[], object]] = {"towline": ours}
    with suppress(ImportError):
        contenders[NBDIME] = _nbdime(sides)
    large = len(sides.ours) > 100_000
    for who, seconds in best_cpu(contenders, rounds=2 if large else scale.repeat * 5).items():
        judged = who == "towline" and not large
        yield Measure(
            section=SECTION,
            case=case,
            size=len(sides.ours),
            who=who,
            value=seconds * 1000,
            unit="ms CPU",
            target=scale.target(SMALL_MS) if judged else None,
        )


def _nbdime(sides: ThreeWay[bytes]) -> Callable[[], object]:
    from nbdime.merging.generic import decide_merge

    def merged() -> object:
        return decide_merge(*map(json.loads, (sides.base, sides.ours, sides.theirs)))

    return merged


def _memory(sides: ThreeWay[bytes], scale: Scale) -> Measure:
    tracemalloc.start()
    try:
        merge_content("pipeline.json", sides)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    taken = sum(len(side) for side in (sides.base, sides.ours, sides.theirs))
    return _figure("memory of a JSON merge, to its input", taken, peak / taken, MOST_MEMORY, scale)


def _lines(scale: Scale) -> Iterator[Measure]:
    count = 60_000 if scale.judge_times else 2_000
    base = [f"line {number} of {number * 7919 % 1000}\n" for number in range(count)]
    ours, theirs = list(base), list(base)
    for number in range(0, count, 100):
        ours[number] = f"here {number}\n"
        theirs[number + 50] = f"there {number}\n"
    sides = ThreeWay(*("".join(each).encode() for each in (base, ours, theirs)))
    with tempfile.TemporaryDirectory(prefix="towline-bench-") as folder:
        names = ("ours", "base", "theirs")
        for name in names:
            (Path(folder) / name).write_bytes(getattr(sides, name))
        best = {"towline": float("inf"), GIT: float("inf")}
        for _ in range(scale.repeat):
            found = best_cpu({"towline": lambda: merge_lines(sides)}, rounds=1)
            best["towline"] = min(best["towline"], found["towline"])
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(
                ["git", "merge-file", "-p", *names],
                cwd=folder,
                stdout=subprocess.DEVNULL,
                check=True,
            )
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
            best[GIT] = min(best[GIT], spent)
    size = len(sides.ours)
    for who, seconds in best.items():
        yield Measure(
            section=SECTION,
            case=f"{count:,} lines",
            size=size,
            who=who,
            value=seconds * 1000,
            unit="ms CPU",
        )
    if best[GIT]:
        ratio = best["towline"] / best[GIT]
        yield _figure("lines, to git merge-file", size, ratio, MOST_OF_GIT, scale)


def _figure(case: str, size: int, ratio: float, most: float, scale: Scale) -> Measure:
    return Measure(
        section=SECTION,
        case=case,
        size=size,
        who="towline",
        value=ratio,
        unit="times",
        target=scale.target(most),
    )
