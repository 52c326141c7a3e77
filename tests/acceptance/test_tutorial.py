"""The tutorial does what it says: its commands run, and print what it shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
BLOCKS = re.findall(r"^```console\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


def _steps(blocks: list[str]) -> list[tuple[str, str]]:
    """Return each command with what is printed below it."""
    steps = re.split(r"^\$ ", "".join(blocks), flags=re.MULTILINE)
    assert steps[0] == ""
    return [(command, shown) for command, _, shown in (each.partition("\n") for each in steps[1:])]


def _shown(shown: str) -> re.Pattern[str]:
    """An ellipsis is anything, and several lines where it is a line by itself."""
    lines = []
    for line in shown.splitlines():
        if line == "…":
            lines.append("(?:.*\n)*")
        else:
            lines.append(".*".join(map(re.escape, line.rstrip().split("…"))) + " *\n")
    # The tutorial leaves out blank lines at the end.
    return re.compile("".join(lines) + "\n*")


def test_the_commands_of_the_tutorial_print_what_it_shows(tmp_path: Path) -> None:
    steps = _steps(BLOCKS)
    assert len(steps) > 10
    # One shell, so that `cd` holds; a line of its own ends what each command prints.
    ends = "\x1e\n"
    script = "".join(f"{command}\nprintf '\\036\\n'\n" for command, _ in steps)
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "COLUMNS": "100",
        "LC_ALL": "C.UTF-8",
    }
    (tmp_path / "work").mkdir()
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path / "work",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    printed = done.stdout.split(ends)[:-1]
    assert len(printed) == len(steps), done.stderr
    for (command, shown), output in zip(steps, printed, strict=True):
        assert _shown(shown).fullmatch(output), (command, output, done.stderr)
