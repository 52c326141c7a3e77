"""What a dialect hands to the application: its routes, and how it tells of failures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from fastapi import APIRouter
from prometheus_client import Metric
from sqlalchemy.orm import Session

from towline_server.problems import Render, problem

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
