"""A dialect as the application mounts it: its routes, and how it renders failures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias, TypeVar

from fastapi import APIRouter
from prometheus_client import Metric
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from towline.frozen import frozen
from towline_server.problems import Failure, Render, problem

Value = TypeVar("Value")


def under(by_prefix: Mapping[str, Value], path: str, default: Value) -> Value:
    """Return the entry of the longest prefix that ends where a part of the path ends."""
    fitting = [prefix for prefix in by_prefix if path == prefix or path.startswith(f"{prefix}/")]
    return by_prefix[max(fitting, key=len)] if fitting else default


Gauges: TypeAlias = Callable[[Session], Iterable[Metric]]
"""Measures what is in the database now, at each request for the metrics."""


@frozen(kw_only=True)
class Dialect:
    """One API of the control plane."""

    tag: str
    """Its name in the OpenAPI document; the tag of each of the router's routes."""
    description: str
    router: APIRouter
    prefixes: tuple[str, ...]
    """The paths below which ``render`` renders every failure, unknown routes included."""
    render: Render = problem
    gauges: Gauges | None = None
    """Metrics of what this dialect alone stores."""
    head: tuple[str, ...] = ()
    """The paths below which HEAD is answered wherever GET is; there GET changes nothing."""
    streamed: str | None = None
    """The prefix below which routes read bodies as they come; ``hook_body_bytes`` bounds those."""
    is_documented: bool = True
    """Whether it is in the OpenAPI document."""
    work: frozenset[str] = frozenset()
    """The paths where external executors send plans: larger bodies are accepted there."""


def render_of(dialects: Iterable[Dialect]) -> Render:
    """Return what renders a failure as the dialect of the path does, with the failure's headers.

    The longest prefix wins; problem details are for the rest.
    """
    by_prefix = {prefix: dialect.render for dialect in dialects for prefix in dialect.prefixes}

    def render(request: Request, failure: Failure) -> Response:
        response = under(by_prefix, request.url.path, problem)(request, failure)
        response.headers.update(failure.headers)
        return response

    return render
