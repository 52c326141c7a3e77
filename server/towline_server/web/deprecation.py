"""Operations that are to go: marked in the OpenAPI document, and in their answers."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from email.utils import format_datetime
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import Scope

_SINCE, _SUNSET = "x-deprecated-since", "x-sunset"


def deprecated(*, since: date, sunset: date) -> dict[str, Any]:
    """Return the ``openapi_extra`` of a route that is deprecated since a day, and goes on one.

    Its answers have the headers ``Deprecation`` (RFC 9745) and ``Sunset`` (RFC 8594); what is left
    of it at least is in docs/native-api.md.
    """
    return {"deprecated": True, _SINCE: since.isoformat(), _SUNSET: sunset.isoformat()}


def add_dates(scope: Scope, headers: MutableHeaders) -> None:
    """Add the headers to the answer of a deprecated route, a refusal included."""
    extra = getattr(scope.get("route"), "openapi_extra", None) or {}
    if _SINCE in extra:
        headers["Deprecation"] = f"@{int(_midnight(extra[_SINCE]).timestamp())}"
        headers["Sunset"] = format_datetime(_midnight(extra[_SUNSET]), usegmt=True)


def _midnight(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day), time(), tzinfo=UTC)
