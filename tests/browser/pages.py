"""Every page that a browser test checks as a whole: for accessibility, width and scripts."""

from __future__ import annotations

from collections.abc import Mapping

PAGES: Mapping[str, str] = {
    "projects": "/",
    "APIs": "/docs",
    "an API": "/docs/codat",
    "no such page": "/ui/nothing",
}
"""Addresses by a name, of a project with its ``{project}``, of its last run with its ``{run}``."""
