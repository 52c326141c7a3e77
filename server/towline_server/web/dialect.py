"""What a dialect hands to the application: its routes, and how it tells of failures."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter

from towline_server.problems import Render, problem


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
