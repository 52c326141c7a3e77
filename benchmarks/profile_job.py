"""The command under a profiler: ``OUTPUT ARGUMENT...``; seconds by what they were spent on."""

from __future__ import annotations

import cProfile
import json
import sys
from pathlib import Path
from types import CodeType
from typing import TypeGuard

LOADING = "loading modules"
GROUPS = {
    "git, the network": (
        "select.",
        "_posixsubprocess.",
        "posix.waitpid",
        "_socket.",
        "_io.Buffered",
    ),
    "SQLite": ("sqlite3.",),
    "files": ("posix.", "fcntl."),
}
"""What built-in functions and methods contain; the first group counts."""
REST = "computing"


def main(output: str, *arguments: str) -> int:
    """Run the command, and write what it spent."""
    profile = cProfile.Profile()
    profile.enable()
    try:
        from towline_cli.main import main as command

        return command(arguments)
    finally:
        profile.disable()
        Path(output).write_text(json.dumps(spent(profile)))


def spent(profile: cProfile.Profile) -> dict[str, float]:
    """Seconds of each group. What is done while a module loads counts as loading."""
    groups = dict.fromkeys((LOADING, *GROUPS), 0.0)
    total = 0.0
    for caller in profile.getstats():
        total += caller.inlinetime
        if _is_import(caller.code):
            # Recursive calls are in the time of the outermost.
            groups[LOADING] += caller.totaltime if caller.code.co_name == "_find_and_load" else 0
            continue
        for called in caller.calls or ():
            if group := _group(called.code):
                groups[group] += called.inlinetime
    return {**groups, REST: max(0.0, total - sum(groups.values()))}


def _is_import(code: CodeType | str) -> TypeGuard[CodeType]:
    return not isinstance(code, str) and code.co_filename.startswith("<frozen importlib")


def _group(code: CodeType | str) -> str | None:
    """The group of a built-in function or method, whose code is its name."""
    if not isinstance(code, str):
        return None
    return next((g for g, parts in GROUPS.items() if any(part in code for part in parts)), None)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
