"""How failures are told."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from towline_server.errors import KindInProgress
from towline_server.problems import Failure, request_id_of

from .models import ErrorMessage, Retry, Validation, ValidationItem

_PASSING = frozenset({429, 502, 503, 504})


def render(request: Request, failure: Failure) -> Response:
    """The failure in the envelope of these pages."""
    status = _status(failure)
    message = ErrorMessage(
        status_code=status,
        service="towline",
        error=failure.message,
        correlation_id=request_id_of(request),
        validation=_validation(failure),
        can_be_retried=_can_be_retried(failure),
        detailed_error_code=0,
    )
    return JSONResponse(message.model_dump(by_alias=True), status_code=status)


def _status(failure: Failure) -> int:
    if failure.code == KindInProgress.code:
        return 400
    if failure.status != 422:
        return failure.status
    # What is no UUID is nobody's id.
    ids = {("path", name) for name in ("companyId", "connectionId", "datasetId")}
    return 404 if any(tuple(issue["loc"]) in ids for issue in failure.issues or ()) else 400


def _validation(failure: Failure) -> Validation | None:
    if not failure.issues:
        return None
    found = [
        ValidationItem(
            item_id=".".join(str(part) for part in issue["loc"]),
            message=issue["msg"],
            validator_name=issue["type"],
        )
        for issue in failure.issues
    ]
    return Validation(errors=found, warnings=[])


def _can_be_retried(failure: Failure) -> Retry:
    if failure.status in _PASSING or failure.status == 409:
        return "Yes"
    return "Unknown" if failure.status >= 500 else "No"
