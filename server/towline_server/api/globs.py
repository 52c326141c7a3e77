"""Owns how many globs one project, or one pull, may have: each path is matched with all of them.

That happens within the server's process, so nobody's may keep it from everybody else's requests.
"""

from __future__ import annotations

from collections.abc import Collection

from towline.errors import InvalidValue

MOST_GLOBS = 500
MOST_CHARACTERS = 10_000
"""Of all globs together."""


def check_globs(globs: Collection[str], field: str) -> None:
    """Refuse what would take too long.

    Raises:
        InvalidValue: there are more than `MOST_GLOBS`, or more than `MOST_CHARACTERS` in them.
    """
    if len(globs) > MOST_GLOBS or sum(map(len, globs)) > MOST_CHARACTERS:
        most = f"{MOST_GLOBS} globs of {MOST_CHARACTERS} characters in all"
        raise InvalidValue(field=field, problem=f"may have at most {most}")
