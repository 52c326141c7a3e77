"""Fetches only what is new: asks in this process first, which takes less than to run git."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from towline.errors import RemoteUnavailable
from towline.model import Revision
from towline.remotes.cache import Cache
from towline.remotes.fetcher import Fetcher, FetchRequest, RefMissing, Unexplained
from towline.remotes.url import WantedRef


class AskingFetcher:
    """A `Fetcher` that lists a ref which was fetched before, and fetches it if it has moved.

    Only HTTP is asked, and not where the addresses to connect to are given, which dulwich ignores.
    A proxy is known to git alone: where asking fails to connect, git fetches.
    """

    def __init__(self, git: Fetcher, *, asks: Fetcher, cache: Cache) -> None:
        self._git = git
        self._asks = asks
        self._cache = cache

    def refs(self, names: Sequence[str], request: FetchRequest) -> Mapping[str, str]:
        return self._git.refs(names, request)

    def head(self, request: FetchRequest) -> str | None:
        return self._git.head(request)

    def fetch(self, wanted: WantedRef, request: FetchRequest) -> Revision:
        unchanged = self._unchanged(wanted, request)
        return self._git.fetch(wanted, request) if unchanged is None else unchanged

    def _unchanged(self, wanted: WantedRef, request: FetchRequest) -> Revision | None:
        """Return the commit of a ref that was fetched before, unless it has moved."""
        address = request.url.address
        tips = {name: self._cache.tip(self._cache.tip_name(address, name)) for name in wanted.names}
        if not any(tips.values()) or not request.url.is_http or request.addresses:
            return None
        try:
            found = self._asks.refs(wanted.names, request)
        except (RemoteUnavailable, Unexplained):
            return None
        if (chosen := wanted.choose(found)) is None:
            raise RefMissing
        name, revision = chosen
        return revision if revision == tips[name] else None
