"""What each error means over HTTP: one table for the engine's errors and the server's own.

A failure is a plain value first. The native API renders it as RFC 9457 problem details; a dialect
puts the same value into its own envelope.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import field
from http import HTTPStatus
from typing import Any, TypeAlias

from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from towline import errors as engine
from towline.frozen import frozen

from . import errors as own
from .db.failures import is_away, is_busy, is_full, passes

STATUS: Mapping[type[engine.TowlineError], int] = {
    # The caller must act.
    engine.CallerError: 400,
    engine.UnresolvedConflicts: 409,
    engine.InvalidResolution: 409,
    engine.AlreadyAssociated: 409,
    engine.UnknownPull: 404,
    own.Unauthenticated: 401,
    own.Forbidden: 403,
    own.NotFound: 404,
    own.AlreadyExists: 409,
    own.ConnectionInUse: 409,
    own.LastAdministrator: 409,
    own.ScheduleOfSync: 409,
    own.BodyTooLarge: 413,
    own.BackendNotConfigured: 422,
    own.IdempotencyKeyReused: 422,
    own.TooManyRequests: 429,
    own.QueueFull: 429,
    # The world moved: the same again may succeed.
    engine.MovedError: 409,
    # The repository's content, or its host: this server is a gateway to it.
    engine.InvalidPath: 400,
    engine.InvalidTree: 502,
    engine.RemoteError: 502,
    engine.RemoteTimeout: 504,
    # The machine.
    own.Unavailable: 503,
    own.HostPaused: 503,
    own.DiskFull: 503,
    own.RunUnderWay: 504,
    engine.TowlineError: 500,
}
"""A class that is not here has the status of the nearest one above it."""

Issue: TypeAlias = "Mapping[str, Any]"
"""One problem of a request that is malformed: ``loc``, ``msg``, ``type``, and nothing else."""


@frozen(kw_only=True)
class Failure:
    """Why a request failed, before it is put into an envelope."""

    status: int
    code: str
    message: str
    data: Mapping[str, Any] = field(default_factory=dict)
    """The error's attributes."""
    issues: tuple[Issue, ...] = ()
    """Where the request is malformed."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Those of every envelope: WWW-Authenticate, Retry-After, Allow."""


_AWAY = "the database cannot be reached now; try again"

Render: TypeAlias = Callable[[Request, Failure], Response]
"""Puts a failure into an envelope."""


def status_of(error: engine.TowlineError) -> int:
    """Return the HTTP status of an error."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def status_of_code(code: str) -> int:
    """Return the HTTP status of an error of which only the code was stored; 500: unknown."""
    waiting = list(engine.TowlineError.__subclasses__())
    while waiting:
        kind = waiting.pop()
        if kind.__dict__.get("code") == code:
            return next(STATUS[each] for each in kind.__mro__ if each in STATUS)
        waiting.extend(kind.__subclasses__())
    return 500


def failure_of(error: Exception) -> Failure:
    """Return what an exception means to the caller, without what they must not see."""
    match error:
        case own.DiskFull():
            return _unavailable(error.code, error.message)
        case engine.StoreError() if error.__cause__ is not None and passes(error.__cause__):
            return _unavailable("database_unavailable", _AWAY)
        case engine.TowlineError():
            return _of_towline(error)
        case RequestValidationError():
            issues = tuple(
                {"loc": list(each["loc"]), "msg": str(each["msg"]), "type": str(each["type"])}
                for each in error.errors()
            )
            malformed = "the request is malformed"
            return Failure(status=422, code="invalid_request", message=malformed, issues=issues)
        case HTTPException(status_code=status):
            # The framework's own text, or that of a deliberate refusal; never an exception's.
            return Failure(
                status=status,
                code=HTTPStatus(status).name.lower(),
                message=str(error.detail) or HTTPStatus(status).phrase,
                headers=dict(error.headers or {}),
            )
        case SQLAlchemyError() if is_busy(error):
            return _unavailable("busy", "the database is busy; try again", retry_after=1)
        case SQLAlchemyError() | sqlite3.Error() if is_full(error):
            return _unavailable(own.DiskFull.code, "the server's disk is full; nothing was changed")
        case SQLAlchemyError() | sqlite3.Error() if is_away(error):
            return _unavailable("database_unavailable", _AWAY)
    return _internal("internal_error")


def _unavailable(code: str, message: str, retry_after: int = 5) -> Failure:
    headers = {"Retry-After": str(retry_after)}
    return Failure(status=503, code=code, message=message, headers=headers)


def _of_towline(error: engine.TowlineError) -> Failure:
    status = status_of(error)
    if status == 500:
        # The message may describe the machine: it is for the log.
        return _internal(error.code)
    data, headers = error.data(), {}
    match error:
        case own.Unauthenticated(challenges=challenges):
            data, headers = {}, {"WWW-Authenticate": ", ".join(challenges or ("Bearer",))}
        case (
            own.TooManyRequests(retry_after=seconds)
            | own.QueueFull(retry_after=seconds)
            | own.HostPaused(retry_after=seconds)
        ):
            headers = {"Retry-After": str(seconds)}
        case own.Unavailable():
            headers = {"Retry-After": "1"}
        case _:
            pass
    return Failure(
        status=status, code=error.code, message=error.message, data=data, headers=headers
    )


def _internal(code: str) -> Failure:
    return Failure(
        status=500, code=code, message="an internal error; the log has more under the request's id"
    )


def problem(request: Request, failure: Failure) -> Response:
    """Render RFC 9457 problem details, with the error's ``code`` and its attributes."""
    body: dict[str, Any] = {
        **failure.data,
        "type": f"urn:towline:error:{failure.code}",
        "title": HTTPStatus(failure.status).phrase,
        "status": failure.status,
        "detail": failure.message,
        "code": failure.code,
        "request_id": request_id_of(request),
    }
    if failure.issues:
        body["errors"] = list(failure.issues)
    return JSONResponse(
        body,
        status_code=failure.status,
        media_type="application/problem+json",
    )


def request_id_of(request: Request) -> str:
    """Return the id of a request in the log."""
    return str(getattr(request.state, "request_id", ""))
