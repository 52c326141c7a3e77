"""The envelope of responses, failures included, and its contents."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from towline.plan import IgnoredReason
from towline_server.api.models import at
from towline_server.problems import Failure, request_id_of
from towline_server.runs.domain import Run
from towline_server.runs.states import RunState
from towline_server.web.waiting import failure_of_run

RUN_HEADER = "Towline-Run"
"""The header with the id of the run that a request started."""


class Item(BaseModel):
    """One asset that the operation touched."""

    asset_id: str | None
    path: str
    name: str
    type: str = at("kind")


class UpdatedItem(Item):
    """One that has the repository's changes, and whether local edits were merged with them."""

    merged: bool
    merged_by: str | None
    """What merged its content, ``structure`` or ``lines``, where both sides had changed it."""


class IgnoredItem(Item):
    """One that was left as it is, and why. What is no asset may have no id."""

    reason: str


class UpToDate(BaseModel):
    """There was nothing to do."""

    status: Literal["up-to-date"] = "up-to-date"


class UpToDateButIgnored(UpToDate):
    """There was nothing to do, and what was left as it is before still is."""

    ignored: list[IgnoredItem] = Field(min_length=1)


class Updated(BaseModel):
    """What was done."""

    status: Literal["updated"] = "updated"
    overwritten: list[Item]
    updated: list[UpdatedItem]
    created: list[Item]
    deleted: list[Item]
    ignored: list[IgnoredItem]
    error_msgs: list[str]


class PullAnswer(BaseModel):
    """The response to a pull, and to every operation that ends in one."""

    response_map: UpToDateButIgnored | UpToDate | Updated
    http_status_code: Literal[200] = 200


class Message(BaseModel):
    """One thing that is wrong."""

    message: str


class Errors(BaseModel):
    """Everything that is wrong; the server's log has more under the id."""

    error_id: str
    error_list: list[Message]


class ErrorAnswer(BaseModel):
    """The answer of a request that failed."""

    response_map: Errors
    http_status_code: int


class SpaceAnswer(BaseModel):
    """The result of each project of a space, by its path."""

    response_map: dict[str, PullAnswer | ErrorAnswer]
    http_status_code: Literal[200] = 200


_DESCRIPTIONS: Mapping[int, str] = {
    400: "The request is malformed, or does not match the project.",
    401: "No valid credential was given.",
    403: "The caller may not do this.",
    404: "There is no such project, or it is someone else's.",
    409: "Conflicts were refused, or the project is busy.",
    429: "Too many requests.",
    500: "The server failed.",
    502: "The repository cannot be read, or cannot be pulled.",
    503: "The server cannot serve just now.",
    504: "The run has not ended yet.",
}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer, "description": description}
    for status, description in _DESCRIPTIONS.items()
}


def render(request: Request, failure: Failure) -> Response:
    """Render a failure in the envelope."""
    messages = [
        f"{'.'.join(str(part) for part in issue['loc'])}: {issue['msg']}"
        for issue in failure.issues
    ] or [failure.message]
    # A body that does not fit is a bad request here.
    status = 400 if failure.status in (413, 422) else failure.status
    return refusal(request, status, messages)


def refusal(request: Request, status: int, messages: Sequence[str]) -> Response:
    """Return the response that lists what is wrong."""
    return _sent(refused(request, status, messages), status)


def refused(request: Request, status: int, messages: Sequence[str]) -> ErrorAnswer:
    """Return the envelope of a failure."""
    errors = [Message(message=message) for message in messages]
    return ErrorAnswer(
        response_map=Errors(error_id=request_id_of(request), error_list=errors),
        http_status_code=status,
    )


def answer(request: Request, run: Run, *, of_caller: Collection[str] = ()) -> Response:
    """Return the response to a request that waited for its run.

    ``of_caller`` has the codes of errors that the request itself causes: they are 400.
    """
    found = envelope(request, run, of_caller=of_caller)
    response = _sent(found, found.http_status_code)
    response.headers[RUN_HEADER] = str(run.id)
    return response


def envelope(
    request: Request, run: Run, *, of_caller: Collection[str] = ()
) -> PullAnswer | ErrorAnswer:
    """Return the envelope of a run that has ended; ``of_caller`` is as in `answer`."""
    if run.state is RunState.SUCCEEDED:
        assert run.report is not None, "it succeeded"
        return PullAnswer(response_map=_response_map(run.report))
    failure = failure_of_run(run)
    # 504 means that a run goes on; this one has ended.
    status = 502 if failure.status == 504 else failure.status
    if failure.code in of_caller:
        status = 400
    messages = run.report["error_msgs"] if run.report is not None else []
    return refused(request, status, messages or [failure.message])


_CHANGED = ("overwritten", "updated", "created", "deleted")
_SETTLED = (IgnoredReason.DECLINED, IgnoredReason.DELETION_DECLINED)


def _response_map(report: Mapping[str, Any]) -> UpToDate | Updated:
    if report["status"] == "up-to-date":
        return UpToDate()
    lists = {name: report[name] for name in (*_CHANGED, "ignored", "error_msgs")}
    updated = Updated.model_validate(lists)
    settled = any(each.reason in _SETTLED for each in updated.ignored)
    changed = any(report[name] for name in _CHANGED)
    if report["base"] == report["revision"] and not settled and not changed:
        # Clients poll until they are up to date: an old conflict is nothing new.
        return UpToDateButIgnored(ignored=updated.ignored)
    return updated


def _sent(found: BaseModel, status: int) -> Response:
    return JSONResponse(found.model_dump(mode="json"), status_code=status)
