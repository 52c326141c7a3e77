"""Talks to a remote through dulwich: needs neither git nor a C library.

Its own HTTP, ssh and time-outs are not used: it is given ours, which bound, count and stop.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from tempfile import NamedTemporaryFile
from typing import IO, TYPE_CHECKING, Any

from dulwich.client import (
    AbstractHttpGitClient,
    FetchPackResult,
    GitClient,
    LocalGitClient,
    LsRemoteResult,
    TraditionalGitClient,
)
from dulwich.errors import GitProtocolError, HangupException, NotGitRepository
from dulwich.objects import ObjectID
from dulwich.protocol import CAPABILITY_NO_PROGRESS, Protocol
from dulwich.refs import HEADREF, Ref
from dulwich.repo import Repo

from towline.errors import RemoteRefused, RemoteUnavailable, TowlineError, UnsupportedRemote
from towline.model import Revision
from towline.ports import Phase
from towline.remotes.arrivals import arrived, is_here
from towline.remotes.cache import Cache
from towline.remotes.dulwich_index import index_pack
from towline.remotes.dulwich_read import DulwichReader
from towline.remotes.fetcher import FetchRequest, PackTooLarge, Redirected, too_many_refs
from towline.remotes.git_failures import (
    ADVERTISEMENT,
    CUT,
    NO_REPOSITORY,
    SHA256,
    RefMissing,
    Unexplained,
    by_ssh_log,
    not_smart,
    out_of_memory,
    refused,
)
from towline.remotes.http_transport import HttpTransport
from towline.remotes.pack_entries import check_pack
from towline.remotes.refs import PEELED, WantedRef
from towline.remotes.ssh_log import ssh_log
from towline.remotes.ssh_transport import SshTransport
from towline.remotes.url import RemoteUrl, Scheme

if TYPE_CHECKING:
    from dulwich.client import DetermineWantsFunc

_FETCH = b"0012command=fetch"
_DELIMITER = b"0001"
_WISHES = b"000fno-progress000dofs-delta"
"""What dulwich does not ask for in protocol 2: it is a tenth of a small answer."""

_OURS = (TowlineError, Redirected, PackTooLarge, RefMissing, Unexplained)


@dataclass
class _Answer:
    """What dulwich asks of an HTTP answer, beside its content."""

    content_type: str | None
    redirect_location: str = ""

    def close(self) -> None:
        """Leave the connection to the next request."""


class _HttpClient(AbstractHttpGitClient):
    """dulwich's protocol over our HTTP."""

    def __init__(self, url: RemoteUrl, http: HttpTransport) -> None:
        super().__init__(url.address)
        self._fetch_capabilities.add(CAPABILITY_NO_PROGRESS)
        self._http = http

    def _get_url(self, path: str | bytes) -> str:  # noqa: ARG002 - the base's signature
        return self._base_url

    def _http_request(
        self,
        url: str,
        headers: dict[str, str] | None = None,
        data: bytes | Iterator[bytes] | None = None,
        raise_for_status: bool = True,  # noqa: ARG002, FBT001, FBT002 - the base's signature
    ) -> tuple[Any, Callable[[int], bytes]]:
        headers = headers or {}
        if isinstance(data, bytes) and data.startswith(_FETCH):
            data = data.replace(_DELIMITER, _DELIMITER + _WISHES, 1)
            headers["Content-Length"] = str(len(data))
        form = self._http.request(url, headers, data).headers.get("Content-Type", "")
        if data is None and form != ADVERTISEMENT:
            raise not_smart(self._http.talk)
        return _Answer(form), self._http.read


class _SshClient(TraditionalGitClient):
    """dulwich's protocol over our ssh."""

    def __init__(self, ssh: SshTransport) -> None:
        super().__init__()
        self._ssh = ssh

    def _connect(
        self,
        cmd: bytes,  # noqa: ARG002 - it only ever fetches
        path: str | bytes,  # noqa: ARG002 - the talk knows it
        protocol_version: int | None = None,  # noqa: ARG002 - the talk asks for the newest
    ) -> tuple[Protocol, Callable[[], bool], IO[bytes] | None]:
        return Protocol(self._ssh.read, self._ssh.write), self._ssh.can_read, None


@dataclass(frozen=True, slots=True)
class _Arrival:
    """Where a pack goes, and how much of it may."""

    talk: FetchRequest
    line: HttpTransport | SshTransport | None
    write: Callable[[bytes], int]
    got: list[int]

    def take(self, data: bytes) -> int:
        self.got[0] += len(data)
        if self.line is not None:
            self.line.incoming.is_pack = True
        if self.got[0] > self.talk.limits.pack_bytes:
            raise PackTooLarge
        if self.line is None:
            self.talk.traffic.bytes_down += len(data)
        self.talk.watch.report(Phase.FETCHING, self.got[0])
        return self.write(data)


class DulwichFetcher:
    """Fetches with dulwich."""

    def __init__(self, cache: Cache, environment: Mapping[str, str]) -> None:
        self._cache = cache
        self._environment = environment

    def refs(self, wanted: WantedRef, talk: FetchRequest) -> Mapping[str, str]:
        found = self._ask(talk, list(wanted.names))
        if not any(name in found for name in wanted.names):
            return self._ask(talk, None)
        return {name: oid for name, oid in found.items() if name in wanted.patterns}

    def head(self, talk: FetchRequest) -> str | None:
        with self._client(talk) as (client, _):
            listed = client.get_refs(_path(talk), ref_prefix=[b"HEAD"])
        target = listed.symrefs.get(HEADREF)
        if target is None or listed.refs.get(HEADREF) is None:
            return None
        return target.decode("utf-8", "replace")

    def fetch(self, wanted: WantedRef, talk: FetchRequest, depth: int | None) -> Revision:
        chosen: dict[str, str] = {}

        def determine(refs: Mapping[Ref, ObjectID], depth: int | None = None) -> list[ObjectID]:
            found = _texts(refs, talk)
            name = wanted.commit or next((n for n in wanted.names if n in found), None)
            if name is None:
                raise RefMissing
            oid = wanted.commit or found[name]
            chosen[name] = oid
            return [] if depth is None and is_here(self._reader, oid) else [ObjectID(oid.encode())]

        try:
            self._fetch(wanted, determine, talk, depth)
        except RefMissing:
            raise self._missing(wanted, talk) from None
        ((name, oid),) = chosen.items()
        revision = arrived(self._reader, oid)
        self._cache.set_tip(self._cache.tip_name(talk.url.address, name), revision)
        return revision

    def _reader(self) -> DulwichReader:
        return DulwichReader(self._cache)

    def _missing(self, wanted: WantedRef, talk: FetchRequest) -> TowlineError:
        empty = wanted.commit is None and not self._ask(talk, None)
        return wanted.missing(talk.url.shown, empty=empty)

    def _fetch(
        self,
        wanted: WantedRef,
        determine: DetermineWantsFunc,
        talk: FetchRequest,
        depth: int | None,
    ) -> None:
        commit = wanted.commit is not None
        with (
            self._client(talk, commit=commit) as (client, line),
            Repo(str(self._cache.path)) as repository,
            NamedTemporaryFile(prefix="tmp_pack_", dir=self._cache.path / "objects/pack") as pack,
        ):
            if talk.url.scheme is Scheme.FILE and wanted.commit is not None:
                _check_commit(wanted.commit, talk)
            arrival = _Arrival(talk, line, pack.write, [0])
            result: FetchPackResult = client.fetch_pack(
                _path(talk),
                determine,
                # Heads of the cache, since dulwich offers nothing else as known.
                repository.get_graph_walker(),
                arrival.take,
                line.incoming.add_progress if line is not None else None,
                depth=depth,
                ref_prefix=[name.encode() for name in wanted.names] or [b"HEAD"],
            )
            if arrival.got[0]:
                pack.flush()
                check_pack(pack.fileno(), talk)
                index_pack(pack.file, self._cache.path / "objects", talk)
            repository.update_shallow(result.new_shallow, result.new_unshallow)

    def _ask(self, talk: FetchRequest, names: list[str] | None) -> dict[str, str]:
        prefixes = None if names is None else [name.encode() for name in names]
        with self._client(talk) as (client, _):
            listed: LsRemoteResult = client.get_refs(_path(talk), ref_prefix=prefixes)
        found = {name: oid for name, oid in listed.refs.items() if oid is not None}
        if talk.url.scheme is Scheme.FILE:
            _add_peeled(found, names or [], talk)
        return _texts(found, talk)

    @contextmanager
    def _client(
        self, talk: FetchRequest, *, commit: bool = False
    ) -> Iterator[tuple[GitClient, HttpTransport | SshTransport | None]]:
        """A client for one conversation; whatever it raises leaves here as one of ours."""
        with ExitStack() as stack:
            line: HttpTransport | SshTransport | None = None
            client: GitClient
            if talk.url.is_http:
                line = stack.enter_context(HttpTransport(talk, self._environment))
                client = _HttpClient(talk.url, line)
            elif talk.url.scheme is Scheme.SSH:
                log = stack.enter_context(ssh_log(self._cache))
                line = SshTransport(talk, self._environment, log)
                stack.callback(line.close)
                client = _SshClient(line)
            else:
                client = LocalGitClient()
            try:
                yield client, line
            except _OURS:
                raise
            except Exception as error:  # noqa: BLE001 - no third-party exception crosses the port
                raise _failure(error, line, talk, commit=commit) from None


def _path(talk: FetchRequest) -> bytes:
    return os.fsencode(talk.url.path)


def _check_commit(commit: Revision, talk: FetchRequest) -> None:
    """Tell a commit that is not there: dulwich's local client would fail in the middle."""
    with Repo(talk.url.path) as repository:
        if ObjectID(commit.encode()) not in repository.object_store:
            raise RefMissing


def _add_peeled(found: dict[Ref, ObjectID], names: list[str], talk: FetchRequest) -> None:
    """Add what dulwich does not tell of a local repository: the commits behind tags."""
    with Repo(talk.url.path) as repository:
        for name in [Ref(text.encode()) for text in names if text.startswith("refs/tags/")]:
            if name in found:
                found[Ref(name + PEELED.encode())] = repository.get_peeled(name)


def _texts(refs: Mapping[Ref, ObjectID], talk: FetchRequest) -> dict[str, str]:
    if len(refs) > talk.limits.refs:
        raise too_many_refs("refs", talk.limits.refs, len(refs))
    texts = {name.decode("utf-8", "replace"): oid.decode() for name, oid in refs.items()}
    if any(len(oid) != 40 for oid in texts.values()):
        raise UnsupportedRemote(url=talk.url.shown, detail=SHA256)
    return texts


def _failure(
    error: Exception, line: HttpTransport | SshTransport | None, talk: FetchRequest, *, commit: bool
) -> Exception:
    """What an exception of dulwich means; told by its class, and by what this side observed."""
    if line is not None and line.cause is not None:
        return line.cause
    if isinstance(line, SshTransport) and (known := by_ssh_log(line.log(), talk)) is not None:
        return known
    if line is not None and (words := line.incoming.refusal) is not None:
        return RefMissing() if commit else refused(words, talk)
    if isinstance(line, SshTransport) and not line.incoming.count:
        return refused(line.messages(), talk)
    return _by_class(error, talk, b"" if line is None else line.incoming.progress)


def _by_class(error: Exception, talk: FetchRequest, progress: bytes) -> Exception:
    shown = talk.url.shown
    words = talk.quoted(progress.decode("utf-8", "replace"))
    match error:
        case MemoryError():
            return out_of_memory(talk)
        case NotGitRepository():
            return RemoteRefused(url=shown, detail=NO_REPOSITORY)
        case HangupException():
            return RemoteUnavailable(url=shown, detail="; ".join(filter(None, (CUT, words))))
        case GitProtocolError() | RecursionError():
            detail = "it broke the protocol"
            return RemoteRefused(url=shown, detail="; ".join(filter(None, (detail, words))))
        case _:
            return Unexplained(talk.cleaned(f"{type(error).__name__}: {error}"))
