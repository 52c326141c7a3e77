"""The folders that the user has told git to trust though others own them: ``safe.directory``."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path


def is_safe_directory(root: Path) -> bool:
    """Whether git's ``safe.directory`` of the user or the system names this folder, or all."""
    folder, safe = os.path.realpath(root), False
    for value in _values():
        if not value:
            safe = False  # as in git, an empty value takes back those before it
        elif value == "*" or (value.endswith("/*") and folder.startswith(value[:-1])):
            safe = True
        else:
            safe |= os.path.realpath(value) == folder
    return safe


def _values() -> list[str]:
    git = shutil.which("git")
    if git is None:
        return []
    command = [git, "config", "--null", "--type=path", "--get-all", "safe.directory"]
    # The configuration of a repository does not count: it may be the one in question.
    environment = {**os.environ, "GIT_DIR": os.devnull}
    found = subprocess.run(command, env=environment, cwd="/", capture_output=True, check=False)
    return os.fsdecode(found.stdout).split("\0")[:-1]
