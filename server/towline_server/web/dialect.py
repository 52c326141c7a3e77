"""A dialect as the application mounts it: its routes, and how it renders failures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from fastapi import APIRouter
from prometheus_client import Metric
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from towline_server.problems import Failure, Render, problem

Value = TypeVar("Value")


def under(by_prefix: Mapping[str, Value], path: str, default: Value) -> Value:
    """The entry of the longest prefix that ends where a part of the path ends."""
    fitting = [prefix for prefix in by_prefix if path == prefix or path.startswith(f"{prefix}/")]
    return by_prefix[max(fitting, key=len)] if fitting else default


Gauges: TypeAlias = Callable[[Session], Iterable[Metric]]
"""What stands in the database now, measured each time that somebody asks for the metrics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One way to speak to the control plane."""

    tag: str
    """Its name in the OpenAPI document; every route of the router carries it."""
    description: str
    router: APIRouter
    prefixes: tuple[str, ...]
    """The paths below which ``render`` tells of every failure, unknown routes included."""
    render: Render = problem
    gauges: Gauges | None = None
    """What is to be measured of what this dialect alone keeps."""
    head: tuple[str, ...] = ()
    """The paths below which HEAD is answered wherever GET is; there GET changes nothing."""
    streamed: str | None = None
    """The prefix below which routes read bodies as they come; ``hook_body_bytes`` bounds those."""
    work: frozenset[str] = frozenset()
    """The paths where external executors hand in what they made: larger bodies are taken there."""


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
