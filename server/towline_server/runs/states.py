"""Owns the life of a run: its states, their transitions, and what each error means for a run.

Only `TRANSITIONS` and `FAILURES` define this; a test compares the documentation with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from towline import errors as engine
from towline.frozen import frozen
from towline_server import errors as server


class RunState(StrEnum):
    """The state of a run. The four phases are the engine's (`towline.ports.Phase`)."""

    QUEUED = "queued"
    FETCHING = "fetching"
    COMPARING = "comparing"
    VALIDATING = "validating"
    APPLYING = "applying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing can follow."""
        return not TRANSITIONS[self]

    @property
    def is_active(self) -> bool:
        """Whether an executor has it."""
        return self in ACTIVE


ACTIVE = (RunState.FETCHING, RunState.COMPARING, RunState.VALIDATING, RunState.APPLYING)
"""The phases, in order. Of a project's runs one at most is in them."""

TERMINAL = (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)

UNENDED = (RunState.QUEUED, *ACTIVE)

_ENDS = (RunState.FAILED, RunState.CANCELLED)

# A phase may be entered again from a later one: a stale plan is made again, and an executor that
# was restarted begins again. Progress does not fall with it. A dry run succeeds from
# validating, without ever applying.
TRANSITIONS: Mapping[RunState, tuple[RunState, ...]] = MappingProxyType(
    {
        RunState.QUEUED: (RunState.FETCHING, *_ENDS),
        RunState.FETCHING: (RunState.COMPARING, *_ENDS),
        RunState.COMPARING: (RunState.FETCHING, RunState.VALIDATING, *_ENDS),
        RunState.VALIDATING: (
            RunState.FETCHING,
            RunState.COMPARING,
            RunState.APPLYING,
            RunState.SUCCEEDED,
            *_ENDS,
        ),
        RunState.APPLYING: (
            RunState.FETCHING,
            RunState.COMPARING,
            RunState.SUCCEEDED,
            *_ENDS,
        ),
        RunState.SUCCEEDED: (),
        RunState.FAILED: (),
        RunState.CANCELLED: (),
    }
)
"""What may follow each state, also of a parent (`Run.is_parent`)."""

STARTS_AT: Mapping[RunState, int] = MappingProxyType(
    {
        RunState.QUEUED: 0,
        RunState.FETCHING: 5,
        RunState.COMPARING: 50,
        RunState.VALIDATING: 60,
        RunState.APPLYING: 70,
        RunState.SUCCEEDED: 100,
        RunState.FAILED: 0,
        RunState.CANCELLED: 0,
    }
)
"""The progress with which a state begins, in percent; a failed run has what it had before."""


def may_follow(before: RunState, after: RunState) -> bool:
    """Whether a run in one state may move to another."""
    return after in TRANSITIONS[before]


def may_reach(before: RunState, after: RunState) -> bool:
    """Whether a run may be written in one state after another.

    Either that follows at once, or the phases between them were too short to be written.
    """
    onward = [*ACTIVE, RunState.SUCCEEDED]
    if before in onward and after in onward and onward.index(before) < onward.index(after):
        return True
    return may_follow(before, after)


def progress_in(state: RunState, done: int, total: int | None) -> int:
    """Return the progress of a run whose phase has done so much of ``total``, below 100.

    A phase that has done something is beyond its start, even where ``total`` is unknown.
    """
    start = STARTS_AT[state]
    if state not in ACTIVE or done <= 0:
        return start
    phases = [*ACTIVE, RunState.SUCCEEDED]
    end = STARTS_AT[phases[phases.index(state) + 1]]
    part = (end - start) * min(done, total) // total if total else 0
    return min(99, start + max(1, part))


class Outcome(StrEnum):
    """What a run that succeeded did."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    PARTIAL = "partial"
    """Conflicts were skipped; the rest was pulled."""


class ResultClass(StrEnum):
    """How a run ended, and whether a retry may help."""

    SUCCESS = "success"
    NO_CHANGE = "no_change"
    PARTIAL_SUCCESS = "partial_success"
    CONFLICT = "conflict"
    RETRYABLE_FAILURE = "retryable_failure"
    PERMANENT_FAILURE = "permanent_failure"
    CANCELLED = "cancelled"


RESULTS: Mapping[Outcome, ResultClass] = MappingProxyType(
    {
        Outcome.CHANGED: ResultClass.SUCCESS,
        Outcome.UNCHANGED: ResultClass.NO_CHANGE,
        Outcome.PARTIAL: ResultClass.PARTIAL_SUCCESS,
    }
)


class ReasonCode(StrEnum):
    """Why a run did not succeed."""

    HEARTBEAT_TIMEOUT = "heartbeat_timeout"
    LEASE_LOST = "lease_lost"
    USER_CANCELLED = "user_cancelled"
    AUTH_ERROR = "auth_error"
    RATE_LIMITED = "rate_limited"
    UNRESOLVED_CONFLICTS = "unresolved_conflicts"
    ASSET_LIMIT_EXCEEDED = "asset_limit_exceeded"
    VALIDATION_FAILED = "validation_failed"
    REMOTE_UNREACHABLE = "remote_unreachable"
    WORKER_SHUTDOWN = "worker_shutdown"
    INTERNAL_ERROR = "internal_error"


class Fault(StrEnum):
    """What was at fault, in enough detail for the words of every dialect."""

    REMOTE = "remote"
    CREDENTIAL = "credential"
    """The remote did not take the credential, or it cannot be read."""
    PERMISSION = "permission"
    RATE_LIMIT = "rate_limit"
    CONTENT = "content"
    """The repository's tree."""
    CONFLICT = "conflict"
    LIMIT = "limit"
    REQUEST = "request"
    """The request does not fit the project."""
    STORE = "store"
    PREREQUISITE = "prerequisite"
    """The project is not associated with a repository."""
    UNSUPPORTED = "unsupported"
    """The project has no such kind."""
    EXECUTOR = "executor"
    CALLER = "caller"
    """It was cancelled."""
    INTERNAL = "internal"


@frozen
class RunFailure:
    """What a class of errors means for the run that it ends."""

    error: type[BaseException]
    result: ResultClass
    reason: ReasonCode
    fault: Fault


_RETRY, _FINAL = ResultClass.RETRYABLE_FAILURE, ResultClass.PERMANENT_FAILURE

FAILURES: tuple[RunFailure, ...] = (
    # The caller.
    RunFailure(engine.NotAssociated, _FINAL, ReasonCode.VALIDATION_FAILED, Fault.PREREQUISITE),
    RunFailure(server.UnknownKind, _FINAL, ReasonCode.VALIDATION_FAILED, Fault.UNSUPPORTED),
    RunFailure(
        engine.UnresolvedConflicts,
        ResultClass.CONFLICT,
        ReasonCode.UNRESOLVED_CONFLICTS,
        Fault.CONFLICT,
    ),
    RunFailure(engine.AssetLimitExceeded, _FINAL, ReasonCode.ASSET_LIMIT_EXCEEDED, Fault.LIMIT),
    RunFailure(engine.LimitExceeded, _FINAL, ReasonCode.VALIDATION_FAILED, Fault.LIMIT),
    RunFailure(engine.EmptyRemote, _FINAL, ReasonCode.VALIDATION_FAILED, Fault.CONTENT),
    RunFailure(engine.CallerError, _FINAL, ReasonCode.VALIDATION_FAILED, Fault.REQUEST),
    # The state that changed meanwhile.
    RunFailure(engine.Cancelled, ResultClass.CANCELLED, ReasonCode.USER_CANCELLED, Fault.CALLER),
    RunFailure(server.HeartbeatMissed, _RETRY, ReasonCode.HEARTBEAT_TIMEOUT, Fault.EXECUTOR),
    RunFailure(server.LeaseLost, _RETRY, ReasonCode.LEASE_LOST, Fault.EXECUTOR),
    RunFailure(server.WorkerShutdown, _RETRY, ReasonCode.WORKER_SHUTDOWN, Fault.EXECUTOR),
    RunFailure(engine.StoreBusy, _RETRY, ReasonCode.LEASE_LOST, Fault.STORE),
    RunFailure(engine.MovedError, _RETRY, ReasonCode.VALIDATION_FAILED, Fault.STORE),
    # The content.
    RunFailure(engine.InvalidPath, _FINAL, ReasonCode.VALIDATION_FAILED, Fault.CONTENT),
    RunFailure(engine.InvalidTree, _FINAL, ReasonCode.VALIDATION_FAILED, Fault.CONTENT),
    RunFailure(engine.ContentMissing, _RETRY, ReasonCode.REMOTE_UNREACHABLE, Fault.REMOTE),
    # The remote.
    RunFailure(engine.AuthenticationFailed, _FINAL, ReasonCode.AUTH_ERROR, Fault.CREDENTIAL),
    RunFailure(server.CredentialUnreadable, _FINAL, ReasonCode.AUTH_ERROR, Fault.CREDENTIAL),
    RunFailure(engine.PermissionDenied, _FINAL, ReasonCode.AUTH_ERROR, Fault.PERMISSION),
    RunFailure(engine.RateLimited, _RETRY, ReasonCode.RATE_LIMITED, Fault.RATE_LIMIT),
    RunFailure(engine.RefNotFound, _FINAL, ReasonCode.VALIDATION_FAILED, Fault.REMOTE),
    RunFailure(engine.RemoteUnavailable, _RETRY, ReasonCode.REMOTE_UNREACHABLE, Fault.REMOTE),
    RunFailure(engine.RemoteError, _FINAL, ReasonCode.REMOTE_UNREACHABLE, Fault.REMOTE),
    # The machine.
    RunFailure(engine.StoreDamaged, _FINAL, ReasonCode.INTERNAL_ERROR, Fault.STORE),
    RunFailure(engine.LinkRefused, _FINAL, ReasonCode.INTERNAL_ERROR, Fault.STORE),
    RunFailure(engine.UnsafeOwner, _FINAL, ReasonCode.INTERNAL_ERROR, Fault.STORE),
    # Retryable: once the disk has room the run need not be requested again.
    RunFailure(server.DiskFull, _RETRY, ReasonCode.INTERNAL_ERROR, Fault.STORE),
    RunFailure(engine.StoreError, _RETRY, ReasonCode.INTERNAL_ERROR, Fault.STORE),
    RunFailure(server.Unavailable, _RETRY, ReasonCode.INTERNAL_ERROR, Fault.EXECUTOR),
    RunFailure(server.FetchFailed, _FINAL, ReasonCode.INTERNAL_ERROR, Fault.EXECUTOR),
    RunFailure(BaseException, _FINAL, ReasonCode.INTERNAL_ERROR, Fault.INTERNAL),
)
"""The nearest class counts: an error's own, else that of the group it belongs to."""

_BY_CLASS = {failure.error: failure for failure in FAILURES}


def failure_of(error: type[BaseException]) -> RunFailure:
    """Return what errors of this class mean for a run."""
    return next(_BY_CLASS[kind] for kind in error.__mro__ if kind in _BY_CLASS)
