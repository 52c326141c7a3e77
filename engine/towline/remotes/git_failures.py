"""Owns what a failed git child means: each failure as the typed error of `towline.errors`.

HTTP statuses are taken from curl's own trace; what has none is told by git's messages, which
LC_ALL=C keeps in one language.
"""

from __future__ import annotations

import re
from http import HTTPStatus

from towline.errors import (
    AuthenticationFailed,
    LimitExceeded,
    PermissionDenied,
    RateLimited,
    RemoteError,
    RemoteRefused,
    RemoteTimeout,
    RemoteUnavailable,
    TowlineError,
    UnsupportedRemote,
)

from .conversation import Conversation, Redirected, cleaned
from .git_child import Ended
from .git_environment import MEMORY_BYTES

ADVERTISEMENT = "application/x-git-upload-pack-advertisement"
SHA256 = "it has sha256 objects, which towline does not read"


class RefMissing(Exception):
    """The remote has no ref or commit of this name."""


class Unexplained(Exception):
    """Git failed for no reason that a remote gives; the cache may be damaged."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


_BY_MESSAGE: tuple[tuple[str, type[RemoteError], str], ...] = (
    (
        r"mismatched algorithms|unsupported object[- ]format|unknown object format",
        UnsupportedRemote,
        SHA256,
    ),
    (
        r"terminal prompts disabled|could not read (?:Username|Password)|Authentication failed",
        AuthenticationFailed,
        "it wants credentials, or did not take those it got",
    ),
    (r"Host key verification failed", RemoteRefused, "its host key is not known; connect once"),
    (r"Permission denied \(", AuthenticationFailed, "ssh found no key that it takes"),
    (r"detected dubious ownership", RemoteRefused, "the repository belongs to another user"),
    (
        r"Operation too slow|[Tt]imed out|timeout",
        RemoteTimeout,
        "it stayed silent for longer than the limits allow",
    ),
    (
        (
            r"does not appear to be a git repository|repository '.*' not found"
            r"|not valid: is this a git repository|does not exist"
        ),
        RemoteRefused,
        "there is no Git repository; check the address",
    ),
    (r"SSL|[Cc]ertificate|TLS", RemoteUnavailable, ""),
    (
        (
            r"Could not resolve|[Cc]ould(?:n't| not) connect|Failed to connect|Connection refused"
            r"|No route to host|Network is unreachable|unable to look up"
        ),
        RemoteUnavailable,
        "",
    ),
    (
        (
            r"RPC failed|hung up|disconnect|early EOF|Empty reply|reset by peer|closed connection"
            r"|transfer closed|Recv failure|Send failure|HTTP/2 stream|Connection closed"
        ),
        RemoteUnavailable,
        "the connection was cut",
    ),
)


def failure(ended: Ended, talk: Conversation) -> Exception:
    """The exception that a failed child stands for."""
    messages = ended.messages
    if match := re.search(r"attempting to allocate (\d+)", messages):
        return too_large_object(int(match[1]), talk)
    if ended.status is not None and ended.status >= HTTPStatus.MULTIPLE_CHOICES:
        return _by_status(ended.status, ended, talk)
    if re.search(r"couldn't find remote ref|not our ref|unadvertised object", messages):
        return RefMissing()
    if (known := by_message(messages, talk)) is not None:
        return known
    return Unexplained(said(messages) or f"git ended with {ended.code}")


def by_message(messages: str, talk: Conversation) -> RemoteError | None:
    """The error that messages of git or ssh tell, if they tell one."""
    for pattern, kind, detail in _BY_MESSAGE:
        if re.search(pattern, messages):
            return kind(url=talk.url.shown, detail=detail or said(messages))
    return None


def too_large_object(size: int, talk: Conversation) -> TowlineError:
    """The error for an object that unpacks to more than git may allocate."""
    allowed = max(MEMORY_BYTES, talk.limits.asset_bytes)
    return LimitExceeded(
        limit="asset_bytes", allowed=allowed, found=size, subject="an object of the pack"
    )


def _by_status(status: int, ended: Ended, talk: Conversation) -> Exception:
    if status < HTTPStatus.BAD_REQUEST and ended.location is not None:
        return Redirected(ended.location)
    return http_error(status, talk.url.shown)


def http_error(status: int, url: str) -> RemoteError:
    """The error for an HTTP status."""
    match status:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            detail = "it wants credentials, or did not take those it got"
            return AuthenticationFailed(url=url, detail=detail)
        case HTTPStatus.FORBIDDEN:
            return PermissionDenied(url=url, detail="it does not let you read this repository")
        case HTTPStatus.TOO_MANY_REQUESTS:
            return RateLimited(url=url, detail="it asks to come back later")
        case HTTPStatus.NOT_FOUND | HTTPStatus.GONE:
            detail = "there is no such repository, or it hides from these credentials"
            return RemoteRefused(url=url, detail=detail)
        case _:
            return _by_class(status, url)


def _by_class(status: int, url: str) -> RemoteError:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return RemoteUnavailable(url=url, detail=f"the server failed with HTTP {status}")
    return RemoteRefused(url=url, detail=f"the server answered HTTP {status}")


def not_smart(talk: Conversation) -> RemoteRefused:
    """The error for a server that answers, though not as Git does; dumb HTTP counts as such."""
    detail = "there is no Git repository that speaks smart HTTP; check the address"
    return RemoteRefused(url=talk.url.shown, detail=detail)


def said(messages: str) -> str:
    """Git's own reason, cleaned: its first fatal line, else its last."""
    lines = [line for line in re.split(r"[\r\n]+", messages) if line.strip()]
    fatal = [line for line in lines if line.startswith(("fatal:", "error:"))]
    return cleaned((fatal or lines[-1:] or [""])[0])
