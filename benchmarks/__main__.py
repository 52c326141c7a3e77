"""Benchmarks, opt-in: against peers, side by side in one run. ``python -m benchmarks --help``.

They alone judge times; tests judge counters. The exit code is 1 if a contender failed or ended in
another state than the others, and, with ``--check``, if a ratio grew.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import replace

from . import (
    backends,
    command,
    contents,
    executors,
    fairness,
    library,
    merging,
    pages,
    profiling,
    serving,
    startup,
)
from .bench import FULL, QUICK, US, Bench, BenchCase, Scale, describe, say
from .rendering import print_tables
from .results import Results, last_results, machine, slower

TAKES = "1,000 and 10,000 take about 12 minutes on 2 cores, 100,000 half an hour more."

SECTIONS: dict[str, Callable[[Bench], None]] = {
    command.SECTION: command.measure,
    library.SECTION: library.measure,
    serving.SECTION: serving.measure,
    fairness.SECTION: fairness.measure,
    executors.SECTION: executors.measure,
    profiling.SECTION: profiling.measure,
    startup.SECTION: startup.measure,
    backends.SECTION: backends.measure,
    merging.SECTION: merging.measure,
    contents.SECTION: contents.measure,
}


def main() -> int:
    """Measure what was asked for, and answer."""
    parser = _parser()
    options = parser.parse_args()
    if options.quick and (options.write or options.check):
        parser.error("--quick judges nothing: its figures are neither written nor compared")
    if options.render:
        pages.write(last_results() or parser.error("there are no results"))
        return 0
    bench = Bench(_scale(options))
    began = time.monotonic()
    sections = options.only or list(SECTIONS)
    say(f"Projects of {', '.join(f'{size:,}' for size in bench.scale.sizes)} assets; {TAKES}")
    for number, section in enumerate(sections, 1):
        say(f"[{number} of {len(sections)}] {section}")
        _measure(section, bench)
        if options.write:
            pages.write(_results(bench).onto(last_results()))
    say(f"It took {(time.monotonic() - began) / 60:.1f} minutes.")
    results = _results(bench)
    print(results.dump()) if options.json else print_tables(results.figures)
    for failure in results.failures:
        say(f"FAILED: {describe(failure)}")
    grew = _regressions(results) if options.check else False
    return 1 if results.failures or grew else 0


def _results(bench: Bench) -> Results:
    return Results(machine=machine(), figures=bench.figures, failures=bench.failures)


def _measure(section: str, bench: Bench) -> None:
    """Measure a section; where it fails as a whole, the others are measured all the same."""
    try:
        SECTIONS[section](bench)
    except Exception as error:  # noqa: BLE001 - minutes of measuring would be lost
        traceback.print_exc()
        bench.fail(BenchCase(section=section, name="all", size=0, baseline=""), US, repr(error))


def _regressions(results: Results) -> bool:
    """Report the ratios that grew since the last results."""
    last = last_results()
    if last is None:
        say("There are no last results.")
        return False
    if last.machine != results.machine:
        say(f"The last results are of another machine: {last.machine}, now {results.machine}")
    found = list(slower(results, last))
    for now, before in found:
        say(f"SLOWER: {describe(now)}: {now.ratio:.2f} of {now.baseline}, was {before.ratio:.2f}")
    return bool(found)


def _scale(options: argparse.Namespace) -> Scale:
    scale = QUICK if options.quick else FULL
    return replace(scale, sizes=options.sizes) if options.sizes else scale


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in text.replace(",", " ").split())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, once each; nothing is judged"
    )
    parser.add_argument("--sizes", type=_sizes, help="assets of the projects, such as 1000,10000")
    parser.add_argument(
        "--only", action="append", choices=list(SECTIONS), help="only this section; repeatable"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument(
        "--check",
        action="store_true",
        help="fail if a ratio is 15%% above that of the last results",
    )
    parser.add_argument(
        "--write", action="store_true", help="write the results and docs/performance.md"
    )
    parser.add_argument(
        "--render",
        action="store_true",
        help="write the page from the last results, measure nothing",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
