"""Benchmarks, opt-in: against peers, side by side in one run. ``python -m benchmarks --help``.

They alone judge times; tests judge counters. Exit code 1 says that a target was missed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator

from . import backends, contents, counters, merging, pulling, serving, startup
from .measures import FULL, QUICK, Measure, Scale
from .rendering import as_json, print_tables

SECTIONS: dict[str, Callable[[Scale], Iterator[Measure]]] = {
    merging.SECTION: merging.measures,
    contents.SECTION: contents.measures,
    startup.SECTION: startup.measures,
    counters.SECTION: counters.measures,
    backends.SECTION: backends.measures,
    pulling.SECTION: pulling.measures,
    serving.SECTION: serving.measures,
}


def main() -> int:
    """Measure what was asked for, and answer."""
    options = _parser().parse_args()
    scale = QUICK if options.quick else FULL
    found: list[Measure] = []
    for section in options.only or SECTIONS:
        for measure in SECTIONS[section](scale):
            found.append(measure)
            _note(measure)
    if options.json:
        print(as_json(found))
    else:
        print_tables(found)
    return 1 if any(measure.met is False for measure in found) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, once each; times are not judged"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument(
        "--only", action="append", choices=list(SECTIONS), help="only this section; repeatable"
    )
    return parser


def _note(measure: Measure) -> None:
    """Progress on stderr: the full run takes minutes."""
    print(
        f"{measure.section}: {measure.case}, {measure.size:,}, {measure.who}: "
        f"{measure.value:.4g} {measure.unit}",
        file=sys.stderr,
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
