"""A fleet for 100,000 projects that are pulled hourly, on paper: each figure from measured ones."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from towline_server.runs.bounds import AtOnce
from towline_server.settings import Settings

from .rendering import Table
from .results import Results

SECTION = "fleet"
PROJECTS, SECONDS = 100_000, 3_600
CHANGED = 0.1
"""The share of pulls that find 1% of a project changed; the others find nothing."""
BUSY = 0.5
"""The share of its time for which a machine is meant to be busy."""
HOST_SECONDS = 0.3
"""What a host on the internet takes for one question: assumed, for loopback has no distance."""
STATEMENTS, TRANSACTIONS = (11, 24), (3, 6)
"""At most, of a run that finds nothing and of one that changes two assets: tests assert it."""
DAYS = int(Settings.model_fields["run_days"].default)
RUNS_AT_ONCE = int(Settings.model_fields["runs_at_once"].default)
HOST_RUNS = AtOnce.of(RUNS_AT_ONCE).host
"""How many runs of repositories on one host a process executes at once."""


@dataclass(frozen=True, slots=True)
class MeasuredCosts:
    """What the fleet is derived from."""

    unchanged_ms: float
    changed_ms: float
    project_kib: float
    run_kib: float

    @classmethod
    def of(cls, results: Results) -> MeasuredCosts | None:
        """Find it in the results: of the most projects, on PostgreSQL; None if it is not there."""
        medians = {
            (each.section, each.case, each.size, each.who): each.median for each in results.figures
        }
        many = "pulled at once, none changed"
        sizes = [size for section, case, size, _ in medians if (section, case) == ("serving", many)]
        who, size = "towline, PostgreSQL", max(sizes, default=0)
        try:
            return cls(
                medians["serving", many, size, who],
                medians["serving", "pulled at once, 1% changed", size, who],
                *(medians["database", "growth", size, what] for what in ("project", "run")),
            )
        except KeyError:
            return None


def table(results: Results) -> Table | None:
    """The fleet; None if what it needs was not measured."""
    measured = MeasuredCosts.of(results)
    if measured is None:
        return None
    return Table("A fleet", ["what", "how much", "from"], list(_rows(measured)))


def _rows(measured: MeasuredCosts) -> Iterator[tuple[str, str, str]]:
    rate = PROJECTS / SECONDS
    yield "pulls a second", f"{rate:.1f}", f"{PROJECTS:,} / {SECONDS:,} s"
    each = (1 - CHANGED) * measured.unchanged_ms + CHANGED * measured.changed_ms
    yield (
        "time of a pull",
        f"{each:.0f} ms",
        f"{measured.unchanged_ms:.0f} ms, and {measured.changed_ms:.0f} ms for {CHANGED:.0%}",
    )
    machines = math.ceil(rate * each / 1000 / BUSY)
    yield (
        "such machines",
        f"{machines}",
        f"{rate:.1f} × {each:.0f} ms, busy for {BUSY:.0%} of the time",
    )
    yield from _database(measured, rate)
    waiting = rate * HOST_SECONDS
    yield (
        "questions to a host at once, if all projects are on one",
        f"{waiting:.0f}",
        f"{rate:.1f} a second × {HOST_SECONDS} s, an assumption",
    )
    yield (
        "processes that may ask them",
        f"{math.ceil(waiting / HOST_RUNS)}",
        f"{waiting:.0f} / {HOST_RUNS} (`host_runs_at_once`)",
    )


def _database(measured: MeasuredCosts, rate: float) -> Iterator[tuple[str, str, str]]:
    for what, bounds in (("statements", STATEMENTS), ("transactions", TRANSACTIONS)):
        each = (1 - CHANGED) * bounds[0] + CHANGED * bounds[1]
        yield (
            f"{what} a second",
            f"{rate * each:,.0f}",
            f"{rate:.1f} × at most {bounds[0]} a run that finds nothing, {bounds[1]} one that does",
        )
    gib = measured.project_kib * PROJECTS / 2**20
    yield "database, projects", f"{gib:.0f} GiB", f"{measured.project_kib:.0f} KiB a project"
    runs = rate * 86_400 * DAYS
    yield (
        "database, runs",
        f"{measured.run_kib * runs / 2**20:,.0f} GiB",
        f"{measured.run_kib:.1f} KiB each, {runs / 10**6:.0f} million in {DAYS} days (`run_days`)",
    )
