"""The files below a folder of an SFTP server."""

from __future__ import annotations

import errno
import socket
import stat
import time
from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from io import StringIO
from urllib.parse import unquote

import paramiko

from towline.errors import (
    AuthenticationFailed,
    InvalidTree,
    PermissionDenied,
    RemoteError,
    RemoteRefused,
    RemoteTimeout,
    RemoteUnavailable,
)
from towline.remotes.fetcher import FetchRequest
from towline.remotes.git_failures import CUT, SILENT

from .config import SftpConfig
from .ports import SourceFile

_SETTLED_SECONDS = 2
"""A file that changed so recently may change again within the second that its time names."""
_SIGNATURES = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
_PRIVATE_KEY = "-----BEGIN "
_KEYS = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)


@contextmanager
def open_source(config: SftpConfig, request: FetchRequest) -> Iterator[Sftp]:
    """Open the folder at the address of a request, on the server with the expected key alone."""
    with _failures(request), closing(paramiko.Transport(_connected(request))) as transport:
        _greet(transport, config, request)
        _log_in(transport, request)
        client = paramiko.SFTPClient.from_transport(transport)
        assert client is not None, "the transport is open"
        client.get_channel().settimeout(request.limits.idle_seconds)
        yield Sftp(config, request, client)


def _connected(request: FetchRequest) -> socket.socket:
    last: OSError = OSError("there is no such host")
    for address in request.addresses or (request.url.host,):
        try:
            place = (address, request.url.origin.port or 22)
            return socket.create_connection(place, request.limits.connect_seconds)
        except OSError as error:
            last = error
    raise last


def _greet(transport: paramiko.Transport, config: SftpConfig, request: FetchRequest) -> None:
    """Exchange keys; no credential is sent to a server with another one."""
    kind, _, encoded = config.host_key.partition(" ")
    transport.get_security_options().key_types = _SIGNATURES.get(kind, (kind,))
    seconds = request.limits.idle_seconds
    transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = seconds
    try:
        transport.start_client(timeout=seconds)
    except paramiko.ssh_exception.IncompatiblePeer:
        raise _other_key(request) from None
    if transport.get_remote_server_key().asbytes() != b64decode(encoded):
        raise _other_key(request)


def _other_key(request: FetchRequest) -> RemoteRefused:
    detail = "its host key differs from the connection's: someone may be intercepting it"
    return request.error(RemoteRefused, detail)


def _log_in(transport: paramiko.Transport, request: FetchRequest) -> None:
    given = request.credential
    if given is None:
        raise request.error(AuthenticationFailed, "authentication required")
    if given.password.startswith(_PRIVATE_KEY):
        transport.auth_publickey(given.username, _private_key(given.password, request))
    else:
        transport.auth_password(given.username, given.password)


def _private_key(text: str, request: FetchRequest) -> paramiko.PKey:
    for kind in _KEYS:
        try:
            return kind.from_private_key(StringIO(text))
        except (paramiko.SSHException, ValueError):
            continue
    detail = "the private key cannot be read: OpenSSH's format, without a passphrase"
    raise AuthenticationFailed(url=request.url.address, detail=detail, refused=True)


@dataclass
class Sftp:
    """A `Source` over the files below a folder; what is no plain file, as a link, is none."""

    config: SftpConfig
    request: FetchRequest
    client: paramiko.SFTPClient

    @property
    def name(self) -> str:
        """The author of the commits."""
        return self.request.url.address

    @property
    def _root(self) -> str:
        return unquote(self.request.url.path).rstrip("/") or "/"

    def entries(self) -> Iterator[SourceFile]:
        """Yield an entry for each file."""
        limits, folders, seen = self.request.limits, [""], 1
        settled = time.time() - _SETTLED_SECONDS
        while folders:
            folder = folders.pop()
            if folder.count("/") > limits.depth:
                raise limits.exceeded("depth", folder.count("/"), folder)
            for each in self._listed(folder):
                self.request.check()
                path, mode = f"{folder}{each.filename}", each.st_mode or 0
                if stat.S_ISDIR(mode):
                    folders.append(f"{path}/")
                    seen += 1
                    if seen > limits.tree_entries:
                        raise limits.exceeded("tree_entries", seen, "folders of the source")
                elif stat.S_ISREG(mode) and self.config.includes(path):
                    changed, size = each.st_mtime or 0, each.st_size or 0
                    version = f"{changed}-{size}" if 0 < changed < settled else ""
                    yield SourceFile(path=path, version=version, size=size)

    def read(self, entries: Sequence[SourceFile]) -> Iterator[tuple[SourceFile, bytes]]:
        """Yield the contents of files."""
        for entry in entries:
            with self.client.open(f"{self._root}/{entry.path}", "rb") as file:
                file.prefetch(entry.size)
                # One more than may be: the snapshot refuses it.
                yield entry, file.read(self.request.limits.asset_bytes + 1)

    def _listed(self, folder: str) -> Iterator[paramiko.SFTPAttributes]:
        place = f"{self._root}/{folder}".rstrip("/") or "/"
        try:
            yield from self.client.listdir_iter(place)
        except UnicodeDecodeError:
            problem = f"a name in {place!r} is not Unicode text"
            raise InvalidTree(problems=(problem,)) from None


@contextmanager
def _failures(request: FetchRequest) -> Iterator[None]:
    """Turn what the library raises into the errors of a remote, without the server's text."""
    try:
        yield
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise _failure(request, error) from None


def _failure(request: FetchRequest, error: Exception) -> RemoteError:
    match error:
        case paramiko.AuthenticationException():
            detail = "the credential was refused"
            return AuthenticationFailed(url=request.url.address, detail=detail, refused=True)
        case TimeoutError():
            return request.error(RemoteTimeout, SILENT)
        case OSError(errno=errno.ENOENT):
            return request.error(RemoteRefused, "the folder, or a file of its list, is not there")
        case OSError(errno=errno.EACCES):
            return request.error(PermissionDenied, "the user may not read a file or a folder of it")
        case paramiko.SSHException():
            return request.error(RemoteUnavailable, "it did not complete the SSH handshake")
        case _:
            return request.error(RemoteUnavailable, CUT)
