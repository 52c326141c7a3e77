"""`GitRemote`: a Git repository as a remote, over any transport and backend.

`Requests.run` is the only loop that repeats requests. `GitRemote._read` fetches again what is
missing from the cache.
"""

from __future__ import annotations

import contextlib
import sys
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from towline.errors import (
    ContentMissing,
    EmptyRepository,
    InvalidTree,
    RefNotFound,
    RemoteError,
)
from towline.limits import Limits
from towline.model import AssetPath, Digest, Revision
from towline.ports import Phase, Traffic, Watch
from towline.remotes.backends import Backend, GitBackends
from towline.remotes.cache import Cache, ObjectMissing
from towline.remotes.fetcher import (
    AddressResolver,
    FetchRequest,
    RefMissing,
    RemoteAddress,
    Requests,
)
from towline.remotes.url import RemoteUrl, WantedRef, parse_scope

if TYPE_CHECKING:
    from towline.changes import Changes, RemoteEntry
    from towline.kinds import Kinds
    from towline.remotes.credentials import Credentials
    from towline.remotes.objects import CacheReader, Commit
    from towline.remotes.tree_filter import TreeFilter

T = TypeVar("T")
_AT_ONCE = 256
"""Contents that are read at once."""


class GitRemote:
    """A `Remote` over a Git repository: https, ssh, http, file, or a local path.

    ``ref`` is a branch or tag (of a short name the branch first), a full ref, a full commit id, or
    None for the remote's HEAD. ``scope`` is the subfolder that is the project. ``cache`` is the
    path of a bare repository, created if it does not exist; without it a temporary one is used
    until `close`. ``credentials`` is called for HTTP; a credential in the URL is used, but never
    shown or stored. ``environment`` holds the variables that git and ssh may use: PATH, HOME, the
    ssh agent, proxies, CA files. ``resolver`` returns the IP addresses of a host before each
    request; git (2.37 or later) connects to these alone, dulwich ignores it. ``trusts`` returns
    whether the cache may belong to a user id; by default the running user, root and the owner of
    the folder around it.

    Not thread-safe; several processes may share a cache.

    Raises:
        InvalidValue: url, ref, scope or backend is not valid, or the backend not installed. Where
            none is, a remote with ``Backend.AUTO`` raises it when it is first used.
    """

    def __init__(  # noqa: PLR0913 - each by name, each with a default
        self,
        url: str | RemoteUrl,
        *,
        ref: str | None = None,
        scope: str = "",
        cache: Path | None = None,
        credentials: Credentials | None = None,
        backend: Backend = Backend.AUTO,
        environment: Mapping[str, str] | None = None,
        resolver: AddressResolver | None = None,
        trusts: Callable[[int], bool] | None = None,
    ) -> None:
        parsed, embedded = RemoteUrl.split(url) if isinstance(url, str) else (url, None)
        address = RemoteAddress(parsed.absolute(), embedded, credentials, resolver)
        self.url = address.url.address
        self._wanted = WantedRef.parse(ref)
        self.ref = self._wanted.text
        """The configured ref; ``HEAD`` without one."""
        self.scope = parse_scope(scope)
        self.traffic = Traffic()
        self._cleanup: Callable[[], object] = lambda: None
        if cache is None:
            from towline.remotes.temporary import temporary_folder

            folder, remove = temporary_folder()
            self._cleanup = weakref.finalize(self, remove)
            cache = folder / "cache.git"
        self._cache = Cache(cache.absolute(), trusts)
        self._backends = GitBackends(Backend(backend), self._cache, dict(environment or {}))
        self._requests = Requests(address, self._cache, self.traffic)
        self._blobs: dict[str, bytes] = {}
        self._open: CacheReader | None = None
        self._finalize: Callable[[], object] = lambda: None
        self._last: tuple[Revision, Limits] | None = None
        self._known: set[Revision] = set()
        """Commits that were in the cache; one that is missing now is damage."""

    # --- the port: refs and fetching ----------------------------------------------------------

    def resolve(self, limits: Limits, watch: Watch) -> Revision:
        if self._wanted.commit is not None:
            return self._wanted.commit
        try:
            return self._list(self._choose, limits, watch)
        except RefNotFound as error:
            raise self._with_default(error, limits, watch) from None

    def _choose(self, request: FetchRequest) -> Revision:
        chosen = self._wanted.choose(self._backends.fetcher.refs(self._wanted.names, request))
        if chosen is None:
            raise self._missing(self._wanted, request)
        return chosen[1]

    def _missing(self, wanted: WantedRef, request: FetchRequest) -> RefNotFound:
        # Whether the repository is empty matters for the error alone.
        empty = wanted.commit is None and not self._backends.fetcher.refs((), request)
        return wanted.missing(self.url, empty=empty)

    def default_branch(self, limits: Limits, watch: Watch) -> str | None:
        """Return the short name of the branch that the remote's HEAD points to, if any."""
        name = self._list(self._backends.fetcher.head, limits, watch)
        return name.removeprefix("refs/heads/") if name is not None else None

    def fetch(self, revision: Revision | None, limits: Limits, watch: Watch) -> Revision:
        wanted = self._wanted if revision is None else WantedRef.parse(revision)
        if wanted.commit is not None and self.has(wanted.commit):
            self._last = (wanted.commit, limits)
            return wanted.commit
        watch.report(Phase.FETCHING, 0)
        try:
            with self._cache.lock(watch):
                found = self._fetch(wanted, limits, watch)
        except RefNotFound as error:
            raise self._with_default(error, limits, watch) from None
        self._last = (found, limits)
        self._known.add(found)
        return found

    def _with_default(self, error: RefNotFound, limits: Limits, watch: Watch) -> RefNotFound:
        if isinstance(error, EmptyRepository) or WantedRef.parse(error.ref).commit is not None:
            return error
        with contextlib.suppress(RemoteError):
            return replace(error, default=self.default_branch(limits, watch))
        return error

    def close(self) -> None:
        """Close the cache; remove a temporary one."""
        self._close_reader()
        self._cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # --- the port: the cache ------------------------------------------------------------------

    def has(self, revision: Revision) -> bool:
        # Where it is here it is read next, by the same child processes.
        reader = self._reader()
        try:
            found = reader.header(_commit_of(reader, revision).tree)[0] == "tree"
        except (ObjectMissing, InvalidTree):
            self._close_reader()
            return False
        if found:
            self._known.add(revision)
        return found

    def changes(
        self, base: Revision, revision: Revision, kinds: Kinds, limits: Limits, watch: Watch
    ) -> Changes:
        from towline.changes import Changes
        from towline.remotes.compare import tree_changes

        def compare(reader: CacheReader) -> Changes:
            before, after = (_commit_of(reader, commit).tree for commit in (base, revision))
            tree_filter = self._tree_filter(reader, kinds, limits)
            items = tree_changes(before, after, self.scope, tree_filter, watch)
            rewritten = self._rewritten(base, revision, reader)
            return Changes(base=base, revision=revision, items=items, history_rewritten=rewritten)

        return self._read(compare, (revision, base), limits, watch)

    def listing(
        self, revision: Revision, kinds: Kinds, limits: Limits, watch: Watch
    ) -> Mapping[AssetPath, RemoteEntry]:
        from towline.remotes.compare import tree_listing

        def read(reader: CacheReader) -> Mapping[AssetPath, RemoteEntry]:
            tree = _commit_of(reader, revision).tree
            return tree_listing(tree, self.scope, self._tree_filter(reader, kinds, limits), watch)

        self._close_reader()  # one that was opened for a few objects
        self._reader(many=True)
        return self._read(read, (revision,), limits, watch)

    def rewritten(self, base: Revision, revision: Revision) -> bool | None:
        return self._read(
            lambda reader: self._rewritten(base, revision, reader), (revision,), Limits(), Watch()
        )

    def commit_time(self, revision: Revision) -> datetime | None:
        """Return the committer's time of a commit in the cache; None where it is malformed.

        Raises:
            ContentMissing: it is not in the cache.
        """
        try:
            return _commit_of(self._reader(), revision).time
        except ObjectMissing as missing:
            raise ContentMissing(digests=(missing.oid,)) from None

    def commits(self, base: Revision, revision: Revision) -> Sequence[Commit] | None:
        """Return the commits of a fetched revision that base does not have, newest first.

        At most `towline.remotes.history.MOST_COMMITS`. None where the history here ends before.

        Raises:
            InvalidTree: a commit is malformed.
        """
        from towline.remotes.history import commits_between

        return self._if_here(lambda: commits_between(self._reader(), base, revision))

    def first_parents(
        self, base: Revision, revision: Revision, watch: Watch = Watch()
    ) -> Sequence[Commit] | None:
        """Return the commits after ``base`` up to a fetched revision, oldest first.

        Of a merge, the first parent alone. None where ``base`` is not among them, or the history
        here ends before. Raises as `towline.remotes.history.first_parents`.
        """
        from towline.remotes.history import first_parents

        return self._if_here(lambda: first_parents(self._reader(), base, revision, watch))

    def last_change(self, path: AssetPath, revision: Revision) -> Commit | None:
        """Return the commit of a fetched revision that last changed an asset, by its path there.

        For an asset that is not there, the one that deleted it. None where the history here ends
        before, or where nothing was ever there. Raises as `commits`.
        """
        from towline.remotes.history import last_change

        place = f"{self.scope}/{path}" if self.scope else path
        return self._if_here(lambda: last_change(self._reader(), revision, place))

    def _if_here(self, find: Callable[[], T | None]) -> T | None:
        with contextlib.suppress(ObjectMissing):
            return find()
        return None

    def contents(self, digests: Sequence[Digest]) -> Iterator[tuple[Digest, bytes]]:
        from towline.remotes.objects import PREFETCHED_BYTES

        wanted = sorted(set(digests))
        for first in range(0, len(wanted), _AT_ONCE):
            batch = wanted[first : first + _AT_ONCE]
            unread = [digest for digest in batch if digest not in self._blobs]
            if len(unread) > 1:
                self._reader().prefetch(unread, PREFETCHED_BYTES)
            for digest in batch:
                yield digest, self._content(digest)

    def _content(self, digest: Digest) -> bytes:
        if digest in self._blobs:
            return self._blobs[digest]

        def read(reader: CacheReader) -> bytes:
            kind, content = reader.read(digest)
            if kind != "blob" or Digest.of(content) != digest:
                raise ObjectMissing(digest)
            return content

        self.traffic.blobs_read += 1
        limits = self._last[1] if self._last is not None else Limits()
        return self._read(read, (), limits, Watch())

    # --- requests -----------------------------------------------------------------------------

    def _list(self, action: Callable[[FetchRequest], T], limits: Limits, watch: Watch) -> T:
        """Run a request that lists refs; it takes no lock, so that no fetch delays it."""
        watch.report(Phase.FETCHING, 0)
        self._cache.ensure()
        return self._requests.run(action, limits, watch)

    def _fetch(
        self, wanted: WantedRef, limits: Limits, watch: Watch, deadline: float | None = None
    ) -> Revision:
        """Fetch a ref; the cache is locked."""

        def fetch(request: FetchRequest) -> Revision:
            try:
                return self._fetch_ref(wanted, request)
            except RefNotFound:
                if wanted.commit is None:
                    raise
            # A server may refuse to send a commit by id: it may be in the branch.
            branch = self._wanted if self._wanted.commit is None else WantedRef.parse(None)
            self._fetch_ref(branch, request)
            if not self.has(wanted.commit):
                raise wanted.missing(self.url, empty=False)
            return wanted.commit

        return self._requests.run(fetch, limits, watch, deadline=deadline, discard=self._discard)

    def _fetch_ref(self, wanted: WantedRef, request: FetchRequest) -> Revision:
        try:
            return self._backends.fetcher.fetch(wanted, request)
        except RefMissing:
            raise self._missing(wanted, request) from None

    # --- reading ------------------------------------------------------------------------------

    def _tree_filter(self, reader: CacheReader, kinds: Kinds, limits: Limits) -> TreeFilter:
        from towline.remotes.tree_filter import TreeFilter

        return TreeFilter(reader, kinds, limits, self.traffic, self._blobs)

    def _rewritten(self, base: Revision, revision: Revision, reader: CacheReader) -> bool | None:
        from towline.remotes.objects import rewritten

        known = base in self._known
        return rewritten(reader, base, revision, known=known, shallow=self._cache.shallow)

    def _read(
        self,
        action: Callable[[CacheReader], T],
        revisions: Sequence[Revision],
        limits: Limits,
        watch: Watch,
    ) -> T:
        """Read from the cache; reopen it, then fetch again, if it lacks what was in it.

        Raises:
            ContentMissing: it never was in the cache, or the remote does not have it any more.
        """
        with contextlib.suppress(ObjectMissing):
            return action(self._reader())
        self._close_reader()  # another process may have rebuilt the cache
        try:
            return action(self._reader())
        except ObjectMissing as missing:
            unknown = missing.oid in revisions and missing.oid not in self._known
            if self._last is None or (unknown and self.has(self._last[0])):
                raise ContentMissing(digests=(missing.oid,)) from None
        self._refetch((self._last[0], *revisions), limits, watch)
        try:
            return action(self._reader())
        except ObjectMissing as missing:
            raise ContentMissing(digests=(missing.oid,)) from None

    def _refetch(self, revisions: Sequence[Revision], limits: Limits, watch: Watch) -> None:
        with self._cache.lock(watch):
            deadline = time.monotonic() + limits.total_seconds
            self._discard()
            for revision in revisions:
                if not self.has(revision):
                    # A base may be gone from the remote; reading it raises ContentMissing.
                    with contextlib.suppress(RefNotFound):
                        self._fetch(WantedRef.parse(revision), limits, watch, deadline)

    def _discard(self) -> None:
        self._close_reader()
        self._known.clear()
        self._cache.discard()

    def _reader(self, *, many: bool = False) -> CacheReader:
        """Return the open reader, or open one; ``many``: to read a whole tree."""
        if self._open is None:
            # A library takes longer to load than git takes to read what few files changed.
            light = not many and "pygit2" not in sys.modules
            self._open = self._backends.reader(light=light)
            self._finalize = weakref.finalize(self, self._open.close)
        return self._open

    def _close_reader(self) -> None:
        self._finalize()
        self._open = None


def _commit_of(reader: CacheReader, revision: Revision) -> Commit:
    from towline.remotes.objects import read_commit

    return read_commit(reader, revision)
