"""How much and how often a request may ask, by the settings; a reload changes it in place."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from starlette.types import Scope

from towline_server.settings import Settings

from .middleware import TokenBuckets
from .prefixes import under


@dataclass(slots=True, kw_only=True)
class RequestLimits:
    """The limits that the middleware asks, each time anew."""

    credentials: TokenBuckets
    addresses: TokenBuckets
    settings: Settings
    work: frozenset[str] = frozenset()
    """The paths where external executors hand in what they made."""
    streamed: Mapping[str, bool] = field(default_factory=dict)
    """The prefixes below which routes read bodies as they come."""

    @classmethod
    def of(
        cls,
        settings: Settings,
        work: frozenset[str] = frozenset(),
        streamed: Collection[str] = (),
    ) -> RequestLimits:
        """The limits that these settings say, with full buckets."""
        return cls(
            credentials=TokenBuckets(settings.rate_per_second, settings.rate_burst),
            addresses=TokenBuckets(settings.address_rate_per_second, settings.address_rate_burst),
            settings=settings,
            work=work,
            streamed=dict.fromkeys(streamed, True),
        )

    def streams(self, scope: Scope) -> bool:
        """Whether the route reads the body as it comes."""
        return under(self.streamed, scope["path"], default=False)

    def body(self, scope: Scope) -> int:
        """The bytes that a request's body may have."""
        if scope["path"] in self.work:
            return self.settings.work_body_bytes
        if self.streams(scope):
            return self.settings.hook_body_bytes
        put = scope["method"] == "PUT"
        return self.settings.asset_body_bytes if put else self.settings.body_bytes

    def change(self, settings: Settings) -> None:
        """Hold to other settings from now on; what a bucket has lost stays lost."""
        self.settings = settings
        self.credentials.per_second = settings.rate_per_second
        self.credentials.burst = settings.rate_burst
        self.addresses.per_second = settings.address_rate_per_second
        self.addresses.burst = settings.address_rate_burst
