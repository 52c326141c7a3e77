"""The credential for an HTTP remote, and its detection in text that a remote sends.

A remote may encode or split a credential that it repeats, so text is searched in every such form.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import field
from functools import lru_cache
from urllib.parse import quote, unquote

from towline.frozen import frozen

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
