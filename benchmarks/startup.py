"""What the command takes before it does anything, beside the bare interpreter."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from .bench import US, Bench, BenchCase
from .processes import run

SECTION = "start"
BARE = "python -c pass"


def measure(bench: Bench) -> None:
    """All of this section."""
    with tempfile.TemporaryDirectory(prefix="towline-bench-") as folder:
        here = Path(folder)
        contenders = {
            BARE: lambda: run([sys.executable, "-c", "pass"], here, here),
            US: lambda: run(["towline", "--help"], here, here),
        }
        # The first one writes the bytecode.
        contenders[US]()
        bench.compare(
            BenchCase(section=SECTION, name="towline --help", size=0, baseline=BARE), contenders
        )
