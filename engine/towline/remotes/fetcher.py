"""What every backend needs to talk to a remote: address, credential, limits, watch, counters."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from towline.errors import InvalidValue, LimitExceeded, RedirectRefused, RemoteTimeout
from towline.limits import Limits
from towline.model import Revision
from towline.ports import Traffic, Watch
from towline.remotes.credentials import Credential, Credentials
from towline.remotes.refs import WantedRef
from towline.remotes.secrets import repeats
from towline.remotes.url import RemoteUrl, Scheme

MAX_DETAIL = 300
MAX_REDIRECTS = 3
HEARD_BYTES = 4096
"""How much of a remote's last words is kept."""
_WITHHELD = "what the remote says is not shown, because it repeats the credentials"


def cleaned(text: str) -> str:
    """Remote text fit to be shown: one line, printable, short."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= MAX_DETAIL else line[: MAX_DETAIL - 1] + "…"


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchRequest:
    """One talk with a remote, bounded and watched."""

    url: RemoteUrl
    credential: Credential | None
    """For ``url.origin``, and to be sent nowhere else."""
    limits: Limits
    watch: Watch
    traffic: Traffic
    addresses: tuple[str, ...] = ()
    """The IP addresses that its host is reached at, and no others; empty: as it resolves."""
    deadline: float = math.inf
    """When all of it must have ended, on the monotonic clock."""

    def check(self) -> None:
        """Stop here if the caller asked to, or if the time is over.

        Raises:
            Cancelled: the caller asked to stop.
            RemoteTimeout: the total time is over.
        """
        self.watch.check()
        if time.monotonic() > self.deadline:
            detail = f"did not end within {self.limits.total_seconds} s"
            raise RemoteTimeout(url=self.url.shown, detail=detail)

    def cleaned(self, text: str) -> str:
        """Text that may be the remote's, fit to be shown: one line, short, no credential in it."""
        return _WITHHELD if repeats(text, self.credential) else cleaned(text)

    def quoted(self, text: str) -> str:
        """What the remote said, marked as its own words; empty where it said nothing."""
        words = self.cleaned(text)
        if not words or words is _WITHHELD:
            return words
        return 'the remote says "' + words.replace('"', "'") + '"'


Resolver: TypeAlias = "Callable[[RemoteUrl], tuple[str, ...]]"
"""Tells at which IP addresses a host may be reached, or raises a RemoteError; () leaves it open."""


class PackTooLarge(Exception):
    """The pack is above the limit; a shallow one may not be."""


class Redirected(Exception):
    """The remote answered with a redirect, which was not followed."""

    def __init__(self, target: str) -> None:
        super().__init__()
        self.target = target


class Fetcher(Protocol):
    """The half of a backend that talks; it writes into the cache.

    Any method may raise the remote errors, `Redirected`, and Cancelled.
    """

    def refs(self, wanted: WantedRef, talk: FetchRequest) -> Mapping[str, str]:
        """The remote's refs of these names and the peeled tags, by full name; or all its refs."""
        ...

    def head(self, talk: FetchRequest) -> str | None:
        """The branch that the remote's HEAD names, in full; None where it has none."""
        ...

    def fetch(self, wanted: WantedRef, talk: FetchRequest, depth: int | None) -> Revision:
        """Bring what the ref names into the cache, with its history or ``depth`` of it.

        Raises:
            PackTooLarge: what arrived is above the limit; nothing of it was kept.
        """
        ...


@dataclass
class Addresses:
    """Where the remote really is: follows redirects within the origin, and refuses all others."""

    url: RemoteUrl
    embedded: Credential | None
    sources: Credentials | None
    current: RemoteUrl = field(init=False)

    def __post_init__(self) -> None:
        self.current = self.url

    def credential(self) -> Credential | None:
        """The credential for the current address; one from the URL stays with its origin."""
        if not self.current.is_http:
            return None
        found = self.sources(self.current) if self.sources is not None else None
        if found is not None:
            return found
        return self.embedded if self.current.origin == self.url.origin else None

    def follow(self, target: str) -> None:
        """Go where a redirect points.

        Raises:
            RedirectRefused: to another host or port, or off encryption.
        """
        match = _LOCATION.match(target)
        moved = self._moved(match[1] if match else target)
        if moved is None:
            raise RedirectRefused(url=self.url.shown, detail=self._refusal(target))
        self.current = moved

    def _moved(self, target: str) -> RemoteUrl | None:
        if target.startswith("/") and not target.startswith("//"):
            base = re.match(r"[a-z]+://[^/]+", self.current.address)
            target = f"{base[0]}{target}" if base else target
        if not target.startswith(("http://", "https://")):
            return None
        try:
            moved = RemoteUrl.parse(target)
        except InvalidValue:
            return None
        old, new = self.current.origin, moved.origin
        upgraded = (old.scheme, old.port, new.scheme, new.port) == (
            Scheme.HTTP,
            80,
            Scheme.HTTPS,
            443,
        )
        return moved if old == new or (old.host == new.host and upgraded) else None

    def _refusal(self, target: str) -> str:
        match = re.match(r"[a-z]+://(?:[^/@]*@)?([^/?#@]*)", target)
        hidden = match is None or repeats(target, self.credential())
        where = f" to {match[1]}" if match and not hidden else ""
        return cleaned(f"it redirects{where}, which is not followed; use the new address")


_LOCATION = re.compile(r"(.*?)/info/refs(?:\?.*)?$", re.DOTALL)


def too_many_refs(limit: str, allowed: int, found: int) -> LimitExceeded:
    """The error for a remote that sends more before a pack than it may."""
    return LimitExceeded(limit=limit, allowed=allowed, found=found, subject="what the remote lists")
