"""The user's git configuration: URL rewrites, proxy, certificates, trusted folders, merge tool.

A repository's own configuration is not read: it may be the one in question.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

_REWRITE = re.compile(r"url\.(.*)\.insteadof", re.DOTALL)
_HELPER = re.compile(r"credential\.(?:(.*)\.)?helper", re.DOTALL)
_VARIABLES = {
    "http.sslcainfo": ("GIT_SSL_CAINFO",),
    "http.proxy": ("http_proxy", "https_proxy"),
}


Settings: TypeAlias = list[tuple[str, str, str]]
"""Each key, a line feed, and its value."""


def start_reading() -> Callable[[], Settings]:
    """Start to read the settings that requests to any remote depend on.

    Returns a function that waits for them: they are read while the caller loads modules.
    """
    result = _start("--get-regexp", r"^(url|http|credential)\.")
    return lambda: [entry.partition("\n") for entry in result()]


def resolve_url(url: str, settings: Settings) -> tuple[str, dict[str, str]]:
    """Return the URL after ``url.<base>.insteadOf``, and the environment for requests to it."""
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


def has_credential_helper(settings: Settings, url: str) -> bool:
    """Whether a credential helper may be configured for a URL: for all, or for its host."""
    patterns = (match[1] for key, _, _ in settings if (match := _HELPER.fullmatch(key)))
    return any(_may_match(pattern or "", url) for pattern in patterns)


def _may_match(pattern: str, url: str) -> bool:
    """Whether a pattern of git's credential settings names no other host than a URL."""
    try:
        named, host = urlsplit(pattern).hostname, urlsplit(url).hostname
    except ValueError:
        return True
    return named is None or "*" in named or named == host


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
    return _start(*arguments)()


def _start(*arguments: str) -> Callable[[], list[str]]:
    """Start ``git config``; return what waits for it, and returns its entries."""
    try:
        child = subprocess.Popen(
            ["git", "config", "--null", *arguments],
            env={**os.environ, "GIT_DIR": os.devnull},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        return list
    return lambda: os.fsdecode(child.communicate()[0]).split("\0")[:-1]
