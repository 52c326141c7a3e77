"""Requests that wait for a run, and the HTTP failure of a run that failed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import ParamSpec, TypeVar
from uuid import UUID

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

from towline_server.errors import ProjectBusy, RunUnderWay
from towline_server.problems import Failure, status_of_code
from towline_server.runs.domain import BackendName, Run, RunMode
from towline_server.runs.listing import RunFilter
from towline_server.runs.service import Runs
from towline_server.runs.states import UNENDED, RunState
from towline_server.services import Services

P = ParamSpec("P")
T = TypeVar("T")

_AT_ONCE = 256
"""Requests that wait at once; the rest wait for their turn to wait."""
_LIMITER: RunVar[CapacityLimiter] = RunVar("towline_waiting")


def check_idle(runs: Runs, project_id: UUID) -> None:
    """Refuse a project that another run pulls or is about to pull; a dry run does not count.

    A run that waits for an external executor, or for its next attempt, blocks no other.

    Raises:
        ProjectBusy: there is one.
    """
    wanted = RunFilter(project_id=project_id, states=UNENDED)
    for run in runs.page(wanted, limit=100).runs:
        put_off = run.executor.backend is BackendName.EXTERNAL or run.attempts.not_before
        if run.state is RunState.QUEUED and put_off:
            continue
        if run.request.mode is not RunMode.DRY_RUN:
            raise ProjectBusy(run_id=str(run.id))


async def wait_for_run(services: Services, run: Run, *, seconds: float | None = None) -> Run:
    """Wait until a run has ended, in a thread apart from those of other requests.

    Raises:
        RunUnderWay: it has not within ``seconds``, by default the settings' ``wait_seconds``.
    """
    bound = services.settings.wait_seconds if seconds is None else seconds
    last = await wait_in_thread(lambda: services.runs.settle(run.id, bound))
    if not last.is_terminal:
        raise RunUnderWay(run_id=str(last.id))
    return last


async def wait_in_thread(function: Callable[[], T]) -> T:
    """Return the result of a function that may wait for a remote or a run, in a thread apart."""
    return await to_thread.run_sync(function, limiter=_limiter())


def waiting(function: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """Return a route of a function that may wait for a remote or a run: it gets a thread apart."""

    @wraps(function)
    async def route(*args: P.args, **given: P.kwargs) -> T:
        return await wait_in_thread(partial(function, *args, **given))

    return route


def _limiter() -> CapacityLimiter:
    try:
        return _LIMITER.get()
    except LookupError:
        limiter = CapacityLimiter(_AT_ONCE)
        _LIMITER.set(limiter)
        return limiter


def failure_of_run(run: Run) -> Failure:
    """Return the failure of a run that did not succeed, as if the request itself had failed."""
    assert run.error is not None, "it did not succeed"
    error = run.error
    return Failure(
        status=status_of_code(error.code), code=error.code, message=error.message, data=error.data
    )
