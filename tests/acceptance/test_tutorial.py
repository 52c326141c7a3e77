"""The tutorial and the how-to guides do what they say: commands run, and print what is shown."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
AFTER = "<!-- A test runs these blocks after those of the tutorial;"
GUIDES = ["add-a-kind", "back-up-and-upgrade", "deploy", "pull-in-ci"]


def _blocks(text: str) -> list[str]:
    """Return the console blocks of a document, also those in a list."""
    found = re.findall(r"^( *)```console\n(.*?)^\1```", text, re.DOTALL | re.MULTILINE)
    return [dedent(block) for _, block in found]


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


@pytest.mark.parametrize("name", ["tutorial", *(f"how-to/{guide}" for guide in GUIDES)])
def test_the_commands_of_a_document_print_what_it_shows(name: str, tmp_path: Path) -> None:
    text = (DOCS / f"{name}.md").read_text("utf-8")
    before = _blocks((DOCS / "tutorial.md").read_text("utf-8")) if AFTER in text else []
    own = _blocks(text)
    assert own
    steps = _steps([*before, *own])
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


def test_every_guide_that_shows_what_commands_print_is_run() -> None:
    shown = {
        file.stem for file in (DOCS / "how-to").glob("*.md") if "```console" in file.read_text()
    }
    assert shown == set(GUIDES)
