"""Bearer tokens: JWTs of one issuer for one audience, signed in one way.

The operator chooses how, never the token: either HS256 with a shared secret, or RS256 with the
public keys of a JWKS (RFC 7517): a file, or an address that is asked again for a new key. All of
exp, iat, aud, iss and sub are required.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias

import httpx2
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from towline.frozen import frozen
from towline_server.errors import Unauthenticated, Unavailable

REQUIRED = ("exp", "iat", "aud", "iss", "sub")
LONGEST = 8192
"""Characters of a token that are looked at: headers are bounded anyway, parsing is not free."""
LEAST_BITS = 2048
FRESH_SECONDS = 300.0
"""How long keys are used before they are fetched again: a withdrawn key lives no longer."""
LEAST_PAUSE_SECONDS = 30.0
"""Between two fetches: made-up key ids must not turn this server against the issuer's."""
MOST_BYTES = 256 * 1024

Fetch: TypeAlias = Callable[[], bytes]


def from_file(path: Path) -> Fetch:
    """Return a function that reads the keys from a file."""
    return path.read_bytes


def from_url(url: str) -> Fetch:
    """Return a function that requests the keys from an address; redirects are not followed."""

    def fetch() -> bytes:
        with httpx2.stream("GET", url, timeout=5.0, follow_redirects=False) as answer:
            if answer.status_code != 200:
                raise ValueError(f"status {answer.status_code}")
            return body_of(answer)

    return fetch


def body_of(answer: httpx2.Response) -> bytes:
    """Read the body of an issuer's answer. Raises ValueError: it is larger than `MOST_BYTES`."""
    body = b""
    for part in answer.iter_bytes():
        body += part
        if len(body) > MOST_BYTES:
            raise ValueError("too large")
    return body


@frozen
class SharedSecret:
    """HS256: issuer and server hold the same secret."""

    secret: bytes = field(repr=False)
    algorithm: str = field(default="HS256", init=False)

    def key(self, key_id: str | None) -> bytes:
        """Return the secret; a shared secret has no id."""
        del key_id
        return self.secret


@dataclass(slots=True)
class KeySet:
    """RS256: the RSA keys of a JWKS, cached for `FRESH_SECONDS`."""

    fetch: Fetch
    clock: Callable[[], float] = time.monotonic
    algorithm: str = field(default="RS256", init=False)
    _keys: Mapping[str | None, RSAPublicKey] = field(default_factory=dict, init=False)
    _fetched: float | None = field(default=None, init=False)
    _tried: float | None = field(default=None, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    def key(self, key_id: str | None) -> RSAPublicKey | None:
        """Return the key of this id; without an id, the only key there is.

        Raises:
            Unavailable: there are no usable keys, and none can be fetched now.
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
            raise Unavailable(problem="the keys that verify tokens cannot be fetched now")


@frozen(kw_only=True)
class TokenVerifier:
    """Verifies tokens."""

    keys: SharedSecret | KeySet
    """They decide the algorithm."""
    issuer: str
    audience: str
    leeway_seconds: int = 10
    clock: Callable[[], float] = time.time

    def subject(self, token: str) -> str:
        """Return the ``sub`` of a valid token.

        Raises:
            Unauthenticated: it is not signed as it must be, lacks a claim, or its time has passed.
        """
        return str(self.claims(token)["sub"])

    def claims(self, token: str) -> Mapping[str, Any]:
        """Return the claims of a valid token. Raises as `subject`."""
        claims = self._claims(token)
        self._check_times(claims)
        subject = claims["sub"]
        if not isinstance(subject, str) or not subject:
            raise Unauthenticated(problem="the token has no subject")
        return claims

    def _claims(self, token: str) -> Mapping[str, Any]:
        if len(token) > LONGEST:
            raise Unauthenticated(problem="the token is too long")
        try:
            header = jwt.get_unverified_header(token)
            key = self.keys.key(_text(header.get("kid"))) if not header.get("crit") else None
            if key is None:
                raise Unauthenticated(problem="the token's key is unknown")
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[self.keys.algorithm],
                audience=self.audience,
                issuer=self.issuer,
                # Times are checked below, by a clock that is given.
                options={
                    "require": list(REQUIRED),
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            # What exactly is wrong would only help a forger.
            raise Unauthenticated(problem="the token is not valid") from None
        return claims

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now = self.clock()
        if _time(claims, "exp") <= now - self.leeway_seconds:
            raise Unauthenticated(problem="the token has expired")
        for name in ("iat", "nbf"):
            if name in claims and _time(claims, name) > now + self.leeway_seconds:
                raise Unauthenticated(problem="the token is not valid yet")


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e12:
        raise Unauthenticated(problem="the token is not valid")
    return value


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def parse(document: bytes) -> Mapping[str | None, RSAPublicKey]:
    """Return the RSA signature keys of a JWKS by their id; all others are left out.

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
