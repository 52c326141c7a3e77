"""Every page that a browser test checks as a whole: for accessibility, width and scripts.

Run as a program, it prints docs/screenshots.md.
"""

from __future__ import annotations

import sys
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
    "new schedule": f"{_PROJECT}/schedules/new",
    "schedule": f"{_PROJECT}/schedules/{{schedule}}",
    "schedule deletion": f"{_PROJECT}/schedules/{{schedule}}/delete",
    "webhooks": "/ui/webhooks",
    "new webhook": "/ui/webhooks/new",
    "connections": "/ui/connections",
    "kinds of connections": "/ui/connections/new",
    "new connection": "/ui/connections/new?provider=http_api",
    "connection": "/ui/connections/{connection}",
    "connection deletion": "/ui/connections/{connection}/delete",
    "new project": "/ui/new-project",
    "project settings": f"{_PROJECT}/settings",
    "project deletion": f"{_PROJECT}/delete",
    "people": "/ui/people",
    "new user": "/ui/people/new",
    "person": "/ui/people/{identity}",
    "disabling": "/ui/people/{identity}/disable",
    "API keys": "/ui/keys",
    "new API key": "/ui/keys/new",
    "audit log": "/ui/audit",
}
"""Addresses by a name, with the ids that `tests.browser.site.Site.filled` returns."""

WIDTHS = (1280, 360)
"""The widths at which they are checked, in pixels."""


def screenshot(name: str, width: int, *, dark: bool) -> str:
    """Return the name of the file with the screenshot of a page."""
    return f"{name.replace(' ', '-').lower()}-{width}-{'dark' if dark else 'light'}.webp"


def gallery() -> str:
    """Return the document that shows the screenshots of every page."""
    text = (
        "# Screenshots of the page\n\n"
        "Every page of the web interface ([what each one does](page.md)), at widths of 1,280 and\n"
        "360 px, light and dark. `make screenshots` takes them again.\n"
    )
    for name in ("sign in", *PAGES):
        files = [
            (f"{width:,} px, {'dark' if dark else 'light'}", screenshot(name, width, dark=dark))
            for width in WIDTHS
            for dark in (False, True)
        ]
        title = name[0].upper() + name[1:]
        heads, rule = " | ".join(label for label, _ in files), " | ".join("---" for _ in files)
        images = " | ".join(f"![{title}, {label}](screenshots/{file})" for label, file in files)
        text += f"\n## {title}\n\n| {heads} |\n| {rule} |\n| {images} |\n"
    return text


if __name__ == "__main__":
    sys.stdout.write(gallery())
