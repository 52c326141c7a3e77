"""What every backend needs to talk to a remote: address, credential, limits, watch, counters."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from towline.errors import InvalidValue, RedirectRefused
from towline.limits import Limits
from towline.model import Revision
from towline.ports import Traffic, Watch

from .credentials import Credential, Credentials
from .refs import WantedRef
from .url import RemoteUrl, Scheme

MAX_DETAIL = 300
MAX_REDIRECTS = 3
HEARD_BYTES = 512
"""How much of a remote's last words is kept."""


def cleaned(text: str) -> str:
    """Remote text fit to be shown: one line, printable, short."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= MAX_DETAIL else line[: MAX_DETAIL - 1] + "…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """One talk with a remote, bounded and watched."""

    url: RemoteUrl
    credential: Credential | None
    """For ``url.origin``, and to be sent nowhere else."""
    limits: Limits
    watch: Watch
    traffic: Traffic
    addresses: tuple[str, ...] = ()
    """The IP addresses that its host is reached at, and no others; empty: as it resolves."""


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

    def refs(self, wanted: WantedRef, talk: Conversation) -> Mapping[str, str]:
        """The remote's refs of these names and the peeled tags, by full name; or all its refs."""
        ...

    def head(self, talk: Conversation) -> str | None:
        """The branch that the remote's HEAD names, in full; None where it has none."""
        ...

    def fetch(self, wanted: WantedRef, talk: Conversation, depth: int | None) -> Revision:
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
        where = f" to {match[1]}" if match else ""
        return cleaned(f"it redirects{where}, which is not followed; use the new address")


_LOCATION = re.compile(r"(.*?)/info/refs(?:\?.*)?$", re.DOTALL)


def first_line(lines: Sequence[str]) -> str:
    """The first line that says something, cleaned."""
    return next((cleaned(line) for line in lines if line.strip()), "")
