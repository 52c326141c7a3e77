"""Maps a failed fetch to the typed errors of `towline.errors`.

The mapping uses what this side observes: HTTP statuses from curl's trace, the formats of error
events from git's trace, which no remote can choose, and ssh's log. A remote's text is only quoted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TypeAlias

from towline.errors import (
    AuthenticationFailed,
    LimitExceeded,
    PermissionDenied,
    RateLimited,
    RemoteError,
    RemoteRefused,
    RemoteTimeout,
    RemoteUnavailable,
    UnsupportedRemote,
)
from towline.remotes.fetcher import SHA256, FetchRequest, Redirected, RefMissing, Unexplained
from towline.remotes.git_process import ErrorEvent, GitExit
from towline.remotes.url import Scheme

ADVERTISEMENT = "application/x-git-upload-pack-advertisement"
SILENT = "it did not respond within the time limit"
NO_REPOSITORY = "there is no Git repository; check the address"
NOT_SMART = "there is no Git repository that speaks smart HTTP; check the address"
CUT = "the connection was lost"
_FOREIGN = "the repository belongs to another user"
_REVOKED = "its ssh host key is marked as revoked: do not trust this server"
_CHANGED = (
    "its ssh host key has changed: someone may be intercepting the connection; ask its "
    "administrator for the fingerprint before you remove the old key with ssh-keygen -R"
)
_UNKNOWN = "its ssh host key is not known; connect once with ssh, and compare the fingerprint"
_PROXY_LOGIN = (
    "the proxy requires credentials (HTTP 407): put them into its address, in http_proxy, "
    "https_proxy or git's http.proxy"
)
_HIDDEN = "the repository does not exist, or these credentials cannot see it"

# In each table: a pattern, the error, and its detail; an empty one quotes the text that matches.
_Rules: TypeAlias = tuple[tuple[str, type[RemoteError], str], ...]
# The formats of git's errors. The values that git fills in are not matched.
_BY_FORMAT: _Rules = (
    (r"mismatched algorithms|un(supported|known) object[- ]format", UnsupportedRemote, SHA256),
    (r"detected dubious ownership", RemoteRefused, _FOREIGN),
    (r"not appear to be a git repo|repository '%s' not found", RemoteRefused, NO_REPOSITORY),
    (r"not valid: is this a git repository|does not exist", RemoteRefused, NO_REPOSITORY),
    (r"hung up|disconnect|early EOF|read error|RPC failed", RemoteUnavailable, CUT),
    (r"[Cc]ould not read from remote", RemoteUnavailable, CUT),
)
# How curl's reasons begin; the rest may be the text of a certificate.
_BY_CURL: _Rules = (
    (r"Operation (too slow|timed out)|(SSL c|C)onnection time(d )?out", RemoteTimeout, SILENT),
    (r"(Could not|Couldn't) resolve|(Failed to|Couldn't) connect", RemoteUnavailable, ""),
)
_BY_CURL_TLS = r"SSL|TLS|gnutls|error:\w+:SSL|server certificate|[Cc]ertificate"
_CURL_TIMED_OUT = "28"
_SSH_ENDED = (
    r"ssh: |kex_exchange|Connection (?:closed|reset|to)|client_loop|banner exchange"
    r"|Disconnected|Received disconnect"
)
# Lines of ssh's log, in which ssh escapes what the other side sends.
_BY_SSH: _Rules = (
    (r"@ +WARNING: REVOKED HOST KEY", RemoteRefused, _REVOKED),
    (r"@ +WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED", RemoteRefused, _CHANGED),
    (r"Host key verification failed", RemoteRefused, _UNKNOWN),
    (r"(?:\S+: )?Permission denied \(", AuthenticationFailed, ""),
    (r"ssh: connect to host .* timed out$", RemoteTimeout, SILENT),
    (r"Connection timed out during|Timeout, server", RemoteTimeout, SILENT),
    (_SSH_ENDED, RemoteUnavailable, ""),
)


def failure(ended: GitExit, request: FetchRequest, log: str, *, commit: bool) -> Exception:
    """Return the exception for a failed git process.

    ``log`` is ssh's. With ``commit`` a commit was requested by its id, the one case in which a
    refusal may mean that the remote does not have it.
    """
    if (memory := _memory(ended.errors, request)) is not None:
        return memory
    if ended.status is not None and ended.status >= HTTPStatus.MULTIPLE_CHOICES:
        if ended.status < HTTPStatus.BAD_REQUEST and ended.location is not None:
            return Redirected(ended.location)
        return http_error(ended.status, request, ended.retry_after)
    if _matching(ended.errors, r"couldn't find remote ref|not our ref|unadvertised object"):
        return RefMissing()
    if (refusal := _matching(ended.errors, r"^remote error: %s")) is not None:
        return RefMissing() if commit else refused(refusal.message.partition(": ")[2], request)
    if (known := by_ssh_log(log, request) or _by_errors(ended, request)) is not None:
        return known
    detail = ended.errors[0].message if ended.errors else f"git exited with {ended.code}"
    return Unexplained(_with_messages(request.cleaned(detail), ended, request))


def _by_errors(ended: GitExit, request: FetchRequest) -> RemoteError | None:
    for event in ended.errors:
        if (error := _by_curl(event, request)) is not None:
            return error
    if request.url.scheme is Scheme.SSH and _matching(ended.errors, r"^Could not read from remote"):
        return refused(ended.messages, request)
    for pattern, kind, detail in _BY_FORMAT:
        if _matching(ended.errors, pattern):
            return request.error(kind, _with_messages(detail, ended, request))
    return None


def _with_messages(detail: str, ended: GitExit, request: FetchRequest) -> str:
    """Return a reason with the messages of the remote."""
    lines = re.findall(r"^remote: *(.*)", ended.messages, re.MULTILINE)
    return "; ".join(filter(None, (detail, request.quoted(" ".join(lines)))))


def refused(message: str, request: FetchRequest) -> RemoteRefused:
    """Return the error for a remote that refuses with a message."""
    return request.error(RemoteRefused, request.quoted(message) or "it refused without a message")


def by_ssh_log(log: str, request: FetchRequest) -> RemoteError | None:
    """Return the error that ssh's log shows, if any."""
    for pattern, kind, detail in _BY_SSH:
        if match := re.search(f"^(?:{pattern}).*$", log, re.MULTILINE):
            if kind is AuthenticationFailed:
                return _unauthenticated(request, request.cleaned(_refused_keys(log)))
            return request.error(kind, detail or request.cleaned(match[0]))
    return None


def _unauthenticated(request: FetchRequest, detail: str) -> AuthenticationFailed:
    return AuthenticationFailed(url=request.url.address, detail=detail, refused=True)


def _refused_keys(log: str) -> str:
    offered = re.findall(
        r"^debug1: Offering public key: (.+?) [A-Z0-9-]+ (SHA256:\S+)", log, re.MULTILINE
    )
    keys = ", ".join(f"{name} ({fingerprint})" for name, fingerprint in dict.fromkeys(offered))
    return f"it accepted none of the ssh keys offered: {keys}" if keys else "no ssh key was offered"


def too_large_object(size: int, request: FetchRequest) -> LimitExceeded:
    """Return the error for an object that unpacks to more than the limits allow."""
    # An object may use a quarter.
    return request.limits.exceeded("memory_bytes", 4 * size, "an object of the remote")


def out_of_memory(request: FetchRequest) -> LimitExceeded:
    """Return the error for a fetch that needs more memory than the limits allow."""
    least = request.limits.memory_bytes + 1
    return request.limits.exceeded("memory_bytes", least, "to fetch from this remote")


def _memory(errors: Iterable[ErrorEvent], request: FetchRequest) -> LimitExceeded | None:
    if (event := _matching(errors, "attempting to allocate")) is not None:
        match = re.search(r"attempting to allocate (\d+)", event.message)
        return too_large_object(int(match[1]), request) if match else out_of_memory(request)
    if _matching(errors, r"[Oo]ut of memory|unable to create thread|mmap failed"):
        return out_of_memory(request)
    return None


def _matching(errors: Iterable[ErrorEvent], pattern: str) -> ErrorEvent | None:
    return next((event for event in errors if re.search(pattern, event.format)), None)


def _by_curl(event: ErrorEvent, request: FetchRequest) -> RemoteError | None:
    """Return the error for curl's reason, which follows the URL in git's message."""
    if event.format.startswith("unable to access"):
        reason = event.message.partition("': ")[2]
    elif event.format.startswith("RPC failed"):
        number, _, reason = event.message.removeprefix("RPC failed; curl ").partition(" ")
        if number == _CURL_TIMED_OUT:
            return request.error(RemoteTimeout, SILENT)
    else:
        return None
    if match := re.match(
        r"Received HTTP code (\d+) from proxy|CONNECT tunnel failed, response (\d+)", reason
    ):
        return _proxy_error(int(match[1] or match[2]), request)
    for pattern, kind, detail in _BY_CURL:
        if re.match(pattern, reason):
            return request.error(kind, detail or request.cleaned(reason))
    if re.match(_BY_CURL_TLS, reason):
        return untrusted(reason, request)
    return request.error(RemoteUnavailable, CUT)


def untrusted(reason: str, request: FetchRequest) -> RemoteUnavailable:
    """Return the error for a certificate that is not trusted, or a failure of TLS."""
    text = request.cleaned(reason)
    detail = f"no trusted connection ({text}); if its CA is private, set SSL_CERT_FILE to its file"
    return request.error(RemoteUnavailable, detail)


def http_error(status: int, request: FetchRequest, retry_after: str | None = None) -> RemoteError:
    """Return the error for an HTTP status; ``retry_after`` is that header."""
    url, seconds = request.url.address, _seconds(retry_after)
    match status:
        case HTTPStatus.UNAUTHORIZED:
            given = request.credential
            if given is None:
                return request.error(AuthenticationFailed, "authentication required")
            source = f" from {given.source}" if given.source else ""
            return _unauthenticated(request, f"the credentials{source} were refused")
        case HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            return _proxy_error(status, request)
        case HTTPStatus.FORBIDDEN:
            return request.error(PermissionDenied, "it does not let you read this repository")
        case HTTPStatus.TOO_MANY_REQUESTS:
            detail = "it asks to try again later"
            return RateLimited(url=url, detail=detail, retry_after=seconds)
        case HTTPStatus.NOT_FOUND | HTTPStatus.GONE:
            return request.error(RemoteRefused, _HIDDEN)
        case _ if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            detail = f"the server failed with HTTP {status}"
            return RemoteUnavailable(url=url, detail=detail, retry_after=seconds)
        case _:
            return request.error(RemoteRefused, f"the server answered HTTP {status}")


def _proxy_error(status: int, request: FetchRequest) -> RemoteUnavailable:
    """Return the error for a proxy that responds instead of the remote."""
    required = status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
    detail = _PROXY_LOGIN if required else f"the proxy answered HTTP {status}"
    return request.error(RemoteUnavailable, detail)


def _seconds(retry_after: str | None) -> int | None:
    """Return the seconds of a Retry-After header, which is a number or a date."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return int(text[:9])
    try:
        delay = parsedate_to_datetime(text) - datetime.now(UTC)
    except (ValueError, TypeError):
        return None
    return max(0, int(delay.total_seconds()))
