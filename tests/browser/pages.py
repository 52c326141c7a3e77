"""Every page that a browser test checks as a whole: for accessibility, width and scripts."""

from __future__ import annotations

from collections.abc import Mapping

_PROJECT = "/ui/projects/{project}"

PAGES: Mapping[str, str] = {
    "projects": "/",
    "APIs": "/docs",
    "an API": "/docs/codat",
    "no such page": "/ui/nothing",
    "assets": _PROJECT,
    "asset": f"{_PROJECT}/asset?id={{asset}}",
    "conflicts": f"{_PROJECT}/conflicts",
    "conflict": f"{_PROJECT}/conflicts/asset?id={{asset}}",
    "plans": f"{_PROJECT}/plans",
    "plan": f"{_PROJECT}/plans/{{plan}}",
    "difference": f"{_PROJECT}/plans/{{plan}}/diff?id={{asset}}",
    "runs": "/ui/runs",
    "run": "/ui/runs/{run}",
    "history": f"{_PROJECT}/history",
    "pull": f"{_PROJECT}/history/1",
    "undo": f"{_PROJECT}/history/1/undo",
    "schedules": f"{_PROJECT}/schedules",
    "webhooks": "/ui/webhooks",
}
"""Addresses by a name, with the ids that `tests.browser.site.Site.filled` returns."""
