"""Credentials for HTTP: values that hide themselves, and the places they come from.

Nothing here looks into the environment or the home directory by itself: callers pass mappings,
paths and executables.
"""

from __future__ import annotations

import netrc
import subprocess
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from towline.remotes.url import RemoteUrl

TOKEN_USERNAME = "x-access-token"  # noqa: S105 - what hosts take for "the password is a token"


@dataclass(frozen=True, slots=True)
class Credential:
    """A user name and a password or token."""

    username: str = field(repr=False)
    """Hidden as well: some hosts take a token here."""
    password: str = field(repr=False)
    source: str = field(default="", compare=False)
    """Where it comes from, for messages: ``TOWLINE_TOKEN``, ``the URL``; empty where unknown."""

    @property
    def basic(self) -> str:
        """The value of an HTTP Authorization header."""
        return "Basic " + b64encode(f"{self.username}:{self.password}".encode()).decode()


Credentials: TypeAlias = "Callable[[RemoteUrl], Credential | None]"
"""Tells the credential for an address, or None. Asked for HTTP alone; ssh has its agent."""


def fixed(credential: Credential) -> Credentials:
    """The same credential for whatever the caller connects to."""
    return lambda _url: credential


def first_of(*sources: Credentials) -> Credentials:
    """The first credential that one of the sources knows, in this order."""

    def find(url: RemoteUrl) -> Credential | None:
        return next((found for source in sources if (found := source(url)) is not None), None)

    return find


def from_mapping(variables: Mapping[str, str]) -> Credentials:
    """TOWLINE_TOKEN, or TOWLINE_USERNAME and TOWLINE_PASSWORD, as in an environment."""

    def find(_url: RemoteUrl) -> Credential | None:
        username = variables.get("TOWLINE_USERNAME", "")
        if token := variables.get("TOWLINE_TOKEN"):
            return Credential(username or TOKEN_USERNAME, token, "TOWLINE_TOKEN")
        if password := variables.get("TOWLINE_PASSWORD"):
            return Credential(username, password, "TOWLINE_PASSWORD")
        return None

    return find


def from_netrc(path: Path) -> Credentials:
    """The entry of the host in a netrc file; one that is not there, or malformed, has none."""

    def find(url: RemoteUrl) -> Credential | None:
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
    """What ``git credential fill`` knows without asking anybody.

    The user's own configuration names the helpers, so the environment is passed on as it is, but
    nothing may prompt. A helper that fails or hangs knows nothing.
    """
    quiet = {
        **environment,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS": "",
        "GCM_INTERACTIVE": "never",
    }

    def find(url: RemoteUrl) -> Credential | None:
        place = url.host if url.port is None else f"{url.host}:{url.port}"
        asked = f"protocol={url.scheme}\nhost={place}\npath={url.path.lstrip('/')}\n\n"
        try:
            answer = subprocess.run(
                [executable, "-c", "core.askPass=", "credential", "fill"],
                input=asked.encode(),
                env=quiet,
                cwd="/",  # a repository that the caller stands in has no say
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=seconds,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return _filled(answer.stdout) if answer.returncode == 0 else None

    return find


def _filled(output: bytes) -> Credential | None:
    text = output.decode("utf-8", "replace")
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    if not values.get("password"):
        return None
    return Credential(values.get("username", ""), values["password"], "git's credential helper")
