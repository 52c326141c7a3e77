"""Owns which bearer tokens are good: JWTs of one issuer for one audience, signed in one way.

The way is the operator's choice and never the token's: either HS256 with a shared secret, or RS256
with the public keys of a JWKS. All of exp, iat, aud, iss and sub are required.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import jwt

from towline_server.errors import Unauthenticated

from .clock import Clock, epoch

REQUIRED = ("exp", "iat", "aud", "iss", "sub")
LONGEST = 8192
"""Characters of a token that are looked at: headers are bounded anyway, parsing is not free."""


class KeySource(Protocol):
    """Where the key of a token comes from; it decides the algorithm too."""

    @property
    def algorithm(self) -> str:
        """The one algorithm that these keys are for."""
        ...

    def key(self, key_id: str | None) -> Any:
        """The key of this id, or None."""
        ...


@dataclass(frozen=True, slots=True)
class SharedSecret:
    """HS256: issuer and server hold the same secret."""

    secret: bytes = field(repr=False)
    algorithm: str = field(default="HS256", init=False)

    def key(self, key_id: str | None) -> bytes:
        """The secret, whatever the token calls it."""
        del key_id
        return self.secret


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenVerifier:
    """Takes a token apart and tells whose it is."""

    keys: KeySource
    issuer: str
    audience: str
    leeway_seconds: int = 10
    clock: Clock = epoch

    def subject(self, token: str) -> str:
        """The ``sub`` of a good token.

        Raises:
            Unauthenticated: it is not signed as it must be, lacks a claim, or its time has passed.
        """
        claims = self._claims(token)
        self._check_times(claims)
        subject = claims["sub"]
        if not isinstance(subject, str) or not subject:
            raise _refused("the token names nobody")
        return subject

    def _claims(self, token: str) -> Mapping[str, Any]:
        if len(token) > LONGEST:
            raise _refused("the token is too long")
        try:
            header = jwt.get_unverified_header(token)
            key = self.keys.key(_text(header.get("kid"))) if not header.get("crit") else None
            if key is None:
                raise _refused("the token's key is unknown")
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
            # What exactly is wrong would help nobody but a forger.
            raise _refused("the token is not valid") from None
        return claims

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now = self.clock()
        if _time(claims, "exp") <= now - self.leeway_seconds:
            raise _refused("the token has expired")
        for name in ("iat", "nbf"):
            if name in claims and _time(claims, name) > now + self.leeway_seconds:
                raise _refused("the token is not valid yet")


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e12:
        raise _refused("the token is not valid")
    return value


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _refused(problem: str) -> Unauthenticated:
    return Unauthenticated(problem=problem)
