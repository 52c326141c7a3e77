"""Parse and validate the address of a remote, the ref and the folder there: the one boundary.

An address never becomes an option or a transport helper of git, and credentials in it are split off
at once: what has a `RemoteUrl` can neither show nor store them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import unquote

from towline.errors import EmptyRepository, InvalidValue, RefNotFound
from towline.frozen import frozen
from towline.model import Revision
from towline.names import path_problem
from towline.remotes.credentials import Credential


class Scheme(StrEnum):
    """The supported transports; ``file`` includes local paths."""

    HTTPS = "https"
    SSH = "ssh"
    HTTP = "http"
    FILE = "file"
    SFTP = "sftp"
    """Of files that are in no repository, as the next one."""
    POSTGRESQL = "postgresql"


GIT_SCHEMES = frozenset({Scheme.HTTPS, Scheme.SSH, Scheme.HTTP, Scheme.FILE})
"""The transports of Git repositories."""
ALL_SCHEMES: frozenset[Scheme] = frozenset(Scheme)

DEFAULT_PORTS = {
    Scheme.HTTPS: 443,
    Scheme.HTTP: 80,
    Scheme.SSH: 22,
    Scheme.SFTP: 22,
    Scheme.POSTGRESQL: 5432,
}


class Origin(NamedTuple):
    """The origin of a URL; a credential is sent to one origin alone."""

    scheme: Scheme
    host: str
    port: int | None


@frozen(kw_only=True)
class RemoteUrl:
    """An address without credentials, for git and for messages."""

    address: str
    """For git and for messages; without a credential."""
    scheme: Scheme
    host: str = ""
    port: int | None = None
    user: str = ""
    """The login name of ssh; not secret."""
    path: str

    @classmethod
    def parse(cls, text: str, allowed: AbstractSet[Scheme] = GIT_SCHEMES) -> Self:
        """Parse an address; a credential in it is dropped (see `split`).

        Raises:
            InvalidValue: it is an option, a transport that is not allowed, or malformed.
        """
        return cls.split(text, allowed)[0]

    @classmethod
    def split(
        cls, text: str, allowed: AbstractSet[Scheme] = GIT_SCHEMES
    ) -> tuple[Self, Credential | None]:
        """Parse an address and the credential in it. Raises as `parse`."""
        _refuse_hostile(text)
        if match := _URL.fullmatch(text):
            url, credential = cls._from_url(match)
        elif match := _SCP.fullmatch(text):
            url, credential = cls._from_scp(match), None
        else:
            url, credential = cls(address=text, scheme=Scheme.FILE, path=text), None
        if url.scheme not in allowed:
            raise _invalid(f"the transport {url.scheme} is not allowed here")
        return url, credential

    @classmethod
    def _from_url(cls, match: re.Match[str]) -> tuple[Self, Credential | None]:
        scheme = _scheme(match["scheme"])
        if scheme is Scheme.FILE:
            return cls._from_file(match), None
        host, port = _host_and_port(match["place"])
        path = match["path"] or "/"
        if "@" in path:  # probably of a password that is not encoded
            raise _invalid("has a misplaced @: write %2F for a / in a password, %40 for an @")
        _refuse_secrets(path)
        if unquote(path).lstrip("/").startswith("-"):
            raise _invalid("its path looks like an option")
        user, credential = _userinfo(scheme, match["userinfo"])
        where = f"[{host}]" if ":" in host else host
        if port is not None:
            where = f"{where}:{port}"
        login = f"{user}@" if user else ""
        address = f"{scheme}://{login}{where}{path}"
        url = cls(address=address, scheme=scheme, host=host, port=port, user=user, path=path)
        return url, credential

    @classmethod
    def _from_file(cls, match: re.Match[str]) -> Self:
        if match["userinfo"] or match["place"] not in ("", "localhost"):
            raise _invalid("a file URL must have no host: file:///path")
        path = unquote(match["path"] or "")
        if not path.startswith("/"):
            raise _invalid("a file URL needs an absolute path")
        return cls(address=f"file://{match['path']}", scheme=Scheme.FILE, path=path)

    @classmethod
    def _from_scp(cls, match: re.Match[str]) -> Self:
        user, host, path = match["user"] or "", match["host"], match["path"]
        for part in (user, host, path):
            if part.startswith("-"):
                raise _invalid("a part of it looks like an option")
        if host.lower() in set(Scheme) or _MISPLACED_SECRET.match(path):
            raise _invalid("is malformed")
        _refuse_secrets(path)
        if user and not _LOGIN.fullmatch(user):
            raise _invalid("its user is malformed")
        host = _host_and_port(host)[0]
        where = f"[{host}]" if ":" in host else host
        address = f"{user}@{where}:{path}" if user else f"{where}:{path}"
        return cls(address=address, scheme=Scheme.SSH, host=host, user=user, path=path)

    def absolute(self) -> Self:
        """Return the URL with an absolute path, if it is a path of this machine."""
        if self.scheme is not Scheme.FILE or self.address.startswith("file://"):
            return self
        path = str(Path(self.path).absolute())
        return replace(self, address=path, path=path)

    @property
    def origin(self) -> Origin:
        """Scheme, host and port, normalised."""
        port = self.port if self.port is not None else DEFAULT_PORTS.get(self.scheme)
        return Origin(self.scheme, self.host.lower(), port)

    @property
    def takes_credential(self) -> bool:
        """Whether a user and a password may go with it; ssh has its agent."""
        return self.scheme not in (Scheme.SSH, Scheme.FILE)

    @property
    def is_http(self) -> bool:
        """Whether the transport is HTTP, encrypted or not."""
        return self.scheme in (Scheme.HTTP, Scheme.HTTPS)

    def __str__(self) -> str:
        return self.address


_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://"
    r"(?:(?P<userinfo>[^/?#]*)@)?(?P<place>[^/?#@]*)(?P<path>.*)",
    re.DOTALL,
)
# As in git: a colon before the first slash, and no URL.
_SCP = re.compile(
    r"(?:(?P<user>[^/:@]+)@)?(?P<host>\[[^\]/]+\]|[^/:@\[\]]+):(?P<path>.+)", re.DOTALL
)
# user:password@host:path is no address, and must not be shown.
_MISPLACED_SECRET = re.compile(r"[^/]*@")
# Parameters in which hosts accept tokens: private_token=…, access-token=…, password=…, key=….
_SECRET_FIELD = re.compile(
    r"(?:token|secret|passw(?:or)?d|credentials?|auth|signature|key)\s*=", re.IGNORECASE
)
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.-]*::")
_LOGIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+@-]*")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")


def _invalid(problem: str) -> InvalidValue:
    # Without the text itself: it may contain a password.
    return InvalidValue(field="url", problem=problem)


def _refuse_hostile(text: str) -> None:
    if not text.strip():
        raise _invalid("is empty")
    if text.startswith("-"):
        raise _invalid("looks like an option")
    for form in (text, unquote(text)):  # git decodes an encoded line break
        if any(ord(character) < 32 or ord(character) == 127 for character in form):
            raise _invalid("contains a control character")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise _invalid("is not Unicode text")
    if _HELPER.match(text):
        raise _invalid("transport helpers (such as ext::) are not allowed")


def _refuse_secrets(path: str) -> None:
    """Refuse parameters: a token in one would be stored and shown."""
    if "?" in path or "#" in path or _SECRET_FIELD.search(unquote(path)):
        raise _invalid(
            "has parameters, which may be a secret; give the address without them, "
            "and the token as a credential"
        )


def _scheme(text: str) -> Scheme:
    name = text.lower()
    name = "ssh" if name in ("git+ssh", "ssh+git") else name
    if name not in set(Scheme):
        known = ", ".join(each for each in Scheme if each in GIT_SCHEMES)
        raise _invalid(f"the transport {name!r} is not supported; use one of {known}")
    return Scheme(name)


def _host_and_port(place: str) -> tuple[str, int | None]:
    host, port = place, ""
    if place.startswith("["):
        host, bracket, rest = place[1:].partition("]")
        if not bracket or not _IPV6.fullmatch(host) or (rest and not rest.startswith(":")):
            raise _invalid("its host is malformed")
        port = rest[1:]
    else:
        host, _, port = place.partition(":")
        if not host:
            raise _invalid("has no host")
        if not _HOST.fullmatch(host):
            raise _invalid("its host is malformed")
    if not port:
        return host, None
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise _invalid("its port is malformed")
    return host, int(port)


def _userinfo(scheme: Scheme, userinfo: str | None) -> tuple[str, Credential | None]:
    """Return the login of ssh, or the credential for HTTP."""
    if not userinfo:
        return "", None
    name, _, password = userinfo.partition(":")
    if scheme is Scheme.SSH:
        if not _LOGIN.fullmatch(name):
            raise _invalid("its user is malformed")
        return name, None
    return "", Credential(unquote(name), unquote(password), "the URL")


PEELED = "^{}"
"""The suffix of a peeled tag: the commit that an annotated tag points to."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
# What git check-ref-format refuses, and options.
_MALFORMED = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[-/.]|/\.|[/.]$|\.lock(?:/|$)|^@$")


class WantedRef(NamedTuple):
    """A configured ref, and the full names that it may mean, in order of precedence."""

    text: str
    names: tuple[str, ...] = ()
    commit: Revision | None = None
    """Set for a commit id, which has no names."""

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Parse a ref; None is the remote's HEAD.

        Raises:
            InvalidValue: no branch or tag can have this name.
        """
        if text is None or text == "HEAD":
            return cls(text="HEAD", names=("HEAD",))
        if _COMMIT.fullmatch(text.lower()):
            return cls(text=text, commit=Revision(text.lower()))
        if not text or _MALFORMED.search(text):
            raise InvalidValue(field="ref", problem=f"{text[:80]!r} is not a branch, tag or commit")
        if text.startswith("refs/"):
            return cls(text=text, names=(text,))
        if text.startswith(("heads/", "tags/")):
            return cls(text=text, names=(f"refs/{text}",))
        return cls(text=text, names=(f"refs/heads/{text}", f"refs/tags/{text}"))

    def choose(self, found: Mapping[str, str]) -> tuple[str, Revision] | None:
        """Return the first name that the remote has, if any, and its commit."""
        for name in self.names:
            if name in found:
                return name, Revision(found.get(name + PEELED, found[name]))
        return None

    def missing(self, url: str, *, empty: bool) -> RefNotFound:
        """Return the error for a remote that has none of the names."""
        kind = EmptyRepository if empty or self.text == "HEAD" else RefNotFound
        return kind(url=url, ref=self.text)


def parse_scope(text: str) -> str:
    """Parse the subfolder that is a project; ``""`` is the whole repository.

    Raises:
        InvalidValue: no folder of an asset can have this path.
    """
    scope = text.strip("/")
    if scope and (problem := path_problem(scope)):
        raise InvalidValue(field="scope", problem=problem)
    return scope
