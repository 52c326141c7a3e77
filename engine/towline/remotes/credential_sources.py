"""Sources of credentials for HTTP remotes: an environment, netrc, git's credential helpers.

Nothing here reads the environment or the home directory by itself: callers pass mappings, paths
and executables.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from towline.remotes.credentials import TOKEN_USERNAME, Credential
from towline.remotes.url import RemoteUrl

Credentials: TypeAlias = Callable[[RemoteUrl], Credential | None]
"""Returns the credential for a URL, or None. Called for HTTP alone; ssh has its agent."""


def fixed(credential: Credential) -> Credentials:
    """Return a source of one credential for every URL."""
    return lambda _url: credential


def first_of(*sources: Credentials) -> Credentials:
    """Return a source of the first credential that the sources find, in this order."""

    def find(url: RemoteUrl) -> Credential | None:
        return next((found for source in sources if (found := source(url)) is not None), None)

    return find


def from_mapping(variables: Mapping[str, str]) -> Credentials:
    """Return a source of TOWLINE_TOKEN, or TOWLINE_USERNAME and TOWLINE_PASSWORD."""

    def find(_url: RemoteUrl) -> Credential | None:
        username = variables.get("TOWLINE_USERNAME", "")
        if token := variables.get("TOWLINE_TOKEN"):
            return Credential(username or TOKEN_USERNAME, token, "TOWLINE_TOKEN")
        if password := variables.get("TOWLINE_PASSWORD"):
            return Credential(username, password, "TOWLINE_PASSWORD")
        return None

    return find


def from_netrc(path: Path) -> Credentials:
    """Return a source of the host's entry in a netrc file; a missing or malformed file has none."""

    def find(url: RemoteUrl) -> Credential | None:
        if not path.exists():
            return None
        import netrc

        try:
            entry = netrc.netrc(path).authenticators(url.host)
        except (netrc.NetrcParseError, OSError, UnicodeDecodeError):
            return None
        if entry is None:
            return None
        login, _, password = entry
        return Credential(login or "", password or "", str(path))

    return find


def from_git_credential(
    executable: str, environment: Mapping[str, str], seconds: float = 30.0
) -> Credentials:
    """Return a source that runs ``git credential fill`` without prompts.

    The user's own configuration names the helpers, so the environment is passed on as it is. A
    helper that fails or takes longer than ``seconds`` has no credential.
    """
    no_prompts = {
        **environment,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS": "",
        "GCM_INTERACTIVE": "never",
    }

    def find(url: RemoteUrl) -> Credential | None:
        place = url.host if url.port is None else f"{url.host}:{url.port}"
        query = f"protocol={url.scheme}\nhost={place}\npath={url.path.lstrip('/')}\n\n"
        try:
            result = subprocess.run(
                [executable, "-c", "core.askPass=", "credential", "fill"],
                input=query.encode(),
                env=no_prompts,
                cwd="/",  # the configuration of the caller's repository does not apply
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=seconds,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return _parse_filled(result.stdout) if result.returncode == 0 else None

    return find


def _parse_filled(output: bytes) -> Credential | None:
    text = output.decode("utf-8", "replace")
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    if not values.get("password"):
        return None
    return Credential(values.get("username", ""), values["password"], "git's credential helper")
