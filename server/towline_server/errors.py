"""The errors of the control plane, beside those of the library (`towline.errors`).

They have the same shape and a stable ``code``; `towline_server.problems` has the HTTP statuses.
"""

from __future__ import annotations

from dataclasses import dataclass

from towline.errors import CallerError, MovedError, RemoteRefused, StoreError, TowlineError


@dataclass(eq=False, kw_only=True)
class DiskFull(StoreError):
    """The disk of the database, or of what was fetched, is full."""

    code = "disk_full"
    template = "the server's disk is full; nothing was changed"


@dataclass(eq=False, kw_only=True)
class InvalidSettings(CallerError):
    """Settings that are malformed or contradict each other; every problem is listed."""

    code = "invalid_settings"
    problems: tuple[str, ...]
    """``field: what is wrong``, never the value: it may be a secret."""

    @property
    def message(self) -> str:
        """Every problem in one sentence."""
        return f"the settings are refused: {'; '.join(self.problems)}"


@dataclass(eq=False, kw_only=True)
class Unauthenticated(CallerError):
    """The request has no credential, or one that is not valid."""

    code = "unauthenticated"
    template = "{problem}"
    problem: str = "no valid credential was given"
    challenges: tuple[str, ...] = ()
    """What WWW-Authenticate names: the schemes that this route takes."""


@dataclass(eq=False, kw_only=True)
class Forbidden(CallerError):
    """The caller may see the thing, but not do this with it."""

    code = "forbidden"
    template = "{problem}"
    problem: str


@dataclass(eq=False, kw_only=True)
class NotFound(CallerError):
    """There is no such thing, or it is another tenant's: the answer is the same."""

    code = "not_found"
    template = "no such {what}"
    what: str
    """The kind of thing, never its name: the two cases must not differ."""


@dataclass(eq=False, kw_only=True)
class AlreadyExists(CallerError):
    """A name that must be unique is taken."""

    code = "already_exists"
    template = "there is such a {what} already"
    what: str


@dataclass(eq=False, kw_only=True)
class ConnectionInUse(CallerError):
    """A connection that a project or a sync uses cannot be deleted."""

    code = "connection_in_use"
    template = "a project is bound to the connection, or a sync names it; change that first"


@dataclass(eq=False, kw_only=True)
class Ambiguous(CallerError):
    """More than one thing fits, and the request does not say which."""

    code = "ambiguous"
    template = "more than one {what} fits; name one"
    what: str


@dataclass(eq=False, kw_only=True)
class TooManyRequests(CallerError):
    """The caller asks too often; ``retry_after`` is in seconds."""

    code = "too_many_requests"
    template = "too many requests; try again in {retry_after} s"
    retry_after: int


@dataclass(eq=False, kw_only=True)
class BodyTooLarge(CallerError):
    """The request's body is above the limit of this route."""

    code = "body_too_large"
    template = "the body is larger than {allowed} bytes"
    allowed: int


@dataclass(eq=False, kw_only=True)
class IdempotencyKeyReused(CallerError):
    """An Idempotency-Key was sent before with another request."""

    code = "idempotency_key_reused"
    template = "this Idempotency-Key belongs to another request; use a new one"


@dataclass(eq=False, kw_only=True)
class IdempotentRequestRunning(MovedError):
    """The first request with this Idempotency-Key has not ended yet."""

    code = "idempotent_request_running"
    template = "the first request with this Idempotency-Key is still running; try again later"


@dataclass(eq=False, kw_only=True)
class ProjectBusy(MovedError):
    """Another run of the project has not ended yet."""

    code = "project_busy"
    template = "the project is busy: run {run_id} has not ended; try again later"
    run_id: str


@dataclass(eq=False, kw_only=True)
class RunUnderWay(TowlineError):
    """A run takes longer than a request waits for it; it goes on."""

    code = "run_under_way"
    template = "run {run_id} has not ended yet, and goes on"
    run_id: str


class AddressRefused(RemoteRefused):
    """The remote's host resolves to an address that the operator does not allow."""

    code = "address_refused"


@dataclass(eq=False, kw_only=True)
class CredentialUnreadable(TowlineError):
    """A stored secret cannot be decrypted: its key is not among the settings' any more."""

    code = "credential_unreadable"
    template = "the stored credential cannot be decrypted; set it again, or restore its secret key"


@dataclass(eq=False, kw_only=True)
class Unavailable(TowlineError):
    """The server cannot serve just now."""

    code = "unavailable"
    template = "{problem}"
    problem: str
