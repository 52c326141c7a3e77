"""The client for code that waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

import httpx2

from . import native
from .errors import ApiError, Unreachable
from .models import Run, RunBody, RunSummary
from .options import TIMEOUT, httpx_options
from .request import Page, Request
from .retries import Retries
from .streams import RunEvents

T = TypeVar("T")
Item = TypeVar("Item")


class Client:
    """A client of a control plane, in the name of the one whose credential it has.

    ``key`` is an API key or a token (JWT), ``login`` an email and a password. ``transport`` is one
    of httpx. A client may be used by several threads; it is closed at the end of a ``with``.

    Raises:
        ValueError: the address is none, or both a key and a login are given.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        login: tuple[str, str] | None = None,
        timeout: float = TIMEOUT,
        retries: Retries = Retries(),
        transport: httpx2.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        options = httpx_options(url, key=key, login=login, timeout=timeout, transport=transport)
        self._http = httpx2.Client(**options)
        self._url = url.rstrip("/")
        self._retries = retries
        self._sleep = sleep

    def __repr__(self) -> str:
        return f"Client({self._url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, request: Request[T]) -> T:
        """Return the answer to a request, which is sent again as `Retries` say.

        Raises:
            ApiError: the server refused it, or failed.
            Unreachable: no answer came.
        """
        sent, lost = 0, False
        while True:
            sent += 1
            try:
                return self._send_once(request)
            except (ApiError, Unreachable) as error:
                if lost and request.is_done(error):
                    return request.read(204, {}, b"")
                lost |= isinstance(error, Unreachable)
                pause = self._retries.pause(request, error, sent)
                if pause is None:
                    raise
            self._sleep(pause)

    def every(self, request: Request[Page[Item]]) -> Iterator[Item]:
        """Yield every entry of a list, page after page. Raises as `send`."""
        wanted: Request[Page[Item]] | None = request
        while wanted is not None:
            page = self.send(wanted)
            for item in page.items:  # noqa: UP028 - asynchronous generators have no yield from
                yield item
            wanted = wanted.following(page)

    def pull(self, project_id: UUID | str, *, seconds: float | None = None, **body: Any) -> Run:
        """Request a run of a project, wait for its end, and return it with its report.

        ``body`` is that of `models.RunBody`, such as ``use_theirs``. Raises as `wait`.
        """
        run = self.send(native.request_run(project_id, RunBody(**body)))
        return self.wait(run.id, seconds=seconds)

    def wait(self, run_id: UUID | str, *, seconds: float | None = None) -> Run:
        """Return a run once it has ended; it goes on, whatever becomes of who waits.

        Raises:
            TimeoutError: it has not ended within so many seconds, give or take 15.
            ApiError, Unreachable: as `send`.
        """
        for run in self.follow(run_id, seconds=seconds):
            if isinstance(run, Run):
                return run
        raise AssertionError("a run that is followed to its end has a report")

    def follow(
        self, run_id: UUID | str, *, seconds: float | None = None
    ) -> Iterator[Run | RunSummary]:
        """Yield a run at each change, at last as a `models.Run`, which has its report.

        Where the connection is lost, it goes on by another one. Raises as `wait`.
        """
        ends = None if seconds is None else time.monotonic() + seconds
        request, sent = native.follow_run(run_id), 0
        while True:
            events = RunEvents()
            sent += 1
            try:
                for run in self._events(request, events, ends):
                    sent = 0
                    yield run
                    if events.has_ended:
                        return
                if sent:
                    raise Unreachable(f"{request.path}: the stream ended before its first event")
            except (ApiError, Unreachable) as error:
                pause = self._retries.pause(request, error, sent)
                if pause is None:
                    raise
                self._sleep(pause)

    def _events(
        self, request: Request[None], events: RunEvents, ends: float | None
    ) -> Iterator[Run | RunSummary]:
        try:
            with self._http.stream(request.method, request.path) as answer:
                if not answer.is_success:
                    request.read(answer.status_code, answer.headers, answer.read())
                # Without news the server sends a comment every 15 s.
                for line in answer.iter_lines():
                    if ends is not None and time.monotonic() > ends:
                        raise TimeoutError(f"{request.path}: the run has not ended in time")
                    if (run := events.take(line)) is not None:
                        yield run
        except httpx2.TransportError as error:
            raise Unreachable(f"{self._url}: {type(error).__name__}") from error

    def _send_once(self, request: Request[T]) -> T:
        try:
            answer = self._http.request(
                request.method,
                request.path,
                params=request.query(),
                headers=request.all_headers(),
                content=request.payload(),
            )
        except httpx2.TransportError as error:
            raise Unreachable(f"{self._url}: {type(error).__name__}") from error
        return request.read(answer.status_code, answer.headers, answer.content)
