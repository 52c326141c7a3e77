"""Lists refs and fetches with dulwich, which needs neither git nor a C library; or lists alone.

Its HTTP, ssh and time-outs are not used: towline's transports limit, count and cancel.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from tempfile import NamedTemporaryFile
from types import SimpleNamespace
from typing import IO, Any, TypeAlias, TypeVar

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

from towline.errors import RemoteRefused, RemoteUnavailable, TowlineError
from towline.model import Revision
from towline.ports import Phase
from towline.remotes.cache import Cache
from towline.remotes.fetcher import (
    Fetcher,
    FetchRequest,
    PackTooLarge,
    Redirected,
    RefMissing,
    Unexplained,
)
from towline.remotes.git_failures import (
    ADVERTISEMENT,
    CUT,
    NO_REPOSITORY,
    NOT_SMART,
    by_ssh_log,
    out_of_memory,
    refused,
)
from towline.remotes.objects import fetched_commit
from towline.remotes.packs import DulwichReader, check_pack, index_pack
from towline.remotes.ssh import ssh_log
from towline.remotes.transports import HttpTransport, SshTransport
from towline.remotes.url import PEELED, RemoteUrl, Scheme, WantedRef

T = TypeVar("T")
_FETCH = b"0012command=fetch"
_DELIMITER = b"0001"
_OPTIONS = b"000fno-progress000dofs-delta"
"""Options that dulwich does not send in protocol 2; they save a tenth of a small response."""

_Transport: TypeAlias = HttpTransport | SshTransport
_KNOWN_ERRORS = (TowlineError, Redirected, PackTooLarge, RefMissing, Unexplained)


class _HttpClient(AbstractHttpGitClient):
    """dulwich's protocol over `HttpTransport`.

    ``capabilities`` has what servers advertised in protocol 2, by URL: no refs, so that a later
    client need not ask again.
    """

    def __init__(self, url: RemoteUrl, http: HttpTransport, capabilities: dict[str, bytes]) -> None:
        super().__init__(url.address)
        self._fetch_capabilities.add(CAPABILITY_NO_PROGRESS)
        self._http = http
        self._capabilities = capabilities
        self._advertised: tuple[str, bytearray] | None = None

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
        if data is None and url in self._capabilities:
            return _response(ADVERTISEMENT), BytesIO(self._capabilities[url]).read
        if self._advertised is not None and self.protocol_version == 2:
            known, content = self._advertised
            self._capabilities[known] = bytes(content)
        self._advertised = None
        if isinstance(data, bytes) and data.startswith(_FETCH):
            data = data.replace(_DELIMITER, _DELIMITER + _OPTIONS, 1)
            headers["Content-Length"] = str(len(data))
        form = self._http.send(url, headers, data).headers.get("Content-Type", "")
        if data is None and form != ADVERTISEMENT:
            raise self._http.request.error(RemoteRefused, NOT_SMART)
        if data is None:
            self._advertised = url, bytearray()
            return _response(form), self._read_advertised
        return _response(form), self._http.read

    def _read_advertised(self, size: int) -> bytes:
        data = self._http.read(size)
        if self._advertised is not None:
            self._advertised[1].extend(data)
        return data


def _response(form: str) -> Any:
    """Return what dulwich reads of a response; the connection stays open for the next request."""
    return SimpleNamespace(content_type=form, redirect_location="", close=lambda: None)


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
        self._capabilities: dict[str, bytes] = {}

    def refs(self, names: Sequence[str], request: FetchRequest) -> Mapping[str, str]:
        return self._again(lambda: self._refs(names, request))

    def head(self, request: FetchRequest) -> str | None:
        return self._again(lambda: self._head(request))

    def fetch(self, wanted: WantedRef, request: FetchRequest) -> Revision:
        return self._again(lambda: self._fetch(wanted, request))

    def _again(self, action: Callable[[], T]) -> T:
        """Run a request; where it relies on what was advertised before, once more without that."""
        relies = bool(self._capabilities)
        try:
            return action()
        except (RemoteRefused, RemoteUnavailable, Unexplained) as error:
            # A subclass has another reason, such as the credentials.
            if not relies or type(error) not in (RemoteRefused, RemoteUnavailable, Unexplained):
                raise
            self._capabilities.clear()
            return action()

    def _refs(self, names: Sequence[str], request: FetchRequest) -> Mapping[str, str]:
        prefixes = [name.encode() for name in names] or None
        with self._client(request) as (client, _):
            listed: LsRemoteResult = client.get_refs(_path(request), ref_prefix=prefixes)
        found = {name: oid for name, oid in listed.refs.items() if oid is not None}
        if request.url.scheme is Scheme.FILE:
            _add_peeled(found, names, request)
        return _decoded(found, request)

    def _head(self, request: FetchRequest) -> str | None:
        with self._client(request) as (client, _):
            listed = client.get_refs(_path(request), ref_prefix=[b"HEAD"])
        target = listed.symrefs.get(HEADREF)
        if target is None or listed.refs.get(HEADREF) is None:
            return None
        return target.decode("utf-8", "replace")

    def _fetch(self, wanted: WantedRef, request: FetchRequest) -> Revision:
        name, oid = "", wanted.commit or ""
        with (
            self._client(request, commit=wanted.commit is not None) as (client, transport),
            Repo(str(self._cache.path)) as repository,
            NamedTemporaryFile(prefix="tmp_pack_", dir=self._cache.path / "objects/pack") as pack,
        ):
            if request.url.scheme is Scheme.FILE and wanted.commit is not None:
                _check_commit(wanted.commit, request)

            def determine(refs: Mapping[Ref, ObjectID], depth: int | None = None) -> list[ObjectID]:
                nonlocal name, oid
                found = _decoded(refs, request)
                name = wanted.commit or next((n for n in wanted.names if n in found), "")
                if not name:
                    raise RefMissing
                oid = wanted.commit or found[name]
                known = depth is None and ObjectID(oid.encode()) in repository.object_store
                if known:
                    return []
                request.watch.report_arriving()
                return [ObjectID(oid.encode())]

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
        tip = self._cache.tip_name(request.url.address, name)
        if not writer.size and oid == self._cache.tip(tip):
            return Revision(oid)
        revision = fetched_commit(DulwichReader(self._cache), oid)
        self._cache.set_tip(tip, revision)
        return revision

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
                client = _HttpClient(request.url, transport, self._capabilities)
            elif request.url.scheme is Scheme.SSH:
                log = stack.enter_context(ssh_log(self._cache.path / "objects/pack"))
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


def _path(request: FetchRequest) -> bytes:
    return os.fsencode(request.url.path)


def _check_commit(commit: Revision, request: FetchRequest) -> None:
    """Raise if a commit is missing: dulwich's local client would fail midway."""
    with Repo(request.url.path) as repository:
        if ObjectID(commit.encode()) not in repository.object_store:
            raise RefMissing


def _add_peeled(found: dict[Ref, ObjectID], names: Sequence[str], request: FetchRequest) -> None:
    """Add the peeled tags, which dulwich does not list for a local repository."""
    with Repo(request.url.path) as repository:
        for name in [Ref(text.encode()) for text in names if text.startswith("refs/tags/")]:
            if name in found:
                found[Ref(name + PEELED.encode())] = repository.get_peeled(name)


def _decoded(refs: Mapping[Ref, ObjectID], request: FetchRequest) -> dict[str, str]:
    return request.refs((n.decode("utf-8", "replace"), oid.decode()) for n, oid in refs.items())


def _failure(
    error: Exception, transport: _Transport | None, request: FetchRequest, *, commit: bool
) -> Exception:
    """Return the error for an exception of dulwich, by its class and the transport."""
    if transport is not None and transport.cause is not None:
        return transport.cause
    if isinstance(transport, SshTransport) and (known := by_ssh_log(transport.log(), request)):
        return known
    if transport is not None and (message := transport.incoming.refusal) is not None:
        return RefMissing() if commit else refused(message, request)
    if isinstance(transport, SshTransport) and not transport.incoming.count:
        return refused(transport.messages(), request)
    return _by_class(error, request, b"" if transport is None else transport.incoming.progress)


def _by_class(error: Exception, request: FetchRequest, progress: bytes) -> Exception:
    quoted = request.quoted(progress.decode("utf-8", "replace"))
    match error:
        case MemoryError():
            return out_of_memory(request)
        case NotGitRepository():
            return request.error(RemoteRefused, NO_REPOSITORY)
        case HangupException():
            return request.error(RemoteUnavailable, "; ".join(filter(None, (CUT, quoted))))
        case GitProtocolError() | RecursionError():
            detail = "; ".join(filter(None, ("it violates the protocol", quoted)))
            return request.error(RemoteRefused, detail)
        case _:
            return Unexplained(request.cleaned(f"{type(error).__name__}: {error}"))
