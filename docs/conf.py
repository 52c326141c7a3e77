"""The site that ``make docs`` builds from these pages, with Sphinx."""

from __future__ import annotations

import re
from typing import Any

from towline import __version__

project = "towline"
author = "The towline maintainers"
release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click"]
html_theme = "furo"
html_title = f"towline {release}"
# Nothing is loaded from another host.
html_permalinks_icon = "#"
nitpicky = False
myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}

_OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+((?!docs/)[^)\s]+\.?[^)\s]*)\)")


def _name_files_outside(_app: Any, name: str, source: list[str]) -> None:
    """Name the repository's other files, which the site does not have, instead of linking them."""
    depth = name.count("/")

    def named(match: re.Match[str]) -> str:
        up = match[0].count("../")
        return f"{match[1]} (`{match[2]}`)" if up > depth else match[0]

    source[0] = _OUTSIDE.sub(named, source[0])


def _mark_names(_app: Any, *about: Any) -> None:
    """Show single backquotes as code: docstrings mean a name by them, which may be internal."""
    lines: list[str] = about[-1]
    lines[:] = [re.sub(r"(?<![`:])`([^`<>]+)`(?!`)", r"``\1``", line) for line in lines]


def setup(app: Any) -> None:
    """Join Sphinx."""
    app.connect("source-read", _name_files_outside)
    app.connect("autodoc-process-docstring", _mark_names)
