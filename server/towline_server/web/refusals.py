"""How the OpenAPI document tells of refusals by problem details (RFC 9457)."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Problem(BaseModel):
    """RFC 9457 problem details; the error's own attributes stand beside these."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str
    """The library's stable error code."""
    request_id: str


_MEDIA = {"application/problem+json": {"schema": Problem.model_json_schema()}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The refusals of a route, for its part of the OpenAPI document."""
    return refusals(400, 401, 403, 404, 413, 422, 429, *statuses)


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Those of exactly these statuses."""
    return {status: {"description": "refused", "content": _MEDIA} for status in {*statuses}}
