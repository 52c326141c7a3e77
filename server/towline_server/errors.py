"""The control plane's own errors: what a request can meet before or beside the engine's.

They extend the library's list (`towline.errors`): same shape, same stable ``code``, one table of
HTTP statuses for both (`towline_server.problems`).
"""

from __future__ import annotations

from dataclasses import dataclass

from towline.errors import CallerError, MovedError, RemoteRefused, StoreError, TowlineError


@dataclass(eq=False, kw_only=True)
class DiskFull(StoreError):
    """The disk of the database, or of what was fetched, is full."""

    code = "disk_full"

    @property
    def message(self) -> str:
        """What to do."""
        return "the server's disk is full; nothing was changed"


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
    """The request carries no credential, or one that is not (any more) good."""

    code = "unauthenticated"
    problem: str = "no valid credential was given"
    challenges: tuple[str, ...] = ()
    """What WWW-Authenticate names: the schemes that this route takes."""

    @property
    def message(self) -> str:
        """The reason, in words that tell nobody whether an account exists."""
        return self.problem


@dataclass(eq=False, kw_only=True)
class Forbidden(CallerError):
    """The caller may see the thing, but not do this with it."""

    code = "forbidden"
    problem: str

    @property
    def message(self) -> str:
        """What is missing."""
        return self.problem


@dataclass(eq=False, kw_only=True)
class NotFound(CallerError):
    """There is no such thing, or it is someone else's: the answer is the same."""

    code = "not_found"
    what: str
    """The kind of thing, never its name: the two cases must not differ."""

    @property
    def message(self) -> str:
        """The kind of thing that is not there."""
        return f"no such {self.what}"


@dataclass(eq=False, kw_only=True)
class AlreadyExists(CallerError):
    """A name that must be unique is taken."""

    code = "already_exists"
    what: str

    @property
    def message(self) -> str:
        """What there is one of already."""
        return f"there is such a {self.what} already"


@dataclass(eq=False, kw_only=True)
class ConnectionInUse(CallerError):
    """A connection that something stands on cannot be deleted."""

    code = "connection_in_use"

    @property
    def message(self) -> str:
        """What stands on it."""
        return "a project is bound to the connection, or a sync names it; change that first"


@dataclass(eq=False, kw_only=True)
class Ambiguous(CallerError):
    """More than one thing fits, and the request does not say which."""

    code = "ambiguous"
    what: str

    @property
    def message(self) -> str:
        """What must be named."""
        return f"more than one {self.what} fits; name one"


@dataclass(eq=False, kw_only=True)
class TooManyRequests(CallerError):
    """The caller asks too often; ``retry_after`` is in seconds."""

    code = "too_many_requests"
    retry_after: int

    @property
    def message(self) -> str:
        """When to try again."""
        return f"too many requests; try again in {self.retry_after} s"


@dataclass(eq=False, kw_only=True)
class BodyTooLarge(CallerError):
    """The request's body is above the limit of this route."""

    code = "body_too_large"
    allowed: int

    @property
    def message(self) -> str:
        """The limit."""
        return f"the body is larger than {self.allowed} bytes"


@dataclass(eq=False, kw_only=True)
class IdempotencyKeyReused(CallerError):
    """An Idempotency-Key was sent before with another request."""

    code = "idempotency_key_reused"

    @property
    def message(self) -> str:
        """What to do."""
        return "this Idempotency-Key belongs to another request; use a new one"


@dataclass(eq=False, kw_only=True)
class IdempotentRequestRunning(MovedError):
    """The first request with this Idempotency-Key has not ended yet."""

    code = "idempotent_request_running"

    @property
    def message(self) -> str:
        """What to do."""
        return "the first request with this Idempotency-Key is still running; try again later"


@dataclass(eq=False, kw_only=True)
class ProjectBusy(MovedError):
    """Another run of the project has not ended yet."""

    code = "project_busy"
    run_id: str

    @property
    def message(self) -> str:
        """Which one."""
        return f"the project is busy: run {self.run_id} has not ended; try again later"


@dataclass(eq=False, kw_only=True)
class RunUnderWay(TowlineError):
    """A run takes longer than a request waits for it; it goes on."""

    code = "run_under_way"
    run_id: str

    @property
    def message(self) -> str:
        """Which one, so that it can be looked for."""
        return f"run {self.run_id} has not ended yet, and goes on"


class AddressRefused(RemoteRefused):
    """The remote's host resolves to an address that the operator does not allow."""

    code = "address_refused"


@dataclass(eq=False, kw_only=True)
class CredentialUnreadable(TowlineError):
    """A stored secret cannot be decrypted: its key is not among the settings' any more."""

    code = "credential_unreadable"

    @property
    def message(self) -> str:
        """What to do."""
        return "the stored credential cannot be decrypted; set it again, or restore its secret key"


@dataclass(eq=False, kw_only=True)
class Unavailable(TowlineError):
    """The server cannot serve just now."""

    code = "unavailable"
    problem: str

    @property
    def message(self) -> str:
        """Why not."""
        return self.problem
