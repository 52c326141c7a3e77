"""How child processes run: which git, without configuration and prompts, within limits."""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache

from towline.limits import Limits

DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin"
OLDEST = (2, 31)
"""The first version that reads settings from variables, as the closed environment requires."""
_ALLOC_BYTES = 512 * 1024 * 1024
"""The most that git may allocate at once to read the cache; a fetch has its own limit."""
_OTHER_FILES = 1024 * 1024
"""The size of a pack's index beside a pack at its limit."""

# The variables of the caller's environment that git and ssh get; no others.
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
    """Return the git executable on the PATH, if it is new enough."""
    found = shutil.which("git", path=environment.get("PATH", DEFAULT_PATH))
    return found if found is not None and git_version(found) >= OLDEST else None


@lru_cache(maxsize=8)
def git_version(executable: str) -> tuple[int, ...]:
    """Return the first two numbers of a git executable's version; () where it prints none."""
    try:
        output = subprocess.run([executable, "version"], capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ()
    match = re.search(rb"(\d+)\.(\d+)", output)
    return (int(match[1]), int(match[2])) if match else ()


def closed_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the configuration of the user and the system, or prompts."""
    passed = {name: environment[name] for name in _PASSED if name in environment}
    if "SSL_CERT_FILE" in passed:  # git's curl ignores it
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
    """Return ssh's ``-o`` options: no prompts, and time limits."""
    return (
        "BatchMode=yes",
        f"ConnectTimeout={limits.connect_seconds}",
        f"ServerAliveInterval={max(1, limits.idle_seconds // 2)}",
        "ServerAliveCountMax=2",
        "ForwardAgent=no",
        "PermitLocalCommand=no",
    )


def restrict(pid: int, limits: Limits) -> None:
    """Limit a child process and its children in memory, processor time and file size.

    Does nothing where the system cannot (macOS). Memory counts without mapped files, up to five
    eighths of ``memory_bytes``: the children of a fetch share it with this process.
    """
    if not hasattr(resource, "prlimit"):
        return
    memory = max(limits.memory_bytes * 5 // 8, 3 * limits.asset_bytes)
    for what, bound in (
        (resource.RLIMIT_DATA, memory),
        (resource.RLIMIT_CPU, limits.total_seconds),
        (resource.RLIMIT_FSIZE, limits.pack_bytes + _OTHER_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        with suppress(OSError):  # the child has ended
            _, hard = resource.prlimit(pid, what)
            most = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
            resource.prlimit(pid, what, (most, most))
