"""The errors of the control plane, beside those of the library (`towline.errors`).

They have the same shape and a stable ``code``; `towline_server.problems` has the HTTP statuses.
"""

from __future__ import annotations

from typing import TypeVar

from towline.errors import (
    CallerError,
    MovedError,
    RemoteRefused,
    RemoteUnavailable,
    StoreError,
    TowlineError,
)

T = TypeVar("T")


class DiskFull(StoreError, code="disk_full"):
    """The disk of the database, or of what was fetched, is full."""

    template = "the server's disk is full; nothing was changed"


class InvalidSettings(CallerError, code="invalid_settings"):
    """Settings that are malformed or contradict each other; every problem is listed."""

    problems: tuple[str, ...]
    """``field: what is wrong``, never the value: it may be a secret."""

    @property
    def message(self) -> str:
        """Every problem in one sentence."""
        return f"the settings are refused: {'; '.join(self.problems)}"


class Unauthenticated(CallerError, code="unauthenticated"):
    """The request has no credential, or one that is not valid."""

    template = "{problem}"
    problem: str = "no valid credential was given"
    challenges: tuple[str, ...] = ()
    """What WWW-Authenticate names: the schemes that this route takes."""


class Forbidden(CallerError, code="forbidden"):
    """The caller may see the thing, but not do this with it."""

    template = "{problem}"
    problem: str


class NotFound(CallerError, code="not_found"):
    """There is no such thing, or it is another tenant's: the answer is the same."""

    template = "no such {what}"
    what: str
    """The kind of thing, never its name: the two cases must not differ."""


def existing(found: T | None, what: str) -> T:
    """Return what was looked for.

    Raises:
        NotFound: it is None.
    """
    if found is None:
        raise NotFound(what=what)
    return found


class AlreadyExists(CallerError, code="already_exists"):
    """A name that must be unique is taken."""

    template = "this {what} already exists"
    what: str


class ConnectionInUse(CallerError, code="connection_in_use"):
    """A connection that a project or a sync uses cannot be deleted."""

    template = "a project or a sync uses the connection; change that first"


class LastAdministrator(CallerError, code="last_administrator"):
    """A change would leave a tenant without anyone who administers it; the operator may make it."""

    template = "no one else administers the tenant; give someone else the role admin first"


class Ambiguous(CallerError, code="ambiguous"):
    """More than one thing fits, and the request does not say which."""

    template = "more than one {what} matches; name one"
    what: str


class TooManyRequests(CallerError, code="too_many_requests"):
    """The caller asks too often; ``retry_after`` is in seconds."""

    template = "too many requests; try again in {retry_after} s"
    retry_after: int


class BodyTooLarge(CallerError, code="body_too_large"):
    """The request's body is above the limit of this route."""

    template = "the body is larger than {allowed} bytes"
    allowed: int


class IdempotencyKeyReused(CallerError, code="idempotency_key_reused"):
    """An Idempotency-Key was sent before with another request."""

    template = "this Idempotency-Key was used for another request; use a new one"


class IdempotentRequestRunning(MovedError, code="idempotent_request_running"):
    """The first request with this Idempotency-Key has not ended yet."""

    template = "the first request with this Idempotency-Key is still running; try again later"


class ConflictMoved(MovedError, code="conflict_moved"):
    """A content of a conflict is another one than the caller saw; nothing was saved."""

    template = "{path!r} has changed since you read it; read its conflict again"
    path: str


class ProjectBusy(MovedError, code="project_busy"):
    """Another run of the project has not ended yet."""

    template = "the project is busy: run {run_id} has not ended; try again later"
    run_id: str


class RunUnderWay(TowlineError, code="run_under_way"):
    """A run takes longer than a request waits for it; it goes on."""

    template = "run {run_id} has not ended yet, and continues"
    run_id: str


class AddressRefused(RemoteRefused, code="address_refused"):
    """The remote's host resolves to an address that the operator does not allow."""


class HostPaused(RemoteUnavailable, code="host_paused"):
    """The remote's host did not answer before, and is not asked for ``retry_after`` seconds."""


class FetchFailed(TowlineError, code="fetch_failed"):
    """Fetching failed in a way that is not foreseen; the server's log has the traceback."""

    template = "fetching {url} failed unexpectedly ({problem}); see the server's log"
    url: str
    problem: str
    """The class of the exception, never its message: that may hold a secret."""


class CredentialUnreadable(TowlineError, code="credential_unreadable"):
    """A stored secret cannot be decrypted: its key is not among the settings' any more."""

    template = "the stored credential cannot be decrypted; set it again, or restore its secret key"


class Unavailable(TowlineError, code="unavailable"):
    """The server cannot serve just now."""

    template = "{problem}"
    problem: str


class OrchestratorUnavailable(Unavailable, code="orchestrator_unavailable"):
    """An orchestrator of runs does not answer, or refuses this server."""

    template = "{orchestrator} cannot be used now: {problem}"
    orchestrator: str
    problem: str


# --- runs -------------------------------------------------------------------------------------


class UnknownKind(CallerError, code="unknown_kind"):
    """A run is limited to a kind that its project does not have."""

    template = "the project has no kind {kind!r}"
    kind: str


class BoundElsewhere(CallerError, code="bound_elsewhere"):
    """The project's binding has changed since a run was requested for it."""

    template = (
        "{project} has been bound to another repository, ref or folder since the run's request"
    )
    project: str


class BackendNotConfigured(CallerError, code="backend_not_configured"):
    """Runs cannot be executed by this backend here."""

    backend: str
    configured: tuple[str, ...]
    setting: str | None = None
    """What configures it."""

    @property
    def message(self) -> str:
        """The setting to set, and the backends that can be chosen instead."""
        needed = "" if self.setting is None else f": it needs the setting {self.setting}"
        others = " or ".join(self.configured)
        return f"{self.backend} is not configured here{needed}; or use {others}"


class RunNotEnded(MovedError, code="run_not_ended"):
    """The request needs a run that has ended."""

    template = "run {run_id} has not ended; wait for it, or cancel it"
    run_id: str


class KindInProgress(MovedError, code="kind_in_progress"):
    """A run of this kind is in progress, and the request allows no second one."""

    template = "run {run_id} of kind {kind!r} is still in progress"
    kind: str
    run_id: str


class QueueFull(CallerError, code="queue_full"):
    """As many of the tenant's runs wait as may; nothing was requested."""

    template = "{allowed} runs are waiting already; request this one again in {retry_after} s"
    allowed: int
    retry_after: int


class LeaseLost(MovedError, code="lease_lost"):
    """The executor of a run no longer has its lease; nothing that it did counts."""

    template = "run {run_id} was taken away from its executor"
    run_id: str


class HeartbeatMissed(MovedError, code="heartbeat_timeout"):
    """A run's executor sent no heartbeat for as long as a lease lasts."""

    template = "the executor stopped responding"


class RunUnclaimed(HeartbeatMissed, code="run_unclaimed"):
    """No external executor claimed a run for as long as the settings allow."""

    template = "no external executor claimed the run; check that one is running"


class WorkerShutdown(MovedError, code="worker_shutdown"):
    """A run's executor was shut down before the commit point."""

    template = "the executor was shut down; nothing was changed"


class ExecutorFailed(TowlineError, code="internal_error"):
    """An executor failed, and only the operator can act; the server's log has the reason."""

    template = "internal error"


class HookReplayed(MovedError, code="webhook_replayed"):
    """A webhook was received that had been received before."""

    template = "this webhook was received before, and its runs were started then"


# --- webhooks ---------------------------------------------------------------------------------


class WebhookDisabled(MovedError, code="webhook_disabled"):
    """A message is to be sent to an endpoint that is disabled."""

    template = "the webhook is disabled; enable it first"


class TooManyWebhooks(MovedError, code="too_many_webhooks"):
    """The tenant has as many endpoints as it may have."""

    template = "there are already {allowed} webhooks; delete one first"
    allowed: int


# --- schedules --------------------------------------------------------------------------------


class TooManySchedules(MovedError, code="too_many_schedules"):
    """The project has as many schedules as it may have."""

    template = "there are already {allowed} schedules; delete one first"
    allowed: int


class ScheduleOfSync(CallerError, code="schedule_of_sync"):
    """A schedule is to be changed that a sync has."""

    template = "this schedule belongs to a sync; change the sync instead"
