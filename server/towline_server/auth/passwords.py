"""Passwords: argon2id, a brief memory of good ones, and a bound on wrong ones.

Verifying takes about 0.14 s and 64 MiB. So what was verified is remembered for a short while, as a
digest keyed by a secret of this process, and only a few verifications run side by side. Memory and
counts are this process's own: two servers allow twice the failures.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import BoundedSemaphore, Lock

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from towline_server.errors import TooManyRequests
from towline_server.recent import Recent

MOST_REMEMBERED = 10_000
SIDE_BY_SIDE = 4


@dataclass(slots=True)
class _Failures:
    since: float
    count: int = 0


@dataclass(slots=True)
class FailureLimit:
    """Counts attempts that failed within a window, by any text; old ones are forgotten."""

    allowed: int
    window_seconds: float
    clock: Callable[[], float] = time.monotonic
    _failures: Recent[str, _Failures] = field(
        default_factory=lambda: Recent(MOST_REMEMBERED), init=False
    )
    _lock: Lock = field(default_factory=Lock, init=False)

    def begin(self, who: str) -> None:
        """Count an attempt before it is made, so that attempts side by side count too.

        Raises:
            TooManyRequests: the window is full of failures.
        """
        now = self.clock()
        with self._lock:
            seen = self._failures.get(who)
            if seen is None or now - seen.since >= self.window_seconds:
                seen = _Failures(since=now)
            self._failures[who] = seen
            if seen.count >= self.allowed:
                wait = seen.since + self.window_seconds - now
                raise TooManyRequests(retry_after=max(1, int(wait) + 1))
            seen.count += 1

    def succeeded(self, who: str) -> None:
        """Take the attempt back: it was none."""
        with self._lock:
            if (seen := self._failures.get(who)) is not None and seen.count:
                seen.count -= 1


@dataclass(slots=True, kw_only=True)
class Passwords:
    """Hashes and verifies passwords."""

    cache_seconds: float = 60.0
    clock: Callable[[], float] = time.monotonic
    hasher: PasswordHasher = field(default_factory=PasswordHasher)
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32), init=False, repr=False)
    _known: Recent[bytes, float] = field(
        default_factory=lambda: Recent(MOST_REMEMBERED), init=False, repr=False
    )
    _lock: Lock = field(default_factory=Lock, init=False)
    _turns: BoundedSemaphore = field(
        default_factory=lambda: BoundedSemaphore(SIDE_BY_SIDE), init=False
    )
    _unknown: str = field(default="", init=False, repr=False)

    def prepare(self) -> None:
        """Make the hash that unknown accounts are verified against, before one is needed."""
        self._unknown = self._unknown or self.hash(secrets.token_urlsafe(16))

    def hash(self, password: str) -> str:
        """Return the hash of a password that the database stores."""
        with self._turns:
            return self.hasher.hash(password)

    def is_remembered(self, stored: str | None, password: str) -> bool:
        """Whether this password was verified against this hash a short while ago."""
        if stored is None:
            return False
        digest = self._digest(stored, password)
        with self._lock:
            return self._known.get(digest, float("-inf")) > self.clock()

    def verify(self, stored: str | None, password: str) -> bool:
        """Whether the password is right; it takes as long where there is no such account."""
        if self.is_remembered(stored, password):
            return True
        self.prepare()
        good = self._matches(stored or self._unknown, password) and stored is not None
        if good and stored is not None:
            self._remember(self._digest(stored, password))
        return good

    def _matches(self, stored: str, password: str) -> bool:
        with self._turns:
            try:
                return self.hasher.verify(stored, password)
            except (VerificationError, InvalidHashError):
                return False

    def _digest(self, stored: str, password: str) -> bytes:
        # The stored hash is part of it: a changed password is forgotten at once.
        text = f"{stored}\0{password}".encode("utf-8", "replace")
        return hmac.new(self._key, text, hashlib.sha256).digest()

    def _remember(self, digest: bytes) -> None:
        with self._lock:
            self._known[digest] = self.clock() + self.cache_seconds
