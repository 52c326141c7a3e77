"""Owns what each error means over HTTP: one table for the engine's errors and the server's own.

A failure is a plain value first. The native API renders it as RFC 9457 problem details; a dialect
puts the same value into its own envelope.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, TypeAlias

from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from towline import errors as engine

from . import errors as own
from .db.failures import is_away, is_busy, is_full, passes

STATUS: Mapping[type[engine.TowlineError], int] = {
    # The caller must act.
    engine.CallerError: 400,
    engine.UnresolvedConflicts: 409,
    engine.AlreadyAssociated: 409,
    engine.UnknownPull: 404,
    own.Unauthenticated: 401,
    own.Forbidden: 403,
    own.NotFound: 404,
    own.AlreadyExists: 409,
    own.ConnectionInUse: 409,
    own.BodyTooLarge: 413,
    own.IdempotencyKeyReused: 422,
    own.TooManyRequests: 429,
    # The world moved: the same again may succeed.
    engine.MovedError: 409,
    # The repository's content, or its host: this server is a gateway to it.
    engine.InvalidPath: 400,
    engine.InvalidTree: 502,
    engine.DuplicateEmbeddedId: 502,
    engine.RemoteError: 502,
    engine.RemoteTimeout: 504,
    # The machine.
    own.Unavailable: 503,
    own.DiskFull: 503,
    own.RunUnderWay: 504,
    engine.TowlineError: 500,
}
"""A class that is not here has the status of the nearest one above it."""

Issue: TypeAlias = "Mapping[str, Any]"
"""One problem of a request that is malformed: ``loc``, ``msg``, ``type``, and nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What a request failed of, before it is put into an envelope."""

    status: int
    code: str
    message: str
    data: Mapping[str, Any] = field(default_factory=dict)
    """The error's attributes."""
    issues: tuple[Issue, ...] = ()
    """Where the request is malformed."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """What must be sent along in whatever envelope: WWW-Authenticate, Retry-After, Allow."""

    def with_status(self, status: int) -> Failure:
        """The same under another status, for a dialect that has its own."""
        return replace(self, status=status)


_AWAY = "the database cannot be reached now; try again"

Render: TypeAlias = Callable[[Request, Failure], Response]
"""Puts a failure into an envelope."""


def status_of(error: engine.TowlineError) -> int:
    """The HTTP status of an error."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def status_of_code(code: str) -> int:
    """The HTTP status of an error of which only the stable code was kept; 500: it is unknown."""
    waiting = list(engine.TowlineError.__subclasses__())
    while waiting:
        kind = waiting.pop()
        if kind.__dict__.get("code") == code:
            return next(STATUS[each] for each in kind.__mro__ if each in STATUS)
        waiting.extend(kind.__subclasses__())
    return 500


def failure_of(error: Exception) -> Failure:
    """What any exception means to the caller; what is not theirs to know is left out."""
    match error:
        case own.DiskFull():
            return _away(error.code, error.message)
        case engine.StoreError() if error.__cause__ is not None and passes(error.__cause__):
            return _away("database_unavailable", _AWAY)
        case engine.TowlineError():
            return _of_towline(error)
        case RequestValidationError():
            return _of_validation(error.errors())
        case HTTPException():
            return _of_http(error)
        case SQLAlchemyError() if is_busy(error):
            return Failure(
                status=503,
                code="busy",
                message="the database is busy; try again",
                headers={"Retry-After": "1"},
            )
        case SQLAlchemyError() | sqlite3.Error() if is_full(error):
            return _away(own.DiskFull.code, "the server's disk is full; nothing was changed")
        case SQLAlchemyError() | sqlite3.Error() if is_away(error):
            return _away("database_unavailable", _AWAY)
    return _internal()


def _away(code: str, message: str) -> Failure:
    return Failure(status=503, code=code, message=message, headers={"Retry-After": "5"})


def _of_towline(error: engine.TowlineError) -> Failure:
    status = status_of(error)
    if status == 500:
        # The words may tell of the machine: they are for the log.
        return _internal(error.code)
    headers = {}
    if isinstance(error, own.Unauthenticated):
        headers = {"WWW-Authenticate": ", ".join(error.challenges or ("Bearer",))}
    if isinstance(error, own.TooManyRequests):
        headers = {"Retry-After": str(error.retry_after)}
    if isinstance(error, own.Unavailable):
        headers = {"Retry-After": "1"}
    data = {} if isinstance(error, own.Unauthenticated) else error.data()
    return Failure(
        status=status, code=error.code, message=error.message, data=data, headers=headers
    )


def _of_validation(found: Sequence[Any]) -> Failure:
    issues = tuple(
        {"loc": list(one["loc"]), "msg": str(one["msg"]), "type": str(one["type"])} for one in found
    )
    return Failure(
        status=422, code="invalid_request", message="the request is malformed", issues=issues
    )


def _of_http(error: HTTPException) -> Failure:
    code = HTTPStatus(error.status_code).name.lower()
    # The framework's own words, or those of who raised it on purpose; never an exception's text.
    message = str(error.detail) or HTTPStatus(error.status_code).phrase
    return Failure(
        status=error.status_code, code=code, message=message, headers=dict(error.headers or {})
    )


def _internal(code: str = "internal_error") -> Failure:
    return Failure(
        status=500, code=code, message="an internal error; the log has more under the request's id"
    )


def problem(request: Request, failure: Failure) -> Response:
    """RFC 9457 problem details, with the error's stable ``code`` and its attributes."""
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
    """The id under which the log tells of this request."""
    return str(getattr(request.state, "request_id", ""))
