"""The answer: a table a section for people, or one JSON document."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from itertools import groupby
from pathlib import Path

from towline.testing.git_repository import run_git

from .measures import Measure

_TITLES = {
    "merge": "The pure merge, best of many, in process",
    "pull": "A whole pull over loopback HTTP, whole process, best of several",
    "counters": "Cost laws of a large project",
    "contents": "The merge inside an asset: JSON beside nbdime, lines beside git",
    "start": "Start-up, whole process, best of several",
    "serving": "The control plane: projects pulled at once over HTTP, and read meanwhile",
    "backends": "Git backends: fetch, compare and read, whole process, best of several",
}


def as_json(measures: Sequence[Measure]) -> str:
    """Everything that was measured, and on what."""
    found = [{**asdict(measure), "met": measure.met} for measure in measures]
    return json.dumps({"machine": machine(), "measures": found}, indent=2)


def machine() -> dict[str, str]:
    """What the figures depend on."""
    return {
        "cpus": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "git": run_git(Path(), "version").decode().split()[2],
        "towline": version("towline"),
    }


def print_tables(measures: Sequence[Measure]) -> None:
    """A table for each section; ratios are against the peer in the same row group."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for section, found in groupby(measures, key=lambda measure: measure.section):
        console.print(_TITLES[section], style="bold")
        table = Table(box=None, pad_edge=False)
        for column in ("case", "size", "who"):
            table.add_column(column, justify="right" if column == "size" else "left")
        for column in ("figure", "ratio", "target", ""):
            table.add_column(column, justify="right")
        for measure in found:
            table.add_row(*_cells(measure))
        console.print(table)
        console.print()


def _cells(measure: Measure) -> tuple[str, ...]:
    return (
        measure.case,
        f"{measure.size:,}" if measure.size else "",
        measure.who,
        f"{_number(measure.value)} {measure.unit}",
        "" if measure.ratio is None else f"{measure.ratio:.2f}",
        "" if measure.target is None else f"≤ {_number(measure.target)}",
        {None: "", True: "met", False: "MISSED"}[measure.met],
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:.3g}"
