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
from towline.remotes.fetcher import FetchRequest, Redirected, RefMissing, Unexplained
from towline.remotes.git_process import ErrorEvent, GitExit
from towline.remotes.url import Scheme

ADVERTISEMENT = "application/x-git-upload-pack-advertisement"
SHA256 = "it has sha256 objects, which towline does not support"
SILENT = "it did not respond within the time limit"
NO_REPOSITORY = "there is no Git repository; check the address"
CUT = "the connection was cut"


# The formats of git's errors. The values that git fills in are not matched.
_BY_FORMAT: tuple[tuple[str, type[RemoteError], str], ...] = (
    (
        r"mismatched algorithms|unsupported object[- ]format|unknown object format",
        UnsupportedRemote,
        SHA256,
    ),
    (r"detected dubious ownership", RemoteRefused, "the repository belongs to another user"),
    (
        (
            r"does not appear to be a git repository|repository '%s' not found"
            r"|not valid: is this a git repository|does not exist"
        ),
        RemoteRefused,
        NO_REPOSITORY,
    ),
    (
        r"hung up|disconnect|early EOF|read error|[Cc]ould not read from remote|RPC failed",
        RemoteUnavailable,
        CUT,
    ),
)
# How curl's reasons begin; the rest may be the text of a certificate.
_BY_CURL: tuple[tuple[str, type[RemoteError], str], ...] = (
    (
        r"Operation too slow|Connection timed out|Operation timed out|SSL connection timeout",
        RemoteTimeout,
        SILENT,
    ),
    (
        r"Could not resolve|Couldn't resolve|Failed to connect|Couldn't connect",
        RemoteUnavailable,
        "",
    ),
)
_BY_CURL_TLS = r"SSL|TLS|gnutls|error:\w+:SSL|server certificate|[Cc]ertificate"
_CURL_TIMED_OUT = "28"
# Lines of ssh's log, in which ssh escapes what the other side sends.
_BY_SSH: tuple[tuple[str, type[RemoteError], str], ...] = (
    (
        r"@ +WARNING: REVOKED HOST KEY",
        RemoteRefused,
        "its ssh host key is marked as revoked: do not trust this server",
    ),
    (
        r"@ +WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED",
        RemoteRefused,
        (
            "its ssh host key has changed: someone may be intercepting the connection; ask its "
            "administrator for the fingerprint before you remove the old key with ssh-keygen -R"
        ),
    ),
    (
        r"Host key verification failed",
        RemoteRefused,
        "its ssh host key is not known; connect once with ssh, and compare the fingerprint",
    ),
    (r"(?:\S+: )?Permission denied \(", AuthenticationFailed, ""),
    (
        r"ssh: connect to host .* timed out$|Connection timed out during|Timeout, server",
        RemoteTimeout,
        SILENT,
    ),
    (
        (
            r"ssh: |kex_exchange|Connection (?:closed|reset|to)|client_loop|banner exchange"
            r"|Disconnected|Received disconnect"
        ),
        RemoteUnavailable,
        "",
    ),
)


def failure(ended: GitExit, request: FetchRequest, log: str, *, commit: bool) -> Exception:
    """Return the exception for a failed git process.

    ``log`` is ssh's. With ``commit`` a commit was requested by its id, the one case in which a
    refusal may mean that the remote does not have it.
    """
    if (memory := _memory(ended.errors, request)) is not None:
        return memory
    if ended.status is not None and ended.status >= HTTPStatus.MULTIPLE_CHOICES:
        return _by_status(ended.status, ended, request)
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
            return kind(url=request.url.shown, detail=_with_messages(detail, ended, request))
    return None


def _with_messages(detail: str, ended: GitExit, request: FetchRequest) -> str:
    """Return a reason with the messages of the remote."""
    lines = re.findall(r"^remote: *(.*)", ended.messages, re.MULTILINE)
    return "; ".join(filter(None, (detail, request.quoted(" ".join(lines)))))


def refused(message: str, request: FetchRequest) -> RemoteRefused:
    """Return the error for a remote that refuses with a message."""
    return RemoteRefused(
        url=request.url.shown, detail=request.quoted(message) or "it refused without a message"
    )


def by_ssh_log(log: str, request: FetchRequest) -> RemoteError | None:
    """Return the error that ssh's log shows, if any."""
    for pattern, kind, detail in _BY_SSH:
        if match := re.search(f"^(?:{pattern}).*$", log, re.MULTILINE):
            if kind is AuthenticationFailed:
                return AuthenticationFailed(
                    url=request.url.shown, detail=request.cleaned(_refused_keys(log)), refused=True
                )
            return kind(url=request.url.shown, detail=detail or request.cleaned(match[0]))
    return None


def _refused_keys(log: str) -> str:
    offered = re.findall(
        r"^debug1: Offering public key: (.+?) [A-Z0-9-]+ (SHA256:\S+)", log, re.MULTILINE
    )
    keys = ", ".join(f"{name} ({fingerprint})" for name, fingerprint in dict.fromkeys(offered))
    return f"it accepted none of the ssh keys offered: {keys}" if keys else "no ssh key was offered"


def too_large_object(size: int, request: FetchRequest) -> TowlineError:
    """Return the error for an object that unpacks to more than the limits allow."""
    return LimitExceeded(
        limit="memory_bytes",
        allowed=request.limits.memory_bytes,
        found=4 * size,  # an object may use a quarter
        subject="an object of the remote",
    )


def out_of_memory(request: FetchRequest) -> LimitExceeded:
    """Return the error for a fetch that needs more memory than the limits allow."""
    most = request.limits.memory_bytes
    return LimitExceeded(
        limit="memory_bytes", allowed=most, found=most + 1, subject="to fetch from this remote"
    )


def _memory(errors: Iterable[ErrorEvent], request: FetchRequest) -> TowlineError | None:
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
            return RemoteTimeout(url=request.url.shown, detail=SILENT)
    else:
        return None
    if match := re.match(
        r"Received HTTP code (\d+) from proxy|CONNECT tunnel failed, response (\d+)", reason
    ):
        return proxy_error(int(match[1] or match[2]), request.url.shown)
    for pattern, kind, detail in _BY_CURL:
        if re.match(pattern, reason):
            return kind(url=request.url.shown, detail=detail or request.cleaned(reason))
    if re.match(_BY_CURL_TLS, reason):
        return untrusted(reason, request)
    return RemoteUnavailable(url=request.url.shown, detail=CUT)


def untrusted(reason: str, request: FetchRequest) -> RemoteUnavailable:
    """Return the error for a certificate that is not trusted, or a failure of TLS."""
    text = request.cleaned(reason)
    detail = f"no trusted connection ({text}); if its CA is private, set SSL_CERT_FILE to its file"
    return RemoteUnavailable(url=request.url.shown, detail=detail)


def _by_status(status: int, ended: GitExit, request: FetchRequest) -> Exception:
    if status < HTTPStatus.BAD_REQUEST and ended.location is not None:
        return Redirected(ended.location)
    return http_error(status, request, ended.retry_after)


def http_error(status: int, request: FetchRequest, retry_after: str | None = None) -> RemoteError:
    """Return the error for an HTTP status; ``retry_after`` is that header."""
    url = request.url.shown
    match status:
        case HTTPStatus.UNAUTHORIZED:
            given = request.credential
            if given is None:
                return AuthenticationFailed(url=url, detail="authentication required")
            source = f" from {given.source}" if given.source else ""
            detail = f"the credentials{source} were refused"
            return AuthenticationFailed(url=url, detail=detail, refused=True)
        case HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            return proxy_error(status, url)
        case HTTPStatus.FORBIDDEN:
            return PermissionDenied(url=url, detail="it does not let you read this repository")
        case HTTPStatus.TOO_MANY_REQUESTS:
            seconds = _seconds(retry_after)
            return RateLimited(url=url, detail="it asks to come back later", retry_after=seconds)
        case HTTPStatus.NOT_FOUND | HTTPStatus.GONE:
            detail = "there is no such repository, or it hides from these credentials"
            return RemoteRefused(url=url, detail=detail)
        case _:
            return _by_class(status, url, _seconds(retry_after))


def proxy_error(status: int, url: str) -> RemoteError:
    """Return the error for a proxy that responds instead of the remote."""
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        detail = (
            "the proxy requires credentials (HTTP 407): put them into its address, in http_proxy, "
            "https_proxy or git's http.proxy"
        )
    else:
        detail = f"the proxy answered HTTP {status}"
    return RemoteUnavailable(url=url, detail=detail)


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


def _by_class(status: int, url: str, retry_after: int | None) -> RemoteError:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        detail = f"the server failed with HTTP {status}"
        return RemoteUnavailable(url=url, detail=detail, retry_after=retry_after)
    return RemoteRefused(url=url, detail=f"the server answered HTTP {status}")


def not_smart(request: FetchRequest) -> RemoteRefused:
    """Return the error for a server without smart HTTP."""
    detail = "there is no Git repository that speaks smart HTTP; check the address"
    return RemoteRefused(url=request.url.shown, detail=detail)
