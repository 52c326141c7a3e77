"""API keys and tokens of sessions: how one is made, and what is stored of it to check it."""

from __future__ import annotations

import hashlib
import secrets

KEY_PREFIX = "twl_"
KEY_HINT_LENGTH = 8
"""The start of a key, for people to recognise theirs: 24 of its 256 bits."""


def new_key() -> str:
    """Return a new key, of 256 random bits."""
    return KEY_PREFIX + new_token()


def new_token() -> str:
    """Return a new token of a session, of 256 random bits."""
    return secrets.token_urlsafe(32)


def stored_hash(secret: str) -> str:
    """Return what is stored of a key or token: it is random, so a fast hash is good enough."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
