"""The exit codes of the command: those of a pull, and that of each error of the library."""

from __future__ import annotations

OK = 0
FAILURE = 1
USAGE = 2
CONFLICTS = 3
AUTHENTICATION = 4
INTERRUPTED = 130

_OF_ERRORS = {
    "authentication_failed": AUTHENTICATION,
    "permission_denied": AUTHENTICATION,
    "unresolved_conflicts": CONFLICTS,
    "invalid_value": USAGE,
    "conflicting_resolutions": USAGE,
}


def of_error(code: str) -> int:
    """Return the exit code of a `towline.errors.TowlineError`, by its code."""
    return _OF_ERRORS.get(code, FAILURE)
