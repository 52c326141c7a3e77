"""`GitRemote`: a Git repository anywhere as a remote, over whichever backend is there."""

from __future__ import annotations

import contextlib
import math
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Self, TypeVar

from towline.changes import Changes, RemoteEntry
from towline.errors import (
    ContentMissing,
    EmptyRepository,
    InvalidTree,
    InvalidValue,
    LimitExceeded,
    RedirectRefused,
    RefNotFound,
    RemoteError,
    RemoteRefused,
)
from towline.kinds import Kinds
from towline.limits import Limits
from towline.model import AssetPath, Digest, Revision
from towline.names import path_problem
from towline.ports import Phase, Traffic, Watch
from towline.remotes.backends import Backend, BackendPair, CacheReader
from towline.remotes.cache import Cache, temporary_folder
from towline.remotes.compare import tree_changes, tree_listing
from towline.remotes.credentials import Credentials
from towline.remotes.entries import Classifier
from towline.remotes.fetcher import (
    MAX_REDIRECTS,
    Addresses,
    FetchRequest,
    PackTooLarge,
    Redirected,
    Resolver,
)
from towline.remotes.git_failures import Unexplained
from towline.remotes.objects import ObjectMissing, read_commit
from towline.remotes.refs import WantedRef
from towline.remotes.url import RemoteUrl, Scheme

T = TypeVar("T")


class GitRemote:
    """A `Remote` over a Git repository: https, ssh, http, file, or a local path.

    ``ref`` is a branch or tag (a short name means the branch first), a full ref, a full commit id,
    or None for the remote's HEAD. ``scope`` is the subfolder that is the project. ``cache`` is
    where a bare repository is kept, made at need; without it there is a temporary one until
    `close`. ``credentials`` is asked for HTTP; one that stands in the URL is used, but never shown
    nor stored. ``environment`` is what git and ssh may know of the caller's: PATH, HOME, the ssh
    agent, proxies, CA files. ``resolver`` says where a host may be reached, asked before each talk;
    git (of 2.37 or later) and ssh connect there alone, the other backends do not heed it.
    ``trusts`` tells of a user id whether the cache may belong to that user: the running user, root
    and the owner of the folder around it, unless given.

    Not for several threads at once; several processes may share a cache.

    Raises:
        InvalidValue: url, ref, scope or backend is not usable.
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
        resolver: Resolver | None = None,
        trusts: Callable[[int], bool] | None = None,
    ) -> None:
        parsed, embedded = RemoteUrl.split(url) if isinstance(url, str) else (url, None)
        if parsed.scheme is Scheme.FILE:
            parsed = _absolute(parsed)
        self._wanted = WantedRef.parse(ref)
        self._scope = _parse_scope(scope)
        self._cleanup: Callable[[], object] = lambda: None
        if cache is None:
            folder, remove = temporary_folder()
            self._cleanup = weakref.finalize(self, remove)
            cache = folder / "cache.git"
        self._cache = Cache(cache.absolute(), trusts)
        self._halves = BackendPair.choose(Backend(backend), self._cache, dict(environment or {}))
        self._fetcher = self._halves.fetcher()
        self._addresses = Addresses(parsed, embedded, credentials)
        self._resolver = resolver
        self._traffic = Traffic()
        self._kept: dict[str, bytes] = {}
        self._open: CacheReader | None = None
        self._let_go: Callable[[], object] = lambda: None
        self._last: tuple[Revision, Limits] | None = None
        self._deadline = math.inf
        self._known: set[Revision] = set()
        """What was seen to be here; if it is not, it vanished."""

    # --- the port: identity -------------------------------------------------------------------

    @property
    def url(self) -> str:
        return self._addresses.url.shown

    @property
    def scope(self) -> str:
        return self._scope

    @property
    def ref(self) -> str:
        """The ref as it was asked for; ``HEAD`` if none was."""
        return self._wanted.text

    @property
    def traffic(self) -> Traffic:
        return self._traffic

    # --- the port: conversations --------------------------------------------------------------

    def resolve(self, limits: Limits, watch: Watch) -> Revision:
        if self._wanted.commit is not None:
            return self._wanted.commit
        found = self._asked(lambda talk: self._fetcher.refs(self._wanted, talk), limits, watch)
        try:
            return self._wanted.choose(self.url, found)[1]
        except RefNotFound as error:
            raise self._naming_default(error, limits, watch) from None

    def default_branch(self, limits: Limits, watch: Watch) -> str | None:
        """The branch that the remote's HEAD names (``main``), or None where it tells none."""
        name = self._asked(self._fetcher.head, limits, watch)
        return name.removeprefix("refs/heads/") if name is not None else None

    def fetch(self, revision: Revision | None, limits: Limits, watch: Watch) -> Revision:
        wanted = self._wanted if revision is None else WantedRef.parse(revision)
        if wanted.commit is not None and self.has(wanted.commit):
            self._remember(wanted.commit, limits)
            return wanted.commit
        watch.report(Phase.FETCHING, 0)
        try:
            with self._cache.writing(watch):
                self._start(limits)
                found = self._fetch(wanted, limits, watch)
        except RefNotFound as error:
            raise self._naming_default(error, limits, watch) from None
        self._remember(found, limits)
        return found

    def _naming_default(self, error: RefNotFound, limits: Limits, watch: Watch) -> RefNotFound:
        if isinstance(error, EmptyRepository) or WantedRef.parse(error.ref).commit is not None:
            return error
        with contextlib.suppress(RemoteError):
            return replace(error, default=self.default_branch(limits, watch))
        return error

    def _remember(self, revision: Revision, limits: Limits) -> None:
        self._last = (revision, limits)
        self._known.add(revision)

    def close(self) -> None:
        """Let go of the cache; a temporary one is removed."""
        self._close_reader()
        self._cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # --- the port: what is here ---------------------------------------------------------------

    def has(self, revision: Revision) -> bool:
        reader = self._open or self._halves.glance()
        try:
            found = reader.header(read_commit(reader, revision).tree)[0] == "tree"
        except (ObjectMissing, InvalidTree):
            return False
        finally:
            if reader is not self._open:
                reader.close()
        if found:
            self._known.add(revision)
        return found

    def changes(
        self, base: Revision, revision: Revision, kinds: Kinds, limits: Limits, watch: Watch
    ) -> Changes:
        def compare(reader: CacheReader) -> Changes:
            before, after = (read_commit(reader, commit).tree for commit in (base, revision))
            classifier = self._classifier(reader, kinds, limits)
            items = tree_changes(before, after, self._scope, classifier, watch)
            return Changes(
                base=base,
                revision=revision,
                items=items,
                history_rewritten=self._rewritten(reader, base, revision),
            )

        return self._mending(compare, (revision, base), limits, watch)

    def listing(
        self, revision: Revision, kinds: Kinds, limits: Limits, watch: Watch
    ) -> Mapping[AssetPath, RemoteEntry]:
        def read(reader: CacheReader) -> Mapping[AssetPath, RemoteEntry]:
            tree = read_commit(reader, revision).tree
            return tree_listing(tree, self._scope, self._classifier(reader, kinds, limits), watch)

        return self._mending(read, (revision,), limits, watch)

    def rewritten(self, base: Revision, revision: Revision) -> bool | None:
        def ask(reader: CacheReader) -> bool | None:
            return self._rewritten(reader, base, revision)

        return self._mending(ask, (revision,), Limits(), Watch())

    def commit_time(self, revision: Revision) -> datetime | None:
        """When a commit that is here was made, by its committer; None where it does not say.

        Raises:
            ContentMissing: it is not here.
        """
        try:
            return read_commit(self._reader(), revision).time
        except ObjectMissing as missing:
            raise ContentMissing(digests=(missing.oid,)) from None

    def contents(self, digests: Sequence[Digest]) -> Iterator[tuple[Digest, bytes]]:
        for digest in sorted(set(digests)):
            yield digest, self._content(digest)

    def _content(self, digest: Digest) -> bytes:
        if digest in self._kept:
            return self._kept[digest]

        def read(reader: CacheReader) -> bytes:
            kind, content = reader.read(digest)
            if kind != "blob" or Digest.of(content) != digest:
                raise ObjectMissing(digest)
            return content

        self._traffic.blobs_read += 1
        limits = self._last[1] if self._last is not None else Limits()
        return self._mending(read, (), limits, Watch())

    # --- talking ------------------------------------------------------------------------------

    def _start(self, limits: Limits) -> None:
        """Count the total time from now, over every try and redirect."""
        self._deadline = time.monotonic() + limits.total_seconds

    def _talk(self, action: Callable[[FetchRequest], T], limits: Limits, watch: Watch) -> T:
        """Carry out a conversation, following redirects within the origin."""
        for _ in range(MAX_REDIRECTS + 1):
            talk = FetchRequest(
                url=self._addresses.current,
                credential=self._addresses.credential(),
                limits=limits,
                watch=watch,
                traffic=self._traffic,
                deadline=self._deadline,
                addresses=() if self._resolver is None else self._resolver(self._addresses.current),
            )
            try:
                return action(talk)
            except Redirected as answer:
                self._addresses.follow(answer.target)
        raise RedirectRefused(url=self.url, detail="it redirects in circles")

    def _asked(self, action: Callable[[FetchRequest], T], limits: Limits, watch: Watch) -> T:
        """As `_talk`, for questions: they write nothing, so nobody waits for a long fetch."""
        watch.report(Phase.FETCHING, 0)
        self._cache.ensure()
        self._start(limits)
        try:
            return self._talk(action, limits, watch)
        except Unexplained as problem:
            raise RemoteRefused(url=self.url, detail=problem.detail) from None

    def _fetch(self, wanted: WantedRef, limits: Limits, watch: Watch) -> Revision:
        """Fetch; without history where that is too large, with a new cache where it is damaged."""
        depth, rebuilt = None, False
        while True:
            self._cache.sweep()
            try:
                return self._fetch_any(wanted, limits, watch, depth)
            except PackTooLarge:
                if depth is not None:
                    self._cache.sweep()
                    raise _pack_too_large(limits) from None
                depth = 1
            except Unexplained as problem:
                if rebuilt or not self._cache.used:
                    raise RemoteRefused(url=self.url, detail=problem.detail) from None
                self._discard()
                rebuilt = True

    def _fetch_any(
        self, wanted: WantedRef, limits: Limits, watch: Watch, depth: int | None
    ) -> Revision:
        def ask(what: WantedRef) -> Revision:
            return self._talk(lambda talk: self._fetcher.fetch(what, talk, depth), limits, watch)

        try:
            return ask(wanted)
        except RefNotFound:
            if wanted.commit is None:
                raise
        # Not every server gives out commits by id: it may come with the branch.
        ask(self._wanted if self._wanted.commit is None else WantedRef.parse(None))
        if not self.has(wanted.commit):
            raise wanted.missing(self.url, empty=False)
        return wanted.commit

    # --- reading ------------------------------------------------------------------------------

    def _classifier(self, reader: CacheReader, kinds: Kinds, limits: Limits) -> Classifier:
        return Classifier(reader, kinds, limits, self._traffic, self._kept)

    def _rewritten(self, reader: CacheReader, base: Revision, revision: Revision) -> bool | None:
        if base == revision:
            return False
        reader.header(revision)
        try:
            reader.header(base)
        except ObjectMissing:
            if base in self._known:
                raise  # it was here: that is damage, not an answer
        else:
            if reader.leads_to(revision, base):
                return False
        return None if self._cache.shallow else True

    def _mending(
        self,
        action: Callable[[CacheReader], T],
        revisions: Sequence[Revision],
        limits: Limits,
        watch: Watch,
    ) -> T:
        """Read from the cache; if it lacks what was here, make it anew.

        Raises:
            ContentMissing: what was asked for never was here, or the remote lacks it now.
        """
        try:
            return action(self._reader())
        except ObjectMissing:
            self._close_reader()  # another process may have mended it meanwhile
        try:
            return action(self._reader())
        except ObjectMissing as missing:
            if self._last is None or self._was_never_here(missing.oid, revisions):
                raise ContentMissing(digests=(missing.oid,)) from None
        self._rebuild((self._last[0], *revisions), limits, watch)
        try:
            return action(self._reader())
        except ObjectMissing as missing:
            raise ContentMissing(digests=(missing.oid,)) from None

    def _was_never_here(self, oid: str, revisions: Sequence[Revision]) -> bool:
        """Whether a commit that is missing is no sign of damage."""
        asked = oid in revisions and oid not in self._known
        return asked and self._last is not None and self.has(self._last[0])

    def _rebuild(self, revisions: Sequence[Revision], limits: Limits, watch: Watch) -> None:
        with self._cache.writing(watch):
            self._start(limits)
            self._discard()
            for revision in revisions:
                if not self.has(revision):
                    # A base may be gone at the remote for good: whoever needs it is told.
                    with contextlib.suppress(RefNotFound):
                        self._fetch(WantedRef.parse(revision), limits, watch)

    def _discard(self) -> None:
        self._close_reader()
        self._known.clear()
        self._cache.discard()

    def _reader(self) -> CacheReader:
        if self._open is None:
            self._open = self._halves.reader()
            self._let_go = weakref.finalize(self, self._open.close)
        return self._open

    def _close_reader(self) -> None:
        self._let_go()
        self._open = None


def _pack_too_large(limits: Limits) -> LimitExceeded:
    most = limits.pack_bytes
    return LimitExceeded(
        limit="pack_bytes", allowed=most, found=most + 1, subject="without history"
    )


def _absolute(url: RemoteUrl) -> RemoteUrl:
    """A local path that means the same wherever git runs."""
    if url.address.startswith("file://"):
        return url
    path = str(Path(url.path).absolute())
    return replace(url, address=path, path=path)


def _parse_scope(scope: str) -> str:
    scope = scope.strip("/")
    if scope and (problem := path_problem(scope)):
        raise InvalidValue(field="scope", problem=problem)
    return scope
