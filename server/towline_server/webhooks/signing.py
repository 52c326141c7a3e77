"""Owns how a message is signed: the symmetric scheme of Standard Webhooks 1.0.0.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import hmac
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime

_PREFIX = "whsec_"
_SECRET_BYTES = 32


def new_secret() -> str:
    """A new signing secret, as its receiver is shown it."""
    return _PREFIX + b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def signature(secret: str, message_id: str, timestamp: int, payload: bytes) -> str:
    """The signature of one secret, with its version; ``timestamp`` is in seconds."""
    key = b64decode(secret.removeprefix(_PREFIX))
    signed = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + payload, "sha256")
    return f"v1,{b64encode(signed).decode()}"


def headers(
    keys: Sequence[str], message_id: str, at: datetime, payload: bytes
) -> Mapping[str, str]:
    """The headers of an attempt at a moment; who knows any of the secrets can verify it."""
    timestamp = int(at.timestamp())
    signatures = [signature(key, message_id, timestamp, payload) for key in keys]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }
