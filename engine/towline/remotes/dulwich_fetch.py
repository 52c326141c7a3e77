"""Lists refs and fetches with dulwich, which needs neither git nor a C library.

Its HTTP, ssh and time-outs are not used: towline's transports limit, count and cancel.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from tempfile import NamedTemporaryFile
from typing import IO, TYPE_CHECKING, Any, TypeAlias

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
from towline.remotes.cache import Cache
from towline.remotes.dulwich_read import DulwichReader
from towline.remotes.fetcher import (
    FetchRequest,
    PackTooLarge,
    Redirected,
    RefMissing,
    Unexplained,
    too_many_refs,
)
from towline.remotes.git_failures import (
    ADVERTISEMENT,
    CUT,
    NO_REPOSITORY,
    SHA256,
    by_ssh_log,
    not_smart,
    out_of_memory,
    refused,
)
from towline.remotes.http_transport import HttpTransport
from towline.remotes.objects import fetched_commit, has_object
from towline.remotes.packs import check_pack, index_pack
from towline.remotes.refs import PEELED, WantedRef
from towline.remotes.ssh_transport import SshTransport, ssh_log
from towline.remotes.url import RemoteUrl, Scheme

if TYPE_CHECKING:
    from dulwich.client import DetermineWantsFunc

_FETCH = b"0012command=fetch"
_DELIMITER = b"0001"
_OPTIONS = b"000fno-progress000dofs-delta"
"""Options that dulwich does not send in protocol 2; they save a tenth of a small response."""

_Transport: TypeAlias = HttpTransport | SshTransport
_KNOWN_ERRORS = (TowlineError, Redirected, PackTooLarge, RefMissing, Unexplained)


@dataclass
class _Response:
    """The fields of an HTTP response that dulwich reads."""

    content_type: str | None
    redirect_location: str = ""

    def close(self) -> None:
        """Leave the connection open for the next request."""


class _HttpClient(AbstractHttpGitClient):
    """dulwich's protocol over `HttpTransport`."""

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
            data = data.replace(_DELIMITER, _DELIMITER + _OPTIONS, 1)
            headers["Content-Length"] = str(len(data))
        form = self._http.send(url, headers, data).headers.get("Content-Type", "")
        if data is None and form != ADVERTISEMENT:
            raise not_smart(self._http.request)
        return _Response(form), self._http.read


class _SshClient(TraditionalGitClient):
    """dulwich's protocol over `SshTransport`."""

    def __init__(self, ssh: SshTransport) -> None:
        super().__init__()
        self._ssh = ssh

    def _connect(
        self,
        cmd: bytes,  # noqa: ARG002 - the command is the transport's
        path: str | bytes,  # noqa: ARG002 - and so is the path
        protocol_version: int | None = None,  # noqa: ARG002 - and the version
    ) -> tuple[Protocol, Callable[[], bool], IO[bytes] | None]:
        return Protocol(self._ssh.read, self._ssh.write), self._ssh.can_read, None


@dataclass
class _PackWriter:
    """Writes a pack to a file, up to the limit."""

    request: FetchRequest
    transport: _Transport | None
    file: IO[bytes]
    size: int = 0

    def write(self, data: bytes) -> int:
        self.size += len(data)
        if self.transport is not None:
            self.transport.incoming.is_pack = True
        if self.size > self.request.limits.pack_bytes:
            raise PackTooLarge
        if self.transport is None:
            self.request.traffic.bytes_down += len(data)
        self.request.watch.report(Phase.FETCHING, self.size)
        return self.file.write(data)


class DulwichFetcher:
    """A `Fetcher` that uses dulwich."""

    def __init__(self, cache: Cache, environment: Mapping[str, str]) -> None:
        self._cache = cache
        self._environment = environment

    def refs(self, wanted: WantedRef, request: FetchRequest) -> Mapping[str, str]:
        found = self._ls_remote(request, list(wanted.names))
        if not any(name in found for name in wanted.names):
            return self._ls_remote(request, None)
        return {name: oid for name, oid in found.items() if name in wanted.patterns}

    def head(self, request: FetchRequest) -> str | None:
        with self._client(request) as (client, _):
            listed = client.get_refs(_path(request), ref_prefix=[b"HEAD"])
        target = listed.symrefs.get(HEADREF)
        if target is None or listed.refs.get(HEADREF) is None:
            return None
        return target.decode("utf-8", "replace")

    def fetch(self, wanted: WantedRef, request: FetchRequest) -> Revision:
        chosen: dict[str, str] = {}

        def determine(refs: Mapping[Ref, ObjectID], depth: int | None = None) -> list[ObjectID]:
            found = _decoded(refs, request)
            name = wanted.commit or next((n for n in wanted.names if n in found), None)
            if name is None:
                raise RefMissing
            oid = wanted.commit or found[name]
            chosen[name] = oid
            return (
                [] if depth is None and has_object(self._reader, oid) else [ObjectID(oid.encode())]
            )

        try:
            self._fetch_pack(wanted, determine, request)
        except RefMissing:
            empty = wanted.commit is None and not self._ls_remote(request, None)
            raise wanted.missing(request.url.shown, empty=empty) from None
        ((name, oid),) = chosen.items()
        revision = fetched_commit(self._reader, oid)
        self._cache.set_tip(self._cache.tip_name(request.url.address, name), revision)
        return revision

    def _reader(self) -> DulwichReader:
        return DulwichReader(self._cache)

    def _fetch_pack(
        self, wanted: WantedRef, determine: DetermineWantsFunc, request: FetchRequest
    ) -> None:
        commit = wanted.commit is not None
        with (
            self._client(request, commit=commit) as (client, transport),
            Repo(str(self._cache.path)) as repository,
            NamedTemporaryFile(prefix="tmp_pack_", dir=self._cache.path / "objects/pack") as pack,
        ):
            if request.url.scheme is Scheme.FILE and wanted.commit is not None:
                _check_commit(wanted.commit, request)
            writer = _PackWriter(request, transport, pack.file)
            result: FetchPackResult = client.fetch_pack(
                _path(request),
                determine,
                # dulwich sends the heads of the cache as haves, and nothing else.
                repository.get_graph_walker(),
                writer.write,
                transport.incoming.add_progress if transport is not None else None,
                depth=request.depth,
                ref_prefix=[name.encode() for name in wanted.names] or [b"HEAD"],
            )
            if writer.size:
                pack.flush()
                check_pack(pack.fileno(), request)
                index_pack(pack.file, self._cache.path / "objects", request)
            repository.update_shallow(result.new_shallow, result.new_unshallow)

    def _ls_remote(self, request: FetchRequest, names: list[str] | None) -> dict[str, str]:
        prefixes = None if names is None else [name.encode() for name in names]
        with self._client(request) as (client, _):
            listed: LsRemoteResult = client.get_refs(_path(request), ref_prefix=prefixes)
        found = {name: oid for name, oid in listed.refs.items() if oid is not None}
        if request.url.scheme is Scheme.FILE:
            _add_peeled(found, names or [], request)
        return _decoded(found, request)

    @contextmanager
    def _client(
        self, request: FetchRequest, *, commit: bool = False
    ) -> Iterator[tuple[GitClient, _Transport | None]]:
        """Open a client for one request; its exceptions become typed errors."""
        with ExitStack() as stack:
            transport: _Transport | None = None
            client: GitClient
            if request.url.is_http:
                transport = stack.enter_context(HttpTransport(request, self._environment))
                client = _HttpClient(request.url, transport)
            elif request.url.scheme is Scheme.SSH:
                log = stack.enter_context(ssh_log(self._cache))
                transport = SshTransport(request, self._environment, log)
                stack.callback(transport.close)
                client = _SshClient(transport)
            else:
                client = LocalGitClient()
            try:
                yield client, transport
            except _KNOWN_ERRORS:
                raise
            except Exception as error:  # noqa: BLE001 - no third-party exception crosses the port
                raise _failure(error, transport, request, commit=commit) from None


def _path(request: FetchRequest) -> bytes:
    return os.fsencode(request.url.path)


def _check_commit(commit: Revision, request: FetchRequest) -> None:
    """Raise if a commit is missing: dulwich's local client would fail midway."""
    with Repo(request.url.path) as repository:
        if ObjectID(commit.encode()) not in repository.object_store:
            raise RefMissing


def _add_peeled(found: dict[Ref, ObjectID], names: list[str], request: FetchRequest) -> None:
    """Add the peeled tags, which dulwich does not list for a local repository."""
    with Repo(request.url.path) as repository:
        for name in [Ref(text.encode()) for text in names if text.startswith("refs/tags/")]:
            if name in found:
                found[Ref(name + PEELED.encode())] = repository.get_peeled(name)


def _decoded(refs: Mapping[Ref, ObjectID], request: FetchRequest) -> dict[str, str]:
    if len(refs) > request.limits.refs:
        raise too_many_refs("refs", request.limits.refs, len(refs))
    texts = {name.decode("utf-8", "replace"): oid.decode() for name, oid in refs.items()}
    if any(len(oid) != 40 for oid in texts.values()):
        raise UnsupportedRemote(url=request.url.shown, detail=SHA256)
    return texts


def _failure(
    error: Exception,
    transport: _Transport | None,
    request: FetchRequest,
    *,
    commit: bool,
) -> Exception:
    """Return the error for an exception of dulwich, by its class and the transport."""
    if transport is not None and transport.cause is not None:
        return transport.cause
    if (
        isinstance(transport, SshTransport)
        and (known := by_ssh_log(transport.log(), request)) is not None
    ):
        return known
    if transport is not None and (message := transport.incoming.refusal) is not None:
        return RefMissing() if commit else refused(message, request)
    if isinstance(transport, SshTransport) and not transport.incoming.count:
        return refused(transport.messages(), request)
    return _by_class(error, request, b"" if transport is None else transport.incoming.progress)


def _by_class(error: Exception, request: FetchRequest, progress: bytes) -> Exception:
    shown = request.url.shown
    quoted = request.quoted(progress.decode("utf-8", "replace"))
    match error:
        case MemoryError():
            return out_of_memory(request)
        case NotGitRepository():
            return RemoteRefused(url=shown, detail=NO_REPOSITORY)
        case HangupException():
            return RemoteUnavailable(url=shown, detail="; ".join(filter(None, (CUT, quoted))))
        case GitProtocolError() | RecursionError():
            detail = "; ".join(filter(None, ("it violates the protocol", quoted)))
            return RemoteRefused(url=shown, detail=detail)
        case _:
            return Unexplained(request.cleaned(f"{type(error).__name__}: {error}"))
