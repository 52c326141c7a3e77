"""Lines and tables of cells on stdout.

Every text from outside goes through `cell`: no control characters, nothing cut off. A table that is
wider than the terminal becomes entries of several lines, with every path and id whole on its line,
to be copied. Styles are words, such as ``bold red``, and are for a terminal alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import click

from .output import printable

_WIDE = 100_000
"""Columns where no terminal sets them: a file or a pipe gets every line whole."""
_SCREENFUL = 20
"""Rows, where no terminal has a height."""
_GAP = "  "
_ATTRIBUTES = ("bold", "dim")


class Cell(NamedTuple):
    """A text on one line, and its style."""

    text: str
    style: str = ""

    @property
    def width(self) -> int:
        """How many columns of a terminal it takes."""
        return text_width(self.text)


def cell(text: object, style: str = "") -> Cell:
    """Return text from outside as it can be printed."""
    return Cell(printable(str(text)), style)


def text_width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def terminal_width() -> int:
    """Return the columns of a line; those of a file or a pipe have no end."""
    return _terminal_size().columns if sys.stdout.isatty() else _WIDE


def list_room() -> int:
    """Return how many rows a list may have on one screen."""
    return max(_terminal_size().lines - 5, 10) if sys.stdout.isatty() else _SCREENFUL


def _terminal_size() -> os.terminal_size:
    import shutil

    return shutil.get_terminal_size()


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    entries: Iterable[Sequence[Cell]] | None = None,
) -> None:
    """Print a table as wide as its content, or where that is too wide, an entry for each row.

    An entry's first line holds the first two columns, the next ones as many of the others as there
    is room for. ``entries`` are the rows with more cells, where a column joins several.
    """
    rows = list(rows)
    if not fits(columns, rows):
        _print_entries(rows if entries is None else list(entries))
        return
    widths = _widths(columns, rows)
    for row in ([Cell(column, "bold") for column in columns], *rows):
        filled = max((number for number, each in enumerate(row, 1) if each.text), default=0)
        print_line(*_padded(row[:filled], widths))


def fits(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> bool:
    """Whether a table of these cells is no wider than the terminal."""
    widths = _widths(columns, rows)
    return sum(widths) + len(_GAP) * len(widths) <= terminal_width()


def _widths(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[int]:
    return [
        max((text_width(column), *(row[number].width for row in rows)))
        for number, column in enumerate(columns)
    ]


def _padded(row: Sequence[Cell], widths: Sequence[int]) -> Iterable[Cell]:
    """Yield cells with what is between them, but nothing after the last one."""
    for number, (each, width) in enumerate(zip(row, widths, strict=False), 1):
        yield each
        if number < len(row):
            yield Cell(" " * (width - each.width) + _GAP)


def _print_entries(rows: Sequence[Sequence[Cell]]) -> None:
    indent = max((row[0].width for row in rows), default=0) + len(_GAP)
    for first, second, *others in rows:
        print_line(first, Cell(" " * (indent - first.width)), second)
        for line in _lines([each for each in others if each.text], terminal_width() - indent):
            print_line(Cell(" " * indent), *joined(line))


def _lines(cells: Iterable[Cell], room: int) -> Iterable[list[Cell]]:
    """Yield cells in lines that are no longer than this, unless one alone is."""
    line: list[Cell] = []
    for each in cells:
        if line and sum(len(_GAP) + before.width for before in line) + each.width > room:
            yield line
            line = []
        line.append(each)
    if line:
        yield line


def joined(cells: Sequence[Cell]) -> Iterable[Cell]:
    """Yield cells with a gap between each two."""
    for number, each in enumerate(cells):
        if number:
            yield Cell(_GAP)
        yield each


def print_line(*cells: Cell) -> None:
    """Print cells one after the other, on a line that the terminal alone wraps."""
    styled = _has_colors()
    print("".join(_styled(each) if styled else each.text for each in cells))


def print_lines(lines: Iterable[Cell]) -> None:
    """Print each cell on a line of its own."""
    for each in lines:
        print_line(each)


def print_folded(label: str, each: Cell) -> None:
    """Print a cell after a label; what a terminal has no room for goes below its beginning."""
    room = max(terminal_width() - text_width(label), 20)
    lines = [each.text]
    if each.width > room:
        from rich.cells import chop_cells

        lines = chop_cells(each.text, room)
    for line in lines:
        print_line(Cell(label + line, each.style))
        label = " " * text_width(label)


def print_cut(lines: Iterable[str]) -> None:
    """Print lines, each cut off at the width of the terminal."""
    width = terminal_width()
    for line in map(cell, lines):
        if line.width <= width:
            print_line(line)
            continue
        from rich.cells import set_cell_size

        print_line(Cell(set_cell_size(line.text, width - 1) + "…"))


def _styled(each: Cell) -> str:
    words = each.style.split()
    if not words or not each.text:
        return each.text
    attributes = {word: True for word in words if word in _ATTRIBUTES}
    color = next((word for word in words if word not in _ATTRIBUTES), None)
    return click.style(each.text, fg=color, **attributes)


def _has_colors() -> bool:
    """Whether colors are shown: at a terminal, unless the user wants none (no-color.org)."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") in ("dumb", "unknown")
    return sys.stdout.isatty() and not plain
