"""What each error means over HTTP."""

from __future__ import annotations

import inspect

import pytest
from sqlalchemy.exc import OperationalError

from towline import errors as engine
from towline_server import errors as own
from towline_server.problems import STATUS, failure_of, status_of, status_of_code


def _all_errors():
    found: dict[type, None] = {}
    for module in (engine, own):
        for _, value in inspect.getmembers(module, inspect.isclass):
            if issubclass(value, engine.TowlineError):
                found[value] = None
    return sorted(found, key=lambda kind: kind.__name__)


# Written out, so that a change of the table is seen: a dialect's clients rely on it.
EXPECTED = {
    "AddressRefused": 502,
    "AlreadyAssociated": 409,
    "AlreadyExists": 409,
    "Ambiguous": 400,
    "AssetLimitExceeded": 400,
    "AuthenticationFailed": 502,
    "BackendNotConfigured": 422,
    "BodyTooLarge": 413,
    "BoundElsewhere": 400,
    "CallerError": 400,
    "Cancelled": 409,
    "CollidingResolutions": 400,
    "ConflictingResolutions": 400,
    "ConflictMoved": 409,
    "ConnectionInUse": 409,
    "ContentMissing": 500,
    "CredentialUnreadable": 500,
    "DiskFull": 503,
    "EmptyRemote": 400,
    "EmptyRepository": 502,
    "ExecutorFailed": 500,
    "FetchFailed": 500,
    "Forbidden": 403,
    "HeartbeatMissed": 409,
    "HookReplayed": 409,
    "HostPaused": 503,
    "IdempotencyKeyReused": 422,
    "IdempotentRequestRunning": 409,
    "InvalidPath": 400,
    "InvalidPlan": 400,
    "InvalidResolution": 409,
    "InvalidSettings": 400,
    "InvalidTree": 502,
    "InvalidValue": 400,
    "KindInProgress": 409,
    "LastAdministrator": 409,
    "LeaseLost": 409,
    "LimitExceeded": 400,
    "LinkRefused": 500,
    "MovedError": 409,
    "NoRemoteVersion": 400,
    "NotAssociated": 400,
    "NotFound": 404,
    "OrchestratorUnavailable": 503,
    "PermissionDenied": 502,
    "ProjectBusy": 409,
    "QueueFull": 429,
    "RateLimited": 502,
    "RedirectRefused": 502,
    "RefNotFound": 502,
    "RemoteError": 502,
    "RemoteRefused": 502,
    "RemoteTimeout": 504,
    "RemoteUnavailable": 502,
    "RunNotEnded": 409,
    "RunUnclaimed": 409,
    "RunUnderWay": 504,
    "ScheduleOfSync": 409,
    "StalePlan": 409,
    "StoreBusy": 409,
    "StoreDamaged": 500,
    "StoreError": 500,
    "TooManyRequests": 429,
    "TooManySchedules": 409,
    "TooManyWebhooks": 409,
    "TowlineError": 500,
    "Unauthenticated": 401,
    "Unavailable": 503,
    "UndoBlocked": 409,
    "UnknownAssets": 400,
    "UnknownKind": 400,
    "UnknownPull": 404,
    "UnresolvedConflicts": 409,
    "UnsafeOwner": 500,
    "UnselectedResolutions": 400,
    "UnsupportedRemote": 502,
    "WebhookDisabled": 409,
    "WorkerShutdown": 409,
}


@pytest.mark.parametrize("kind", _all_errors(), ids=lambda kind: kind.__name__)
def test_every_error_has_its_status(kind):
    error = kind.__new__(kind)
    # An error that is new to this list must be put into it.
    assert status_of(error) == EXPECTED[kind.__name__]


def test_a_stored_code_has_the_status_of_its_error():
    for kind in _all_errors():
        if "code" in kind.__dict__:
            assert status_of_code(kind.code) == EXPECTED[kind.__name__]
    assert status_of_code("no such code") == 500


def test_codes_are_unique_within_a_family():
    codes: dict[str, list[type]] = {}
    for kind in _all_errors():
        codes.setdefault(kind.code, []).append(kind)
    # The roots share theirs with subclasses that have none of their own.
    for kinds in codes.values():
        oldest = min(kinds, key=lambda kind: len(kind.__mro__))
        assert all(issubclass(kind, oldest) for kind in kinds)


def test_a_callers_error_is_rendered_with_its_data():
    failure = failure_of(engine.AssetLimitExceeded(limit="assets", allowed=1000, found=1001))
    assert (failure.status, failure.code) == (400, "asset_limit_exceeded")
    assert (failure.data["allowed"], failure.data["found"]) == (1000, 1001)


@pytest.mark.parametrize(
    "error",
    [
        engine.StoreError(project="p", problem="/srv/secret/path is full"),
        ValueError("secret"),
        own.CredentialUnreadable(),
        RuntimeError("secret"),
    ],
)
def test_the_cause_of_an_internal_error_is_not_shown(error):
    failure = failure_of(error)
    assert failure.status == 500
    assert "secret" not in repr(failure)
    assert not failure.data


def test_a_busy_database_asks_to_try_again():
    class Locked(Exception):
        sqlite_errorcode = 5

    failure = failure_of(OperationalError("SELECT secret", {"password": "hush"}, Locked()))
    assert (failure.status, failure.headers) == (503, {"Retry-After": "1"})
    other = failure_of(OperationalError("SELECT secret", {"password": "hush"}, Exception("x")))
    assert other.status == 500
    assert "hush" not in repr([failure, other])


def test_headers_go_with_the_failure():
    assert failure_of(own.TooManyRequests(retry_after=7)).headers == {"Retry-After": "7"}
    refused = own.Unauthenticated(challenges=("Basic", "Bearer"))
    assert failure_of(refused).headers == {"WWW-Authenticate": "Basic, Bearer"}
    assert failure_of(own.Unauthenticated()).headers == {"WWW-Authenticate": "Bearer"}


def test_every_class_in_the_table_is_an_error():
    assert all(issubclass(kind, engine.TowlineError) for kind in STATUS)
