"""Which envelope a failure is told in: the path chooses, so that an unknown route has one too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

from towline_server.problems import Failure, Render, problem

from .prefixes import under


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelopes:
    """Renderers by path prefix; the longest prefix wins, problem details are for the rest."""

    by_prefix: Mapping[str, Render] = field(default_factory=dict)
    default: Render = problem

    def render(self, request: Request, failure: Failure) -> Response:
        """The answer that tells of this failure, with the headers that go with it."""
        render = under(self.by_prefix, request.url.path, self.default)
        response = render(request, failure)
        for name, value in failure.headers.items():
            response.headers[name] = value
        return response
