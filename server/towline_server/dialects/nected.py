"""Nected: a remote pull of the branch that a workspace's key names, as a task to be polled.

A task is a run of the whole project; it has the first attempt's id, and the last one's state.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from towline.errors import CallerError, InvalidValue
from towline_server.auth.roles import Principal, Role, authorise
from towline_server.dialects.models import Opened
from towline_server.errors import Ambiguous, Forbidden, NotFound
from towline_server.problems import Failure
from towline_server.projects.service import Projects
from towline_server.runs.domain import Run, RunMode, Trigger
from towline_server.runs.states import Fault, RunState
from towline_server.web import access
from towline_server.web.authentication import Form, authenticated
from towline_server.web.dialect import Dialect
from towline_server.web.idempotency import idempotent
from towline_server.web.schemas import GIT_BRANCH, raw_body

_PREFIX = "/dev"
_BRANCH = "Nected-Branch"
_TASK = "task"

router = APIRouter(prefix=_PREFIX, route_class=idempotent(Form.NECTED_API_KEY))


class Code(StrEnum):
    """What went wrong, in a word; empty if nothing did."""

    NONE = ""
    BAD_REQUEST = "BAD_REQUEST"
    BRANCH_REQUIRED = "BRANCH_REQUIRED"
    BRANCH_INVALID = "BRANCH_INVALID"
    BRANCH_NOT_FOUND = "BRANCH_NOT_FOUND"
    UNAUTHORIZED = "UNAUTHORIZED"
    TASK_NOT_FOUND = "TASK_NOT_FOUND"
    UNRESOLVED_CONFLICTS = "UNRESOLVED_CONFLICTS"
    ASSET_LIMIT_EXCEEDED = "ASSET_LIMIT_EXCEEDED"
    REMOTE_UNAVAILABLE = "REMOTE_UNAVAILABLE"
    CANCELLED = "CANCELLED"
    INTERNAL = "INTERNAL"


class TaskState(StrEnum):
    """The state of a task."""

    PENDING = "pending"
    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
    FAILED = "failed"


class Task(BaseModel):
    """A pull."""

    taskId: str  # noqa: N815 - the page's name
    taskState: TaskState  # noqa: N815 - the page's name


class EndedTask(Task):
    """A pull that has ended, and its report; null if it did nothing."""

    report: dict[str, Any] | None


class Nothing(BaseModel):
    """The data of a request that failed: none."""


class _Envelope(BaseModel):
    code: Code = Code.NONE
    message: str = ""
    pageNo: Literal[0] = 0  # noqa: N815 - the page's name
    pageSize: Literal[0] = 0  # noqa: N815 - the page's name
    totalCount: Literal[0] = 0  # noqa: N815 - the page's name
    totalPages: Literal[0] = 0  # noqa: N815 - the page's name


class TaskAnswer(_Envelope):
    """The response that shows a task; ``code`` is why it failed."""

    data: EndedTask | Task


class ErrorAnswer(_Envelope):
    """The response to a request that failed."""

    data: Nothing = Nothing()


class BranchRefused(CallerError, code="branch_refused"):
    """The branch that a request names, or does not name, cannot be pulled."""

    word: Code

    @property
    def message(self) -> str:
        """What is wrong with it."""
        return _BRANCH_PROBLEMS[self.word]


_BRANCH_CODES: Mapping[type[Exception], Code] = {
    InvalidValue: Code.BRANCH_INVALID,
    Ambiguous: Code.BRANCH_REQUIRED,
    NotFound: Code.BRANCH_NOT_FOUND,
}
_BRANCH_PROBLEMS = {
    Code.BRANCH_REQUIRED: f"the header {_BRANCH} must name a branch",
    Code.BRANCH_INVALID: f"the header {_BRANCH} is not the name of a branch",
    Code.BRANCH_NOT_FOUND: "the workspace has no such branch",
}


# --- routes -----------------------------------------------------------------------------------


def _branch_header(*, required: bool) -> dict[str, Any]:
    """The header's part of the OpenAPI document, for a route's ``openapi_extra``.

    FastAPI would look for a header that it requires before the credential.
    """
    header = {
        "name": _BRANCH,
        "in": "header",
        "required": required,
        "description": "The branch to pull.",
        "schema": {"type": "string", "format": GIT_BRANCH},
    }
    return {"parameters": [header]}


def _caller(
    caller: Annotated[Principal, Depends(authenticated(Form.NECTED_API_KEY))],
) -> Principal:
    """A dependency: the key's account, if it may do anything in its workspace."""
    if caller.tenant_role is None and not caller.project_roles:
        raise Forbidden(problem="the key is not associated with the workspace")
    return caller


Caller = Annotated[Principal, Depends(_caller)]


def _branch(
    request: Request,
    # `_branch_header` documents it: one route requires it, the other does not.
    header: Annotated[str, Header(alias=_BRANCH, include_in_schema=False)] = "",
) -> str | None:
    """A dependency: the branch that the header names, in UTF-8, if any."""
    try:
        branch = header.encode("latin-1").decode("utf-8").strip()
    except UnicodeError:
        raise BranchRefused(word=Code.BRANCH_INVALID) from None
    if len(request.headers.getlist(_BRANCH)) > 1:
        raise BranchRefused(word=Code.BRANCH_INVALID)
    return branch or None


Branch = Annotated[str | None, Depends(_branch)]
Body = Annotated[bytes, Depends(raw_body)]

_REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorAnswer, "description": "The request, or its branch, is not usable."},
    401: {"model": ErrorAnswer, "description": "The key is missing, or may not do this."},
    429: {"model": ErrorAnswer, "description": "Too many requests, or too many tasks that wait."},
    500: {"model": ErrorAnswer, "description": "Try again later."},
}


@router.post(
    "/remote/pull",
    response_model=TaskAnswer,
    responses=_REFUSALS,
    openapi_extra=_branch_header(required=True),
)
def pull(services: Opened, caller: Caller, branch: Branch, body: Body) -> Response:
    """Start to pull the branch from its remote."""
    if branch is None:
        raise BranchRefused(word=Code.BRANCH_REQUIRED)
    return pull_default(services, caller, branch, body)


@router.post(
    "/v1/remote/pull",
    response_model=TaskAnswer,
    responses=_REFUSALS,
    openapi_extra=_branch_header(required=False),
)
def pull_default(services: Opened, caller: Caller, branch: Branch, body: Body) -> Response:
    """The same; a workspace of one branch need not name it."""
    try:
        with services.database.reading() as session:
            found = Projects(session).by_branch(caller.tenant_id, branch)
        project = authorise(caller, found, Role.WRITER)
    except (InvalidValue, Ambiguous, NotFound) as error:
        raise BranchRefused(word=_BRANCH_CODES[type(error)]) from None
    if body.strip() not in (b"", b"{}"):
        raise InvalidValue(field="body", problem="must be empty")
    try:
        run = services.runs.request(project.id, trigger=Trigger(requested_by=caller.id))
    except NotFound:
        # The project was deleted since it was found: the page has no 404.
        raise BranchRefused(word=Code.BRANCH_NOT_FOUND) from None
    return _task_answer(run, str(run.id))


@router.get(
    "/remote/tasks/{taskId}",
    response_model=TaskAnswer,
    responses={
        401: _REFUSALS[401],
        404: {"model": ErrorAnswer, "description": "There is no such task."},
        429: _REFUSALS[429],
        500: _REFUSALS[500],
    },
)
def task(
    services: Opened,
    caller: Caller,
    taskId: str,  # noqa: N803 - the page's name
) -> Response:
    """Return a task; when it has ended, with its report."""
    run = services.runs.find(access.parse_id(taskId, _TASK))
    if run is None or run.request.kind is not None or run.request.mode is RunMode.DRY_RUN:
        raise NotFound(what=_TASK)
    access.project(services, caller, run.project_id, Role.READER, _TASK)
    # Attempts that replaced it without a request are the same task.
    return _task_answer(services.runs.wait(run.id, 0), taskId)


# --- responses ---------------------------------------------------------------------------------


def _task_answer(run: Run, task_id: str) -> Response:
    state = _state(run)
    data: Task = Task(taskId=task_id, taskState=state)
    if run.is_terminal:
        data = EndedTask(taskId=task_id, taskState=state, report=run.report)
    failed = state is TaskState.FAILED
    answer = TaskAnswer(
        data=data,
        code=_code_of_run(run) if failed else Code.NONE,
        message=run.error.message if failed and run.error is not None else "",
    )
    return JSONResponse(answer.model_dump(mode="json"))


def _state(run: Run) -> TaskState:
    if run.state is RunState.QUEUED:
        return TaskState.PENDING
    if run.state is RunState.SUCCEEDED:
        return TaskState.COMPLETED
    return TaskState.FAILED if run.is_terminal else TaskState.IN_PROGRESS


_BY_FAULT: Mapping[Fault, Code] = {
    Fault.CALLER: Code.CANCELLED,
    Fault.CONFLICT: Code.UNRESOLVED_CONFLICTS,
    Fault.REMOTE: Code.REMOTE_UNAVAILABLE,
    Fault.CREDENTIAL: Code.REMOTE_UNAVAILABLE,
    Fault.PERMISSION: Code.REMOTE_UNAVAILABLE,
    Fault.RATE_LIMIT: Code.REMOTE_UNAVAILABLE,
    # "Invalid request or validation error."
    Fault.CONTENT: Code.BAD_REQUEST,
    Fault.LIMIT: Code.BAD_REQUEST,
    Fault.REQUEST: Code.BAD_REQUEST,
    Fault.PREREQUISITE: Code.BAD_REQUEST,
}
_BY_CODE: Mapping[str, Code] = {
    "asset_limit_exceeded": Code.ASSET_LIMIT_EXCEEDED,
    "ref_not_found": Code.BRANCH_NOT_FOUND,
}


def _code_of_run(run: Run) -> Code:
    if run.error is None:
        return Code.INTERNAL
    return _BY_CODE.get(run.error.code) or _BY_FAULT.get(run.error.fault, Code.INTERNAL)


def render(_request: Request, failure: Failure) -> Response:
    """Render a failure in the envelope, under one of the few statuses of the page."""
    status, code = _status_and_code(failure)
    body = ErrorAnswer(code=code, message=failure.message)
    return JSONResponse(body.model_dump(mode="json"), status_code=status)


def _status_and_code(failure: Failure) -> tuple[int, Code]:
    if failure.code == BranchRefused.code:
        return 400, Code(failure.data["word"])
    match failure.status:
        case 401 | 403:
            return 401, Code.UNAUTHORIZED
        case 404 if failure.data.get("what") == _TASK:
            return 404, Code.TASK_NOT_FOUND
        case 404 | 405:
            return failure.status, Code.BAD_REQUEST
        case 400 | 413 | 422:
            return 400, Code.BAD_REQUEST
        case 429:
            return 429, Code.INTERNAL
        case _:
            # "A temporary service issue": a first request that still runs, a server that stops.
            return 500, Code.INTERNAL


DIALECT = Dialect(
    tag="Nected",
    description="Remote pulls of a workspace's branches, as tasks.",
    router=router,
    prefixes=(_PREFIX,),
    render=render,
)
