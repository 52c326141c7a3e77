"""The credential for an HTTP remote: where it comes from, and its detection in a remote's text.

Nothing here reads the environment or the home directory by itself: callers pass mappings, paths
and executables. A remote may encode or split a credential that it repeats, so text is searched in
every such form.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import quote, unquote

from towline.frozen import frozen

if TYPE_CHECKING:
    from towline.remotes.url import RemoteUrl

TOKEN_USERNAME = "x-access-token"  # noqa: S105 - what hosts take for "the password is a token"
_WINDOW = 8
"""This many characters in a row reveal a secret: the text may be cut off anywhere."""
_SHORTEST = 4
_TOKEN_LENGTH = 20
_NO_PASSWORDS = ("", "x-oauth-basic")
_DECODINGS = 3


@frozen
class Credential:
    """A user name and a password or token."""

    username: str = field(repr=False)
    """Hidden as well: a host may take a token here."""
    password: str = field(repr=False)
    source: str = field(default="", compare=False)
    """Where it comes from, for messages: ``TOWLINE_TOKEN``, ``the URL``; empty where unknown."""

    @property
    def basic(self) -> str:
        """The value of the HTTP Authorization header."""
        return "Basic " + b64encode(f"{self.username}:{self.password}".encode()).decode()


def repeats(text: str, credential: Credential | None) -> bool:
    """Return whether text contains a part of a credential, in any encoding, or split."""
    if credential is None:
        return False
    needles = _needles(credential)
    sizes = {len(needle) for needle in needles}
    for form in _forms(text):
        for size in sizes:
            found = {form[at : at + size] for at in range(len(form) - size + 1)}
            if not needles.isdisjoint(found):
                return True
    return False


def _forms(text: str) -> Iterator[str]:
    """Yield the text and its decoded forms, each without separators."""
    from html import unescape

    for _ in range(_DECODINGS):
        yield _squashed(text)
        text = unescape(unquote("".join(c for c in text if c.isprintable() and not c.isspace())))


def _squashed(text: str) -> str:
    return "".join(c for c in text if c.isalnum()).casefold()


@lru_cache(maxsize=8)
def _needles(credential: Credential) -> frozenset[str]:
    secrets = [credential.password]
    if credential.password in _NO_PASSWORDS or len(credential.username) >= _TOKEN_LENGTH:
        secrets.append(credential.username)  # a host may take a token there
    found = {credential.basic.removeprefix("Basic ")}
    for secret in secrets:
        if len(secret) >= _SHORTEST:
            found.update(each for once in _encoded(secret) for each in (once, *_encoded(once)))
    squashed = (_squashed(each) for each in found)
    return frozenset(
        each[at : at + _WINDOW]
        for each in squashed
        if len(each) >= _SHORTEST
        for at in range(max(1, len(each) - _WINDOW + 1))
    )


def _encoded(secret: str) -> Iterator[str]:
    yield secret
    yield quote(secret, safe="")
    data = secret.encode()
    yield data.hex()
    for before in range(3):
        # The part of the Base64 that does not depend on the bytes before and after.
        whole = b64encode(b"\0" * before + data).decode().rstrip("=")
        yield whole[(0, 2, 3)[before] : (before + len(data)) * 8 // 6]


# --- sources --------------------------------------------------------------------------------------

Credentials: TypeAlias = "Callable[[RemoteUrl], Credential | None]"
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
        import subprocess

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
