"""What the API refuses, by its status; docs/native-api.md lists the codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class ApiError(Exception):
    """The API refused a request, or failed.

    ``status`` is the HTTP status, ``code`` the error's name, such as ``stale_plan``; ``problem``
    has all of the answer (RFC 9457), the error's own attributes included.
    """

    statuses: ClassVar[frozenset[int]] = frozenset()

    def __init__(
        self, status: int, problem: Mapping[str, Any], *, retry_after: float | None = None
    ) -> None:
        self.status = status
        self.problem = dict(problem)
        self.retry_after = retry_after
        """After how many seconds to try again, where the server says so."""
        super().__init__(f"{status} {self.code}: {problem.get('detail', 'no problem details')}")

    @property
    def code(self) -> str:
        """The error's name; ``http_error`` where something else than the API answered."""
        return str(self.problem.get("code", "http_error"))

    @property
    def request_id(self) -> str | None:
        """The id of the request, by which the server's log has more."""
        found = self.problem.get("request_id")
        return None if found is None else str(found)


class InvalidRequest(ApiError):
    """A value is not of the form that its field takes, or is too large."""

    statuses = frozenset({400, 413, 422})


class Unauthenticated(ApiError):
    """The credential is missing, wrong or has expired."""

    statuses = frozenset({401})


class Forbidden(ApiError):
    """The caller's role is too low."""

    statuses = frozenset({403})


class NotFound(ApiError):
    """There is no such thing, or the caller may not know of it."""

    statuses = frozenset({404})


class ConflictingState(ApiError):
    """What is there now does not allow it: a stale plan, a name that is taken, another content."""

    statuses = frozenset({409, 412})


class RateLimited(ApiError):
    """Too many requests, or a queue is full; ``retry_after`` has the seconds."""

    statuses = frozenset({429})


class Unavailable(ApiError):
    """The server cannot answer now, or the project's remote has failed."""

    statuses = frozenset({502, 503, 504})


class Unreachable(Exception):
    """No answer came: the server is not there, or the connection was lost.

    The request may have been executed, unless it can be repeated (`Request.is_repeatable`): then it
    was sent again as often as the client's `Retries` allow.
    """


def error_of(
    status: int, problem: Mapping[str, Any], *, retry_after: float | None = None
) -> ApiError:
    """Return the error of an answer."""
    kinds = ApiError.__subclasses__()
    found = next((each for each in kinds if status in each.statuses), ApiError)
    return found(status, problem, retry_after=retry_after)
