"""The benchmarks run, and trust no contender; what they measure is not judged here."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import command, fleet, pages
from benchmarks.bench import QUICK, Bench, Figure
from benchmarks.contenders import CONTENDERS, GIT, ContenderCommand
from benchmarks.plot import svg
from benchmarks.results import Results, last_results, load, slower

ROOT = Path(__file__).parents[2]
FIGURE = Figure(
    section="command",
    case="no-op pull",
    size=1_000,
    who="towline",
    unit="ms",
    rounds=3,
    median=40.0,
    ratio=2.0,
    low=1.9,
    high=2.1,
    baseline="git",
)


def results(*figures: Figure) -> Results:
    return Results(machine={"cores": "2"}, figures=figures)


@pytest.mark.slow
def test_a_quick_run_measures_every_section():
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    found = load(ended.stdout)
    assert {figure.section for figure in found.figures} == {
        *("command", "library", "serving", "fairness", "profile"),
        *("start", "backends", "executors", "merge", "contents"),
    }
    measured = {(figure.case, figure.who) for figure in found.figures}
    for figure in found.figures:
        assert figure.median >= 0
        # A peer that is not installed is not measured.
        if (figure.case, figure.baseline) in measured:
            assert figure.ratio is not None, "it was measured in the same rounds"
        assert figure.target is None, "a quick run judges nothing"


def test_a_contender_that_ends_in_another_tree_fails_and_is_left_out():
    git = next(each for each in CONTENDERS if each.name == GIT)
    fetching = replace(
        git, name="late", commands={**git.commands, ContenderCommand.PULL: ("git", "fetch")}
    )
    bench = Bench(QUICK)
    command.measure(bench, [git, fetching])
    [failure] = bench.failures
    assert (failure.who, failure.case) == ("late", "pull of 1% changed")
    assert failure.reason == "pipelines/team-0000/flow-000000.json has another content"
    cases = {who: [e.case for e in bench.figures if e.who == who] for who in ("git", "late")}
    assert "no-op pull" in cases["late"], "until then it was as good as any"
    assert {"pull of 1% changed", "log"} <= set(cases["git"]) - set(cases["late"])


def test_a_ratio_that_grew_by_more_than_15_percent_is_reported():
    peer = replace(FIGURE, who="pygit2")
    cpu = replace(FIGURE, unit="ms CPU")
    last = results(FIGURE, cpu, peer)
    now = replace(FIGURE, ratio=2.29), replace(cpu, ratio=9.0), replace(peer, ratio=9.0)
    assert list(slower(results(*now), last)) == []
    grew = replace(FIGURE, ratio=2.31)
    assert list(slower(results(grew), last)) == [(grew, FIGURE)]


def test_cases_that_were_not_measured_again_stay_if_the_machine_is_the_same():
    again, other = replace(FIGURE, median=41.0), replace(FIGURE, size=100_000)
    last = results(FIGURE, other)
    assert list(results(again).onto(last).figures) == [other, again]
    elsewhere = replace(results(again), machine={"cores": "4"})
    assert elsewhere.onto(last) == elsewhere
    assert load(elsewhere.dump()).figures == [again]


def test_a_fleet_follows_from_what_was_measured():
    def figure(section: str, case: str, who: str, median: float) -> Figure:
        return replace(FIGURE, section=section, case=case, who=who, size=200, median=median)

    measured = [
        figure("serving", "pulled at once, none changed", "towline, PostgreSQL", 50.0),
        figure("serving", "pulled at once, 1% changed", "towline, PostgreSQL", 100.0),
        figure("database", "growth", "project", 1024.0),
        figure("database", "growth", "run", 2.0),
    ]
    assert fleet.table(results(*measured[1:])) is None
    found = fleet.table(results(*measured))
    assert found is not None
    much = {what: value for what, value, _ in found.rows}
    assert much["pulls a second"] == "27.8"
    assert much["time of a pull"] == "55 ms", "9 in 10 find nothing new"
    assert much["such machines"] == "4", "3.06 at half load"
    assert much["database, projects"] == "98 GiB"


def test_the_page_and_the_plot_show_the_results_in_the_repository():
    last = last_results()
    assert last is not None
    page = pages.PAGE.read_text("utf-8")
    assert pages.filled(page, last) == page
    assert svg(last.figures) == pages.PLOT.read_text("utf-8")
