"""API keys: made at random, shown once, stored as SHA-256 alone.

A key has 256 bits of chance in it, so a plain hash is as good as a slow one.
"""

from __future__ import annotations

import hashlib
import secrets

PREFIX = "twl_"
HINT_LENGTH = 8


def mint() -> str:
    """A new API key."""
    return PREFIX + secrets.token_urlsafe(32)


def hashed(key: str) -> str:
    """What the database keeps of a key: 64 hex digits."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def hint(key: str) -> str:
    """The start of a key, for people to tell theirs apart: 24 of its 256 bits."""
    return key[:HINT_LENGTH]
