"""Snapshots of a source, taken in this process, and what is in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from towline.limits import Limits
from towline.model import Revision
from towline.ports import Watch
from towline.remotes.credentials import Credential
from towline.remotes.url import ALL_SCHEMES, RemoteUrl, WantedRef
from towline.testing.git_repository import run_git
from towline_server.addresses import AddressPolicy
from towline_server.sources.config import check_config
from towline_server.sources.fetch import SourceRemote

LOOPBACK = ("127.0.0.0/8",)


@dataclass
class Reader:
    """A source and its cache."""

    provider: str
    url: str
    cache: Path
    config: Mapping[str, Any] = field(default_factory=dict)
    credential: Credential | None = None
    networks: tuple[str, ...] = LOOPBACK
    limits: Limits = Limits(total_seconds=60)

    def fetch(self, wanted: str = "heads/main") -> Revision:
        """Take a snapshot."""
        remote = SourceRemote(
            provider=self.provider,
            config=check_config(self.provider, self.config),
            url=RemoteUrl.parse(self.url, ALL_SCHEMES),
            credential=self.credential,
            cache=self.cache,
            policy=AddressPolicy.parse(self.networks),
        )
        return remote.fetch(WantedRef.parse(wanted), self.limits, Watch())

    def files(self) -> dict[str, bytes]:
        """Take a snapshot, and return what is in it."""
        return self.at(self.fetch())

    def at(self, revision: Revision) -> dict[str, bytes]:
        """Return what is in a snapshot, as git reads it."""
        names = self.git("ls-tree", "-r", "-z", "--name-only", revision).split(b"\0")[:-1]
        return {name.decode(): self.git("show", f"{revision}:{name.decode()}") for name in names}

    def git(self, *arguments: str) -> bytes:
        return run_git(self.cache, *arguments)
