"""Finds the git executable, and closes the world around it: no configuration, no prompts."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from functools import lru_cache

from towline.limits import Limits

DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin"
OLDEST = (2, 31)
"""The first that takes settings by variables, which the closed environment stands on."""

_ALLOC_BYTES = 512 * 1024 * 1024
"""The most that git may allocate at once to read the cache; fetching has limits of its own."""

# What of the caller's environment git and ssh may see; all else is closed to them.
_PASSED = (
    "HOME",
    "SSH_AUTH_SOCK",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "TMPDIR",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
)


def find_git(environment: Mapping[str, str]) -> str | None:
    """The git executable on the PATH, if it is there and new enough."""
    found = shutil.which("git", path=environment.get("PATH", DEFAULT_PATH))
    return found if found is not None and git_version(found) >= OLDEST else None


@lru_cache(maxsize=8)
def git_version(executable: str) -> tuple[int, ...]:
    """The first two numbers of a git executable's version; () where it tells none."""
    try:
        said = subprocess.run([executable, "version"], capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ()
    match = re.search(rb"(\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else ()


def closed_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment in which no configuration but ours counts, and nothing prompts."""
    passed = {name: environment[name] for name in _PASSED if name in environment}
    if "SSL_CERT_FILE" in passed:  # git's curl does not look at it
        passed.setdefault("GIT_SSL_CAINFO", passed["SSL_CERT_FILE"])
    return {
        **passed,
        "PATH": environment.get("PATH", DEFAULT_PATH),
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS": "",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_ALLOC_LIMIT": str(_ALLOC_BYTES),
    }


def ssh_options(limits: Limits) -> tuple[str, ...]:
    """What ssh is told with ``-o``: ask nobody, and give up in time."""
    return (
        "BatchMode=yes",
        f"ConnectTimeout={limits.connect_seconds}",
        f"ServerAliveInterval={max(1, limits.idle_seconds // 2)}",
        "ServerAliveCountMax=2",
        "ForwardAgent=no",
        "PermitLocalCommand=no",
    )
