"""RS256 keys from a JWKS (RFC 7517): a file, or an address that is asked again for a new key."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TypeAlias

import httpx2
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from towline_server.errors import Unavailable

from .clock import Clock, monotonic

LEAST_BITS = 2048
FRESH_SECONDS = 300.0
"""How long keys are used before they are fetched again: a withdrawn key lives no longer."""
LEAST_PAUSE_SECONDS = 30.0
"""Between two fetches: made-up key ids must not turn this server against the issuer's."""
MOST_BYTES = 256 * 1024

Fetch: TypeAlias = Callable[[], bytes]


def from_file(path: Path) -> Fetch:
    """Reads the keys from a file."""
    return path.read_bytes


def from_url(url: str) -> Fetch:
    """Asks an address for the keys; redirects are not followed."""

    def fetch() -> bytes:
        with httpx2.stream("GET", url, timeout=5.0, follow_redirects=False) as answer:
            if answer.status_code != 200:
                raise ValueError(f"status {answer.status_code}")
            body = b""
            for part in answer.iter_bytes():
                body += part
                if len(body) > MOST_BYTES:
                    raise ValueError("too large")
            return body

    return fetch


@dataclass(slots=True)
class KeySet:
    """The RSA keys of a JWKS, kept for a while."""

    fetch: Fetch
    clock: Clock = monotonic
    algorithm: str = field(default="RS256", init=False)
    _keys: Mapping[str | None, RSAPublicKey] = field(default_factory=dict, init=False)
    _fetched: float | None = field(default=None, init=False)
    _tried: float | None = field(default=None, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    def key(self, key_id: str | None) -> RSAPublicKey | None:
        """The key of this id; without an id, the only key there is.

        Raises:
            Unavailable: there are no usable keys, and none can be had now.
        """
        with self._lock:
            if self._is_old() or (key_id is not None and key_id not in self._keys):
                self._refresh()
            if key_id is None:
                return next(iter(self._keys.values())) if len(self._keys) == 1 else None
            return self._keys.get(key_id)

    def _is_old(self) -> bool:
        return self._fetched is None or self.clock() - self._fetched >= FRESH_SECONDS

    def _refresh(self) -> None:
        now = self.clock()
        if self._tried is None or now - self._tried >= LEAST_PAUSE_SECONDS:
            self._tried = now
            # Where this fails, the keys at hand go on until they are old, and no longer.
            with suppress(OSError, ValueError, httpx2.HTTPError):
                self._keys, self._fetched = parse(self.fetch()), now
        if self._is_old():
            raise Unavailable(problem="the keys that verify tokens cannot be had now")


def parse(document: bytes) -> Mapping[str | None, RSAPublicKey]:
    """The RSA signature keys of a JWKS, by their id; all others are passed over.

    Raises:
        ValueError: it is no JWKS.
    """
    value = json.loads(document)
    listed = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(listed, list):
        raise ValueError("no keys")
    found = {}
    for entry in listed:
        if isinstance(entry, dict) and (key := _public_key(entry)) is not None:
            key_id = entry.get("kid")
            found[key_id if isinstance(key_id, str) else None] = key
    return found


def _public_key(entry: Mapping[str, object]) -> RSAPublicKey | None:
    if entry.get("kty") != "RSA" or entry.get("use", "sig") != "sig":
        return None
    if entry.get("alg", "RS256") != "RS256":
        return None
    try:
        key = jwt.PyJWK.from_dict(dict(entry), algorithm="RS256").key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    # A private key in a JWKS is someone's mistake; it is no reason to trust what it signs.
    return key if isinstance(key, RSAPublicKey) and key.key_size >= LEAST_BITS else None
