"""The answer for people: a table a section, at the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from .bench import US, Figure, judged

TITLES = {
    "command": "The command, whole processes",
    "library": "The library, in a process that has it imported",
    "serving": "The control plane, asked over HTTP",
    "fairness": "The control plane, beside another tenant",
    "executors": "The control plane, by what executes its runs",
    "merge": "The merge of three trees, in process",
    "contents": "The merge inside an asset, in process",
    "profile": "Where the time of the command goes",
    "database": "How much a database grows by a project and by a run",
    "start": "Start-up, whole processes",
    "backends": "Backends of the library, whole processes",
}


@dataclass(frozen=True, slots=True)
class Table:
    """Columns, and rows of as many cells."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def lines(self) -> Iterator[str]:
        """Return aligned lines, for a terminal."""
        rows = [self.columns, *self.rows]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for case, *cells in rows:
            aligned = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
            yield "  ".join([case.ljust(widths[0]), *aligned]).rstrip()

    def markdown(self) -> str:
        """Return a table of Markdown."""
        rules = ["---", *["---:"] * (len(self.columns) - 1)]
        lines = (" | ".join(row) for row in (self.columns, rules, *self.rows))
        return "\n".join(f"| {line} |" for line in lines)


def tables(figures: Sequence[Figure], sections: Sequence[str] = tuple(TITLES)) -> Iterator[Table]:
    """A table a section and baseline: a row a case, a column a contender, ratios in the cells."""
    for section in sections:
        found = [each for each in judged(figures) if each.section == section]
        found.sort(key=lambda each: each.size)
        for baseline in dict.fromkeys(each.baseline for each in found):
            yield _table(section, baseline, [e for e in found if e.baseline == baseline])


def _table(section: str, baseline: str, figures: Sequence[Figure]) -> Table:
    if not baseline:
        return _plain(section, figures)
    others = list(dict.fromkeys(e.who for e in figures if e.who != baseline))
    others.sort(key=lambda who: not who.startswith(US))
    rows = []
    for (_, case, size), group in groupby(figures, key=lambda each: each.of_case):
        cells = {each.who: each for each in group}
        row = [case, f"{size:,}" if size else "", _value(cells.get(baseline))]
        row += [_ratio(cells.get(who)) for who in others]
        targets = {each.target for each in cells.values() if each.target is not None}
        rows.append([*row, " ".join(f"≤ {_number(target)}" for target in targets)])
    columns = ["case", "size", baseline, *others, "target"]
    return Table(TITLES[section], columns, rows)


def _plain(section: str, figures: Sequence[Figure]) -> Table:
    """A table of figures without a baseline."""
    whos = list(dict.fromkeys(each.who for each in figures))
    rows = []
    for (_, case, size), group in groupby(figures, key=lambda each: each.of_case):
        cells = {each.who: each for each in group}
        rows.append([case, f"{size:,}", *(_value(cells.get(who)) for who in whos)])
    return Table(TITLES[section], ["case", "size", *whos], rows)


def _value(figure: Figure | None) -> str:
    return "" if figure is None else f"{_number(figure.median)} {figure.unit}"


def _ratio(figure: Figure | None) -> str:
    if figure is None or figure.ratio is None or figure.low is None or figure.high is None:
        return ""
    if not figure.who.startswith(US):
        return _number(figure.ratio)
    missed = " (missed)" if figure.met is False else ""
    return f"{_number(figure.ratio)} [{_number(figure.low)}, {_number(figure.high)}]{missed}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}" if value < 10 else f"{value:.3g}"


def print_tables(figures: Sequence[Figure]) -> None:
    """Print every table."""
    for table in tables(figures):
        print(table.title, *table.lines(), sep="\n", end="\n\n")
