"""What every backend fetches with: the request, its bounds, its repetition, and the address."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias, TypeVar

from towline.errors import (
    InvalidValue,
    RedirectRefused,
    RemoteError,
    RemoteRefused,
    RemoteTimeout,
    UnsupportedRemote,
)
from towline.remotes.credentials import Credential, repeats
from towline.remotes.url import RemoteUrl, Scheme, WantedRef

if TYPE_CHECKING:
    from towline.limits import Limits
    from towline.model import Revision
    from towline.ports import Traffic, Watch
    from towline.remotes.cache import Cache
    from towline.remotes.credentials import Credentials

E = TypeVar("E", bound=RemoteError)
T = TypeVar("T")
MAX_DETAIL = 300
MAX_REDIRECTS = 3
_LOCATION = re.compile(r"(.*?)/info/refs(?:\?.*)?$", re.DOTALL)
SHA256 = "it has sha256 objects, which towline does not support"
ADVERTISED = "the remote's refs"
_WITHHELD = "what the remote says is not shown, because it repeats the credentials"


def cleaned(text: str) -> str:
    """Return remote text as one short, printable line."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= MAX_DETAIL else line[: MAX_DETAIL - 1] + "…"


class FetchRequest(NamedTuple):
    """One attempt to list refs or to fetch: where, and within which bounds."""

    url: RemoteUrl
    credential: Credential | None
    """For ``url.origin`` alone."""
    limits: Limits
    watch: Watch
    traffic: Traffic
    addresses: tuple[str, ...] = ()
    """The only IP addresses to connect to; empty: as the host name resolves."""
    deadline: float = math.inf
    """The end of the total time, on the monotonic clock."""
    depth: int | None = None
    """How many commits of history to fetch; None: all."""

    def check(self) -> None:
        """Raise if the caller cancelled, or if the total time is over.

        Raises:
            Cancelled: the caller cancelled.
            RemoteTimeout: the total time is over.
        """
        self.watch.check()
        if time.monotonic() > self.deadline:
            detail = f"did not end within {self.limits.total_seconds} s"
            raise self.error(RemoteTimeout, detail)

    def error(self, kind: type[E], detail: str = "") -> E:
        """Return an error of this remote."""
        return kind(url=self.url.address, detail=detail)

    def refs(self, found: Iterable[tuple[str, str]]) -> dict[str, str]:
        """Return the ids of refs by name.

        Raises:
            LimitExceeded: there are more than the limits allow.
            UnsupportedRemote: the ids are of sha256.
        """
        refs = dict(found)
        if len(refs) > self.limits.refs:
            raise self.limits.exceeded("refs", len(refs), ADVERTISED)
        if any(len(oid) != 40 for oid in refs.values()):
            raise self.error(UnsupportedRemote, SHA256)
        return refs

    def cleaned(self, text: str) -> str:
        """Return text that may be the remote's as one short line without the credential."""
        return _WITHHELD if repeats(text, self.credential) else cleaned(text)

    def quoted(self, text: str) -> str:
        """Return a message of the remote, marked as its own; empty if it is empty."""
        message = self.cleaned(text)
        if not message or message is _WITHHELD:
            return message
        return 'the remote says "' + message.replace('"', "'") + '"'


AddressResolver: TypeAlias = "Callable[[RemoteUrl], tuple[str, ...]]"
"""Returns the IP addresses to connect to, or raises a RemoteError; () leaves it to the system."""


class PackTooLarge(Exception):
    """The pack exceeds the limit; a shallow one may not."""


class Redirected(Exception):
    """The remote responded with a redirect, which was not followed."""

    def __init__(self, target: str) -> None:
        super().__init__()
        self.target = target


class RefMissing(Exception):
    """The remote has no ref or commit of this name."""


class Unexplained(Exception):
    """The fetch failed for no reason that the remote reports; the cache may be damaged."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Fetcher(Protocol):
    """Lists the refs of a remote, and fetches into the cache.

    Any method may raise the remote errors, `Redirected`, `Unexplained`, and Cancelled.
    """

    def refs(self, names: Sequence[str], request: FetchRequest) -> Mapping[str, str]:
        """Return the refs of these names and their peeled tags, and maybe others; of none, all."""
        ...

    def head(self, request: FetchRequest) -> str | None:
        """Return the full name of the branch that HEAD points to, if any."""
        ...

    def fetch(self, wanted: WantedRef, request: FetchRequest) -> Revision:
        """Fetch a ref into the cache, and return its commit.

        Raises:
            RefMissing: the remote does not have it.
            PackTooLarge: the pack exceeds the limit; nothing of it is in the cache.
        """
        ...


@dataclass(eq=False, repr=False)
class RemoteAddress:
    """The remote's address: follows redirects within the origin, and refuses all others."""

    url: RemoteUrl
    embedded: Credential | None
    sources: Credentials | None
    resolver: AddressResolver | None = None
    current: RemoteUrl = field(init=False)

    def __post_init__(self) -> None:
        self.current = self.url

    def credential(self) -> Credential | None:
        """Return the credential for the current address; the URL's own is for its origin alone."""
        if not self.current.is_http:
            return None
        found = self.sources(self.current) if self.sources is not None else None
        if found is not None:
            return found
        return self.embedded if self.current.origin == self.url.origin else None

    def addresses(self) -> tuple[str, ...]:
        """Return the only IP addresses to connect to; empty: as the host name resolves."""
        return () if self.resolver is None else self.resolver(self.current)

    def follow(self, target: str) -> None:
        """Change to the target of a redirect.

        Raises:
            RedirectRefused: it is another host or port, or not encrypted any more.
        """
        match = _LOCATION.match(target)
        moved = self._moved(match[1] if match else target)
        if moved is None:
            raise RedirectRefused(url=self.url.address, detail=self._refusal(target))
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
        to_https = (old.port, new.scheme, new.port) == (80, Scheme.HTTPS, 443)
        upgraded = old.scheme is Scheme.HTTP and to_https
        return moved if old == new or (old.host == new.host and upgraded) else None

    def _refusal(self, target: str) -> str:
        match = re.match(r"[a-z]+://(?:[^/@]*@)?([^/?#@]*)", target)
        hidden = match is None or repeats(target, self.credential())
        where = f" to {match[1]}" if match and not hidden else ""
        return cleaned(f"it redirects{where}, which is not followed; use the new address")


class Requests(NamedTuple):
    """The requests of one remote; `run` is the only loop that repeats one."""

    address: RemoteAddress
    cache: Cache
    traffic: Traffic

    def run(
        self,
        action: Callable[[FetchRequest], T],
        limits: Limits,
        watch: Watch,
        *,
        deadline: float | None = None,
        discard: Callable[[], None] | None = None,
    ) -> T:
        """Run a request until it succeeds; one that fetches has ``discard``, and the cache's lock.

        Each cause is limited: redirects within the origin to `MAX_REDIRECTS`; a pack that is too
        large is fetched once more without history, a cache that may be damaged once more from
        nothing, after ``discard``. All attempts share the deadline.
        """
        if deadline is None:
            deadline = time.monotonic() + limits.total_seconds
        redirects, depth, discarded = 0, None, False
        while True:
            if discard is not None:
                self.cache.sweep()
            request = FetchRequest(
                url=self.address.current,
                credential=self.address.credential(),
                limits=limits,
                watch=watch,
                traffic=self.traffic,
                addresses=self.address.addresses(),
                deadline=deadline,
                depth=depth,
            )
            try:
                return action(request)
            except Redirected as redirect:
                if redirects == MAX_REDIRECTS:
                    raise request.error(RedirectRefused, "it redirects too many times") from None
                redirects += 1
                self.address.follow(redirect.target)
            except PackTooLarge:
                if depth is not None:
                    self.cache.sweep()
                    least = limits.pack_bytes + 1
                    raise limits.exceeded("pack_bytes", least, "without history") from None
                depth = 1
            except Unexplained as failure:
                if discarded or discard is None or not self.cache.has_objects:
                    url = self.address.url.address
                    raise RemoteRefused(url=url, detail=failure.detail) from None
                discard()
                discarded = True
