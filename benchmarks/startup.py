"""What the command costs before it does anything, beyond the bare interpreter."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .measures import Measure, Scale
from .processes import in_turns, run

SECTION = "start"
TARGET_MS = 150.0


def measures(scale: Scale) -> Iterator[Measure]:
    """All of this section."""
    with tempfile.TemporaryDirectory(prefix="towline-bench-") as folder:
        here = Path(folder)
        contenders = {
            "python": lambda: run([sys.executable, "-c", "pass"], here, here),
            "towline": lambda: run(["towline", "--help"], here, here),
        }
        # The first round writes the bytecode.
        in_turns(contenders, 1)
        found = in_turns(contenders, scale.repeat * 3)
    bare, helped = found["python"].cpu * 1000, found["towline"].cpu * 1000
    yield _measure("bare interpreter", "python", bare, None)
    yield _measure("towline --help", "towline", helped, None)
    yield _measure("beyond the interpreter", "towline", helped - bare, scale.target(TARGET_MS))


def _measure(case: str, who: str, value: float, target: float | None) -> Measure:
    return Measure(
        section=SECTION, case=case, size=0, who=who, value=value, unit="ms CPU", target=target
    )
