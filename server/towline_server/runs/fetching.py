"""Where a project's repository is, and its fetches, each shared by every run that waits for it.

A run wants the ref as it was when the run was requested, or later. So any fetch that began after
that serves it, also one that has ended. One that began before may have missed a push, and does not.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from towline.errors import Cancelled, ContentMissing, RemoteTimeout, TowlineError
from towline.frozen import frozen
from towline.limits import Limits
from towline.model import Revision
from towline.ports import Phase, Watch
from towline.remotes.backends import Backend
from towline.remotes.cache import Cache
from towline.remotes.credentials import Credential
from towline.remotes.git import GitRemote
from towline.remotes.git_process import find_git
from towline.remotes.url import RemoteUrl, Scheme
from towline_server import metrics, telemetry
from towline_server.auth.sealing import Sealer
from towline_server.db.session import Database
from towline_server.projects.connection_tables import ConnectionRow
from towline_server.projects.connections import Connections, host_of
from towline_server.projects.domain import Project, Provider
from towline_server.projects.service import Projects
from towline_server.recent import Recent

from .bounds import AtOnce
from .turns import Breaker, FetchTurns

_LOOK_SECONDS = 0.1
_REMEMBERED = 512
_UNUSED = timedelta(hours=1)
_NOTHING: tuple[int, int | None] = (0, None)
"""The progress of a fetch before the remote has sent any of it."""


@frozen(kw_only=True)
class BoundRepository:
    """A ref of a repository or a source, its credential, and the cache of its objects here."""

    tenant_id: UUID
    url: RemoteUrl
    ref: str
    scope: str
    cache: Path
    credential: Credential | None = field(default=None, repr=False)
    provider: Provider = Provider.GIT
    config: Mapping[str, Any] = field(default_factory=dict)

    def cached(self) -> GitRemote:
        """Return the fetched objects as a remote that is only read.

        Read by the git executable where there is one: what is hostile to a reader then meets
        another process, with its own bounds.
        """
        backend = Backend.GIT if find_git({}) is not None else Backend.AUTO
        with suppress(FileNotFoundError):  # nothing was fetched yet
            os.utime(self.cache)  # `Repositories.prune` asks when it was used
        return GitRemote(
            self.url, ref=self.ref, scope=self.scope, cache=self.cache, backend=backend
        )

    def has(self, revision: Revision) -> bool:
        """Whether a revision is among the fetched objects."""
        with self.cached() as remote:
            return remote.has(revision)


class Repositories:
    """The repositories of a database's projects.

    The cache is the connection's alone, even where two name one address: what one credential may
    read, another may not.
    """

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        cache_dir: Path,
        *,
        schemes: AbstractSet[Scheme] = frozenset({Scheme.HTTPS}),
        limits: Limits = Limits(total_seconds=60),
        retained: timedelta = timedelta(days=30),
    ) -> None:
        self._database = database
        self._sealer = sealer
        self._cache_dir = cache_dir
        self._retained = retained
        self._schemes = schemes
        self.limits = limits
        self._commit_times: dict[tuple[Path, Revision], datetime | None] = {}

    def project(self, project_id: UUID) -> Project:
        """Return a project.

        Raises:
            NotFound: it was deleted.
        """
        with self._database.reading() as session:
            return Projects(session).known(project_id)

    def of(self, project: Project) -> BoundRepository:
        """Return the repository that a project is bound to.

        Raises:
            NotAssociated: it is bound to none.
            InvalidValue: the operator does not allow its scheme (any more).
            CredentialUnreadable: the credential's key is gone.
        """
        with self._database.reading() as session:
            return self.read(session, project)

    def read(self, session: Session, project: Project) -> BoundRepository:
        """Return the repository of a project, in the caller's transaction. Raises as `of`."""
        binding = project.bound
        connections = Connections(session, self._sealer, self._schemes)
        connection, credentials = connections.with_credentials(binding.connection_id)
        url = RemoteUrl.parse(connection.url.address, self._schemes)
        credential = credentials()(url) if url.takes_credential else None
        return BoundRepository(
            tenant_id=project.tenant_id,
            url=url,
            ref=binding.ref,
            scope=binding.scope,
            cache=self._cache_dir / _cache_name(connection.id, url.address),
            credential=credential,
            provider=connection.provider,
            config=connection.config,
        )

    def commit_time(self, repository: BoundRepository, revision: Revision) -> datetime | None:
        """Return the committer's time of a fetched commit, read once; None where it is not known.

        An object's id says what it is: it has the same time for ever.
        """
        key = repository.cache, revision
        if key not in self._commit_times:
            try:
                with repository.cached() as remote:
                    found = remote.commit_time(revision)
            except ContentMissing:
                return None
            if len(self._commit_times) >= _REMEMBERED:
                self._commit_times.clear()
            self._commit_times[key] = found
        return self._commit_times.get(key)

    def prune(self, unused: timedelta = _UNUSED) -> None:
        """Remove the caches of connections that are gone, or have another address by now.

        A run may still read one that was used within ``unused``: it is left for later. Those of
        other connections go once they were not used for as long as they are retained.
        """
        with self._database.reading() as session:
            rows = session.execute(select(ConnectionRow.id, ConnectionRow.url))
            known = {_cache_name(connection_id, url) for connection_id, url in rows}
        for folder in self._cache_dir.glob("*.git"):
            left = self._retained if folder.name in known else unused
            with suppress(FileNotFoundError):  # another server may be about the same
                if _used_at(folder) < time.time() - left.total_seconds():
                    Cache(folder).remove()
                    metrics.DELETED.labels("caches").inc()


def _used_at(cache: Path) -> float:
    return max(each.stat().st_mtime for each in (cache, cache / "objects/pack"))


def _cache_name(connection_id: UUID, address: str) -> str:
    return sha256(f"{connection_id}\0{address}".encode()).hexdigest()[:32] + ".git"


@frozen(kw_only=True)
class FetchTarget:
    """What to fetch: the ref of a repository, or one revision of it."""

    repository: BoundRepository
    limits: Limits
    revision: Revision | None = None

    @property
    def key(self) -> tuple[Path, str, Revision | None]:
        """What makes two fetches the same."""
        return self.repository.cache, self.repository.ref, self.revision


FetchRevision: TypeAlias = Callable[[FetchTarget, Watch], Revision]
"""Fetches; raises as `towline.ports.Remote.fetch`."""


@dataclass(eq=False)
class _SharedFetch:
    """A fetch that waits for its turn, is in progress, or has ended."""

    asked: datetime
    asked_at: float = field(default_factory=time.monotonic)
    """The same moment, by the clock of this process."""
    before: _SharedFetch | None = None
    """The one of the same ref that has to end first."""
    began: datetime | None = None
    """At the earliest; None: it waits."""
    stop: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    waiting: int = 0
    progress: tuple[int, int | None] = _NOTHING
    revision: Revision | None = None
    error: BaseException | None = None


def _serves(shared: _SharedFetch, since: datetime) -> bool:
    """Whether a fetch has what a ref named at some moment after ``since``."""
    return not shared.stop.is_set() and (shared.began is None or shared.began >= since)


class SharedFetches:
    """The fetches of this process. ``now`` must be of the clock that runs are stamped with."""

    def __init__(
        self,
        fetcher: FetchRevision,
        *,
        now: Callable[[], datetime],
        at_once: AtOnce | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        self._fetcher = fetcher
        self._now = now
        self.turns = FetchTurns(at_once or AtOnce.of(4), breaker)
        self._lock = threading.Lock()
        self._shared = Recent[object, _SharedFetch](_REMEMBERED)
        self.count = 0
        """How many fetches were begun."""

    def fetch(
        self, wanted: FetchTarget, watch: Watch, *, since: datetime, now: datetime | None = None
    ) -> Revision:
        """Return the revision of a ref at some moment after ``since``, with its objects cached.

        ``now`` is a moment just before, where the caller has asked the clock.

        Raises:
            Cancelled: the watch says so; the fetch goes on for the other runs that wait for it.
            TowlineError: as `towline.ports.Remote.fetch`.
        """
        shared = self._join(wanted, since, now)
        try:
            while not shared.ended.wait(_LOOK_SECONDS):
                watch.report(Phase.FETCHING, *shared.progress)
        finally:
            self._leave(shared)
        watch.check()
        if shared.error is not None:
            raise shared.error
        assert shared.revision is not None, "a fetch that did not fail has a revision"
        return shared.revision

    def _join(self, wanted: FetchTarget, since: datetime, now: datetime | None) -> _SharedFetch:
        with self._lock:
            shared = self._shared.get(wanted.key)
            if shared is None or not _serves(shared, since):
                shared = _SharedFetch(asked=now or self._now(), before=shared)
                self._shared[wanted.key] = shared
                self.count += 1
                metrics.FETCHES.inc()
                thread = threading.Thread(
                    target=telemetry.in_this_trace(self._run),
                    args=(wanted, shared),
                    name="towline-fetch",
                    daemon=True,
                )
                thread.start()
            else:
                metrics.FETCHES_SHARED.inc()
            shared.waiting += 1
            return shared

    def _leave(self, shared: _SharedFetch) -> None:
        """The last one that leaves stops the fetch."""
        with self._lock:
            shared.waiting -= 1
            if shared.waiting == 0 and not shared.ended.is_set():
                shared.stop.set()
                self.turns.wake()

    def _run(self, wanted: FetchTarget, shared: _SharedFetch) -> None:
        def progress(_phase: Phase, done: int, total: int | None) -> None:
            shared.progress = (done, total)

        watch = Watch(progress=progress, cancel=shared.stop)
        try:
            shared.revision = self._fetch_in_turn(wanted, watch, shared)
        except BaseException as error:  # noqa: BLE001 - it is raised in the threads that wait
            shared.error = error
            if isinstance(error, Cancelled):
                # A fetch that was stopped answers no other run.
                shared.stop.set()
        finally:
            shared.ended.set()

    def _fetch_in_turn(self, wanted: FetchTarget, watch: Watch, shared: _SharedFetch) -> Revision:
        if shared.before is not None:
            # It has the cache's lock; who asks meanwhile shares the fetch that follows it.
            while not shared.before.ended.wait(_LOOK_SECONDS):
                watch.check()
            shared.before = None
        repository = wanted.repository
        host = host_of(repository.url)
        turn = self.turns.turn(repository.tenant_id, host, str(repository.url), watch.check)
        with turn as mine:
            with self._lock:
                waited = timedelta(seconds=time.monotonic() - shared.asked_at)
                shared.began = shared.asked + waited
            try:
                with _measured():
                    return self._fetcher(wanted, watch)
            except RemoteTimeout:
                # One that sends much, but slowly, answers.
                mine.got_nothing = shared.progress == _NOTHING
                raise


@contextmanager
def _measured() -> Iterator[None]:
    """Measure how long a fetch takes, and how it ends."""
    began, result = time.monotonic(), "ok"
    try:
        with telemetry.span("git fetch"):
            yield
    except TowlineError as error:
        result = error.code
        raise
    except Exception:
        result = "internal_error"
        raise
    finally:
        metrics.FETCH_SECONDS.labels(result).observe(time.monotonic() - began)
