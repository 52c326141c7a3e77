"""When a request is sent again, and after how long."""

from __future__ import annotations

import random

from towline.frozen import frozen

from .errors import ApiError, RateLimited, Unreachable
from .request import Request

_SECONDS = 0.5
_STATUS_UNAVAILABLE = 503
_STILL_RUNNING = "idempotent_request_running"
"""The code of a refusal: the same ``POST`` came before, and is not answered yet."""


@frozen(kw_only=True)
class Retries:
    """How often a request is sent again, and how long a client waits for that at most.

    Sent again is what the server refused for now (429, 503, or a ``POST`` whose first sending it
    still executes), and, where the request can be repeated, what no answer came to.
    """

    times: int = 4
    longest_pause: float = 30.0
    """Seconds; a server that asks for more is not waited for."""

    def pause(
        self, request: Request[object], error: ApiError | Unreachable, sent: int
    ) -> float | None:
        """Return the seconds until it is sent again, after it was ``sent`` times; None: never."""
        if sent > self.times:
            return None
        if isinstance(error, Unreachable):
            asked = None if request.is_repeatable else float("inf")
        elif (
            isinstance(error, RateLimited)
            or error.status == _STATUS_UNAVAILABLE
            or error.code == _STILL_RUNNING
        ):
            asked = error.retry_after
        else:
            return None
        # Exponential, with jitter: clients that failed together do not return together.
        backoff = _SECONDS * 2 ** (sent - 1) * (0.5 + random.random() / 2)  # noqa: S311
        wanted = backoff if asked is None else asked
        return None if wanted > self.longest_pause else wanted
