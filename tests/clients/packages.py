"""Clients from package registries, each in a folder of its own below ``.venv``, made once."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".venv" / "clients"
LONG = 120
"""Seconds after which a command is taken to hang."""


def python_packages(name: str, *requirements: str) -> dict[str, str]:
    """The environment in which Python has these packages, whatever others it has."""

    def install(folder: Path) -> None:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run([*pip, "--target", str(folder), *requirements])

    folder = _made(name, requirements, install)
    return {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}


def node_packages(name: str, *requirements: str) -> Path:
    """The folder with the commands of these packages."""

    def install(folder: Path) -> None:
        npm = ["npm", "install", "--silent", "--no-fund", "--no-audit", "--ignore-scripts"]
        run([*npm, "--prefix", str(folder), *requirements])

    return _made(name, requirements, install) / "node_modules" / ".bin"


def run(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    given: str = "",
    cwd: Path = ROOT,
) -> str:
    """Return what a command prints; fail with all of it."""
    done = subprocess.run(
        command,
        input=given,
        env=env,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def _made(name: str, requirements: Sequence[str], install: Callable[[Path], None]) -> Path:
    FOLDER.mkdir(parents=True, exist_ok=True)
    folder, mark = FOLDER / name, "\n".join(requirements)
    # Test processes run side by side.
    with (FOLDER / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        marked = folder / ".installed"
        if not (marked.exists() and marked.read_text() == mark):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            install(folder)
            marked.write_text(mark)
    return folder
