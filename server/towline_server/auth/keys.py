"""API keys: how one is made, and what is stored of it to check it."""

from __future__ import annotations

import hashlib
import secrets

KEY_PREFIX = "twl_"
KEY_HINT_LENGTH = 8
"""The start of a key, for people to recognise theirs: 24 of its 256 bits."""


def new_key() -> str:
    """Return a new key, of 256 random bits."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def key_hash(key: str) -> str:
    """Return what is stored of a key: it has 256 random bits, so a fast hash is good enough."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()
