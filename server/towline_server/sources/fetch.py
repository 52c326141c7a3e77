"""Fetch from a source, as `towline.remotes.git.GitRemote.fetch` does from a repository."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

from towline.errors import RefNotFound
from towline.frozen import frozen
from towline.limits import Limits
from towline.model import Revision
from towline.ports import Phase, Traffic, Watch
from towline.remotes.cache import Cache
from towline.remotes.credentials import Credential
from towline.remotes.fetcher import FetchRequest
from towline.remotes.git import GitRemote
from towline.remotes.url import RemoteUrl, WantedRef
from towline_server.addresses import AddressPolicy

from .config import SOURCES
from .ports import Source
from .snapshot import BRANCH, snapshot


@frozen(kw_only=True)
class SourceRemote:
    """A source as something to fetch from; its only ref is the branch ``main``."""

    provider: str
    config: Mapping[str, Any]
    url: RemoteUrl
    credential: Credential | None
    cache: Path
    policy: AddressPolicy

    def fetch(self, wanted: WantedRef, limits: Limits, watch: Watch) -> Revision:
        """Return the commit of what the source has now, or one that was made before.

        Raises:
            TowlineError: as `towline.ports.Remote.fetch`, and as `snapshot`.
        """
        if wanted.commit is not None:
            return self._known(wanted, wanted.commit)
        if BRANCH not in wanted.names and wanted.names != ("HEAD",):
            raise RefNotFound(url=self.url.address, ref=wanted.text, default="main")
        watch.report(Phase.FETCHING, 0)
        cache = Cache(self.cache)
        with cache.lock(watch):
            cache.sweep()
            request = FetchRequest(
                url=self.url,
                credential=self.credential,
                limits=limits,
                watch=watch,
                traffic=Traffic(),
                addresses=self.policy.resolve(self.url),
                deadline=time.monotonic() + limits.total_seconds,
            )
            with self._opened(request) as source:
                return snapshot(source, cache, self._settings(), request)

    def _known(self, wanted: WantedRef, revision: Revision) -> Revision:
        with GitRemote(self.url, cache=self.cache) as remote:
            if not remote.has(revision):
                # Snapshots are this server's own: no source can send one again.
                raise wanted.missing(self.url.address, empty=False)
        return revision

    def _opened(self, request: FetchRequest) -> AbstractContextManager[Source]:
        form = SOURCES[self.provider]
        # Named as the provider; its library is loaded where it is used.
        module = import_module(f"towline_server.sources.{self.provider}")
        opened: AbstractContextManager[Source] = module.open_source(
            form.model_validate(self.config), request
        )
        return opened

    def _settings(self) -> str:
        text = json.dumps([self.provider, self.config], sort_keys=True)
        return sha256(text.encode()).hexdigest()
