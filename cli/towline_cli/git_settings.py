"""What the user's git configuration says about reaching a host; a repository's own has no say.

Of it all, ``url.<base>.insteadOf``, ``http.sslCAInfo`` and ``http.proxy`` count.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess

_REWRITE = re.compile(r"url\.(.*)\.insteadof", re.DOTALL)
_VARIABLES = {
    "http.sslcainfo": ("GIT_SSL_CAINFO",),
    "http.proxy": ("http_proxy", "https_proxy"),
}


def reached(url: str) -> tuple[str, dict[str, str]]:
    """The address to use for an address, and the environment to reach it in."""
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
