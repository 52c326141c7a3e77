"""docs/performance.md: its tables and its plot are made from the results."""

from __future__ import annotations

import re
from pathlib import Path

from . import fleet
from .plot import svg
from .rendering import tables
from .results import FILE, Results

DOCS = Path(__file__).parents[1] / "docs"
PAGE, PLOT = DOCS / "performance.md", DOCS / "performance.svg"
_BLOCK = re.compile(r"(<!-- figures: (\w+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)


def write(results: Results) -> None:
    """Write the results, and the page and the plot that show them."""
    FILE.write_text(results.dump(), "utf-8")
    PAGE.write_text(filled(PAGE.read_text("utf-8"), results), "utf-8")
    PLOT.write_text(svg(results.figures), "utf-8")


def filled(page: str, results: Results) -> str:
    """The page with the tables of its marked sections, and what they were measured on."""

    def block(found: re.Match[str]) -> str:
        return f"{found[1]}{_content(found[2], results)}\n{found[3]}"

    return _BLOCK.sub(block, page)


def _content(name: str, results: Results) -> str:
    if name == "machine":
        return ", ".join(f"{what} {value}" for what, value in results.machine.items())
    if name == fleet.SECTION:
        found = [table for table in [fleet.table(results)] if table is not None]
    else:
        found = list(tables(results.figures, [name]))
    return "\n\n".join(table.markdown() for table in found) or "Not measured."
