"""Owns what a failed git child means: each failure as the typed error of `towline.errors`.

Failures are told apart by what this side observed: HTTP statuses from curl's trace, git's own
errors from its event trace (by their form, which no remote can choose), and ssh's own log. Text
of the remote is only ever quoted.
"""

from __future__ import annotations

import re
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
from towline.remotes.fetcher import FetchRequest, Redirected
from towline.remotes.git_process import Fault, GitExit
from towline.remotes.url import Scheme

ADVERTISEMENT = "application/x-git-upload-pack-advertisement"
SHA256 = "it has sha256 objects, which towline does not read"
SILENT = "it stayed silent for longer than the limits allow"
NO_REPOSITORY = "there is no Git repository; check the address"
CUT = "the connection was cut"


class RefMissing(Exception):
    """The remote has no ref or commit of this name."""


class Unexplained(Exception):
    """Git failed for no reason that a remote gives; the cache may be damaged."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


# The form of an error of git's own, and what it means. What git filled in is not looked at.
_BY_FORM: tuple[tuple[str, type[RemoteError], str], ...] = (
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
# How curl begins to tell why; the rest may name what a certificate says.
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
# The lines of ssh's own log. In it ssh escapes whatever the other side sent.
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


def failure(ended: GitExit, talk: FetchRequest, log: str, *, commit: bool) -> Exception:
    """The exception that a failed child means.

    ``log`` is ssh's own; ``commit`` says that a commit was asked for by its id, which is the one
    case in which a refusal of the remote may mean that it has none.
    """
    if (memory := _memory(ended.faults, talk)) is not None:
        return memory
    if ended.status is not None and ended.status >= HTTPStatus.MULTIPLE_CHOICES:
        return _by_status(ended.status, ended, talk)
    if _formed(ended.faults, r"couldn't find remote ref|not our ref|unadvertised object"):
        return RefMissing()
    if (refusal := _formed(ended.faults, r"^remote error: %s")) is not None:
        return RefMissing() if commit else refused(refusal.message.partition(": ")[2], talk)
    if (known := by_ssh_log(log, talk) or _by_faults(ended, talk)) is not None:
        return known
    said = ended.faults[0].message if ended.faults else f"git ended with {ended.code}"
    return Unexplained(_with_words(talk.cleaned(said), ended, talk))


def _by_faults(ended: GitExit, talk: FetchRequest) -> RemoteError | None:
    for fault in ended.faults:
        if (error := _by_curl(fault, talk)) is not None:
            return error
    if talk.url.scheme is Scheme.SSH and _formed(ended.faults, r"^Could not read from remote"):
        return refused(ended.messages, talk)
    for form, kind, detail in _BY_FORM:
        if _formed(ended.faults, form):
            return kind(url=talk.url.shown, detail=_with_words(detail, ended, talk))
    return None


def _with_words(detail: str, ended: GitExit, talk: FetchRequest) -> str:
    """A reason, and what the remote says beside it."""
    lines = re.findall(r"^remote: *(.*)", ended.messages, re.MULTILINE)
    return "; ".join(filter(None, (detail, talk.quoted(" ".join(lines)))))


def refused(words: str, talk: FetchRequest) -> RemoteRefused:
    """The error for a remote that ends the conversation with words of its own."""
    return RemoteRefused(
        url=talk.url.shown, detail=talk.quoted(words) or "it refused without a word"
    )


def by_ssh_log(log: str, talk: FetchRequest) -> RemoteError | None:
    """The error that ssh's own log tells, if it tells one."""
    for pattern, kind, detail in _BY_SSH:
        if match := re.search(f"^(?:{pattern}).*$", log, re.MULTILINE):
            if kind is AuthenticationFailed:
                return AuthenticationFailed(
                    url=talk.url.shown, detail=talk.cleaned(_refused_keys(log)), refused=True
                )
            return kind(url=talk.url.shown, detail=detail or talk.cleaned(match[0]))
    return None


def _refused_keys(log: str) -> str:
    offered = re.findall(
        r"^debug1: Offering public key: (.+?) [A-Z0-9-]+ (SHA256:\S+)", log, re.MULTILINE
    )
    keys = ", ".join(f"{name} ({fingerprint})" for name, fingerprint in dict.fromkeys(offered))
    return f"it accepted none of the ssh keys offered: {keys}" if keys else "no ssh key was offered"


def too_large_object(size: int, talk: FetchRequest) -> TowlineError:
    """The error for an object that unpacks to more than the limits allow."""
    return LimitExceeded(
        limit="memory_bytes",
        allowed=talk.limits.memory_bytes,
        found=4 * size,  # an object may take a quarter
        subject="what the remote sends",
    )


def out_of_memory(talk: FetchRequest) -> LimitExceeded:
    """The error for a fetch that takes more memory than the limits allow."""
    most = talk.limits.memory_bytes
    return LimitExceeded(
        limit="memory_bytes", allowed=most, found=most + 1, subject="to fetch from this remote"
    )


def _memory(faults: tuple[Fault, ...], talk: FetchRequest) -> TowlineError | None:
    if (fault := _formed(faults, "attempting to allocate")) is not None:
        match = re.search(r"attempting to allocate (\d+)", fault.message)
        return too_large_object(int(match[1]), talk) if match else out_of_memory(talk)
    if _formed(faults, r"[Oo]ut of memory|unable to create thread|mmap failed"):
        return out_of_memory(talk)
    return None


def _formed(faults: tuple[Fault, ...], pattern: str) -> Fault | None:
    return next((fault for fault in faults if re.search(pattern, fault.form)), None)


def _by_curl(fault: Fault, talk: FetchRequest) -> RemoteError | None:
    """The error for what curl could not do; its reason follows what git says of the address."""
    if fault.form.startswith("unable to access"):
        reason = fault.message.partition("': ")[2]
    elif fault.form.startswith("RPC failed"):
        number, _, reason = fault.message.removeprefix("RPC failed; curl ").partition(" ")
        if number == _CURL_TIMED_OUT:
            return RemoteTimeout(url=talk.url.shown, detail=SILENT)
    else:
        return None
    if match := re.match(
        r"Received HTTP code (\d+) from proxy|CONNECT tunnel failed, response (\d+)", reason
    ):
        return proxy_error(int(match[1] or match[2]), talk.url.shown)
    for pattern, kind, detail in _BY_CURL:
        if re.match(pattern, reason):
            return kind(url=talk.url.shown, detail=detail or talk.cleaned(reason))
    if re.match(_BY_CURL_TLS, reason):
        return untrusted(reason, talk)
    return RemoteUnavailable(url=talk.url.shown, detail=CUT)


def untrusted(reason: str, talk: FetchRequest) -> RemoteUnavailable:
    """The error for a server whose certificate is not trusted, or with which TLS fails."""
    words = talk.cleaned(reason)
    detail = f"no trusted connection ({words}); if its CA is private, set SSL_CERT_FILE to its file"
    return RemoteUnavailable(url=talk.url.shown, detail=detail)


def _by_status(status: int, ended: GitExit, talk: FetchRequest) -> Exception:
    if status < HTTPStatus.BAD_REQUEST and ended.location is not None:
        return Redirected(ended.location)
    return http_error(status, talk, ended.retry_after)


def http_error(status: int, talk: FetchRequest, retry_after: str | None = None) -> RemoteError:
    """Return the error for an HTTP status; ``retry_after`` is that header, as it came."""
    url = talk.url.shown
    match status:
        case HTTPStatus.UNAUTHORIZED:
            given = talk.credential
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
    """The error for a proxy on the way that answers instead of the remote."""
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        detail = (
            "the proxy requires credentials (HTTP 407): put them into its address, in http_proxy, "
            "https_proxy or git's http.proxy"
        )
    else:
        detail = f"the proxy answered HTTP {status}"
    return RemoteUnavailable(url=url, detail=detail)


def _seconds(retry_after: str | None) -> int | None:
    """The seconds that a Retry-After header asks for, given as a number or as a date."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return int(text[:9])
    try:
        wanted = parsedate_to_datetime(text) - datetime.now(UTC)
    except (ValueError, TypeError):
        return None
    return max(0, int(wanted.total_seconds()))


def _by_class(status: int, url: str, retry_after: int | None) -> RemoteError:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        detail = f"the server failed with HTTP {status}"
        return RemoteUnavailable(url=url, detail=detail, retry_after=retry_after)
    return RemoteRefused(url=url, detail=f"the server answered HTTP {status}")


def not_smart(talk: FetchRequest) -> RemoteRefused:
    """The error for a server that answers, though not as Git does; dumb HTTP counts as such."""
    detail = "there is no Git repository that speaks smart HTTP; check the address"
    return RemoteRefused(url=talk.url.shown, detail=detail)
