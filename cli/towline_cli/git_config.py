"""The user's git configuration: URL rewrites, proxy, certificates, trusted folders, merge tool.

A repository's own configuration is not read: it may be the one in question.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

_REWRITE = re.compile(r"url\.(.*)\.insteadof", re.DOTALL)
_VARIABLES = {
    "http.sslcainfo": ("GIT_SSL_CAINFO",),
    "http.proxy": ("http_proxy", "https_proxy"),
}


def resolve_url(url: str) -> tuple[str, dict[str, str]]:
    """Return the URL after ``url.<base>.insteadOf``, and the environment for requests to it."""
    settings = [entry.partition("\n") for entry in _git("--get-regexp", r"^(url|http)\.")]
    rewrites = [
        (prefix, match[1])
        for key, _, prefix in settings
        if (match := _REWRITE.fullmatch(key)) and prefix and url.startswith(prefix)
    ]
    if rewrites:
        prefix, base = max(rewrites, key=lambda rewrite: len(rewrite[0]))  # as git has it
        url = base + url.removeprefix(prefix)
    environment = dict(os.environ)
    if url.startswith("http"):
        for key, names in _VARIABLES.items():
            if any(found.lower().endswith(key.partition(".")[2]) for found, _, _ in settings):
                kind = ["--type=path"] if key == "http.sslcainfo" else []
                for value in _git(*kind, "--get-urlmatch", key, url)[:1]:
                    environment |= dict.fromkeys(names, value)
    return url, environment


def is_safe_directory(root: Path) -> bool:
    """Whether git's ``safe.directory`` lists this folder, which another user owns, or all."""
    folder, safe = os.path.realpath(root), False
    for value in _git("--type=path", "--get-all", "safe.directory"):
        if not value:
            safe = False  # as in git, an empty value resets the list
        elif value == "*" or (value.endswith("/*") and folder.startswith(value[:-1])):
            safe = True
        else:
            safe |= os.path.realpath(value) == folder
    return safe


def configured_merge_tool() -> str | None:
    """Return the name of the user's merge tool, ``merge.tool``, if there is one."""
    return next(iter(_git("--get", "merge.tool")), "") or None


def _git(*arguments: str) -> list[str]:
    git = shutil.which("git")
    if git is None:
        return []
    environment = {**os.environ, "GIT_DIR": os.devnull}
    found = subprocess.run(
        [git, "config", "--null", *arguments],
        env=environment,
        cwd="/",
        capture_output=True,
        check=False,
    )
    return os.fsdecode(found.stdout).split("\0")[:-1]
