"""A request and the reading of its answer, without any I/O."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from email.utils import parsedate_to_datetime
from functools import lru_cache
from time import time
from typing import Any, Generic, Protocol, TypeVar, cast
from urllib.parse import quote
from uuid import uuid4

from pydantic import BaseModel, TypeAdapter, ValidationError

from towline.frozen import frozen

from .errors import NotFound, error_of

T_co = TypeVar("T_co", covariant=True)

PREFIX = "/api/towline/v1"
_REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE"})


class Page(Protocol[T_co]):
    """A part of a list."""

    @property
    def items(self) -> Sequence[T_co]:
        """The entries."""
        ...


@frozen(kw_only=True)
class Request(Generic[T_co]):
    """A request of the API, and what its answer is.

    A ``POST`` has an ``Idempotency-Key``, so that it can be sent again: it is executed once.
    """

    method: str
    path: str
    """Below `PREFIX`."""
    result: Any = None
    """The type of the answer; ``bytes`` for a content, None where there is none."""
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str | None] = field(default_factory=dict)
    body: BaseModel | None = None
    content: bytes | None = None
    key: str = field(default_factory=lambda: uuid4().hex)
    """The ``Idempotency-Key`` of a ``POST``."""

    @property
    def is_repeatable(self) -> bool:
        """Whether it may be sent again when no answer came."""
        return self.method in _REPEATABLE or self.method == "POST"

    def is_done(self, error: Exception) -> bool:
        """Whether an error means that an earlier sending, whose answer was lost, was executed."""
        return self.method == "DELETE" and isinstance(error, NotFound)

    def query(self) -> dict[str, Any]:
        """Return the query, without what is None."""
        return {name: _text(value) for name, value in self.params.items() if value is not None}

    def all_headers(self) -> dict[str, str]:
        """Return the headers, without those of the client."""
        made = {name: value for name, value in self.headers.items() if value is not None}
        if self.method == "POST":
            made["Idempotency-Key"] = self.key
        if self.body is not None:
            made["Content-Type"] = "application/json"
        elif self.content is not None:
            made["Content-Type"] = "application/octet-stream"
        return made

    def payload(self) -> bytes | None:
        """Return the body as it is sent: only what was set in it."""
        if self.body is None:
            return self.content
        return self.body.model_dump_json(exclude_unset=True, by_alias=True).encode()

    def read(self, status: int, headers: Mapping[str, str], body: bytes) -> T_co:
        """Return the answer. Raises ApiError, also if it is not the API that answered."""
        _warn_of_deprecation(self, headers)
        if not 200 <= status < 300:  # a redirect was not followed: nothing was done
            raise error_of(status, _problem(body), retry_after=retry_after(headers))
        if status == 204:
            return cast(T_co, None)
        form = "application/octet-stream" if self.result is bytes else "application/json"
        if self.result is None or headers.get("content-type", "").partition(";")[0] != form:
            raise error_of(
                status, {"detail": "the API did not answer; is there a proxy in between?"}
            )
        if self.result is bytes:
            return cast(T_co, body)
        try:
            return cast(T_co, _adapter(self.result).validate_json(body))
        except ValidationError as error:
            detail = f"the answer has another form: {error.errors()[0]['msg']}"
            raise error_of(status, {"detail": detail}) from error

    def following(self, page: Any) -> Request[T_co] | None:
        """Return the request of the page after one; None: that was the last."""
        if (cursor := getattr(page, "next_cursor", None)) is not None:
            return replace(self, params={**self.params, "after": cursor})
        if not getattr(page, "has_next", False):
            return None
        if (cursor := getattr(page, "cursor", None)) is not None:
            return replace(self, params={**self.params, "cursor": cursor})
        done = (self.params.get("offset") or 0) + len(page.items)
        return replace(self, params={**self.params, "offset": done})


def part(value: object, *, safe: str = "") -> str:
    """Return a value as a part of a path."""
    return quote(str(value), safe=safe)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of ``Retry-After``, which has a number or a date (RFC 9110, 10.2.3)."""
    given = headers.get("retry-after")
    if given is None:
        return None
    if given.isdecimal():
        return float(given)
    try:
        return max(0.0, parsedate_to_datetime(given).timestamp() - time())
    except ValueError:
        return None


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return [str(each) for each in value]
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _problem(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _warn_of_deprecation(request: Request[Any], headers: Mapping[str, str]) -> None:
    if "deprecation" in headers:
        ends = f", and ends on {headers['sunset']}" if "sunset" in headers else ""
        text = f"{request.method} {PREFIX}{request.path} is deprecated{ends}"
        warnings.warn(text, DeprecationWarning, stacklevel=4)


@lru_cache(maxsize=256)
def _adapter(result: Any) -> TypeAdapter[Any]:
    return TypeAdapter(result)
