"""Finds a credential in text that a remote wrote, however it is encoded or split there."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from functools import lru_cache
from html import unescape
from urllib.parse import quote, unquote

from towline.remotes.credentials import Credential

_WINDOW = 8
"""So many characters in a row of a secret are as telling as all of it: text may be cut off."""
_SHORTEST = 4
_TOKEN_LENGTH = 20
_NO_PASSWORDS = ("", "x-oauth-basic")
_ROUNDS = 3


def repeats(text: str, credential: Credential | None) -> bool:
    """Whether text holds a part of a credential: plain, Base64, hexadecimal, URL-encoded, split."""
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
    """The text as it is, and decoded; each without what separates characters."""
    for _ in range(_ROUNDS):
        yield _squashed(text)
        text = unescape(unquote("".join(c for c in text if c.isprintable() and not c.isspace())))


def _squashed(text: str) -> str:
    return "".join(c for c in text if c.isalnum()).casefold()


@lru_cache(maxsize=8)
def _needles(credential: Credential) -> frozenset[str]:
    secrets = [credential.password]
    if credential.password in _NO_PASSWORDS or len(credential.username) >= _TOKEN_LENGTH:
        secrets.append(credential.username)  # some hosts take a token there
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
        # What of Base64 does not depend on the bytes before and after.
        whole = b64encode(b"\0" * before + data).decode().rstrip("=")
        yield whole[(0, 2, 3)[before] : (before + len(data)) * 8 // 6]
