"""What several resources of the native API have in common on the wire."""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, Secret, StringConstraints

from towline_server.web.schemas import PlainText

T = TypeVar("T")


_LINE = r"^[^\x00-\x1F\x7F]*$"

Text = Annotated[str, StringConstraints(max_length=1024, pattern=_LINE)]
"""A line of text; no database takes a NUL."""
Name = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=_LINE)]
Flag = Annotated[bool, Field(strict=True)]
"""Neither 1 nor "true"."""
HIDDEN = Field(json_schema_extra={"format": "password", "writeOnly": True})
"""What the document says of a secret."""
Hidden = Annotated[Secret[PlainText], HIDDEN]


class Model(BaseModel):
    """What goes out."""


class Body(BaseModel):
    """What comes in: nothing in it may be unknown."""

    model_config = ConfigDict(extra="forbid")


class Page(Model, Generic[T]):
    """Some of a list."""

    items: list[T]
    total: int
    limit: int
    offset: int
    has_next: bool


class Paging(BaseModel):
    """Which part of a list is asked for."""

    limit: int = 50
    offset: int = 0


def paging(
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    offset: Annotated[int, Query(ge=0, le=2**31)] = 0,
) -> Paging:
    """A dependency: the part of a list that a query names."""
    return Paging(limit=limit, offset=offset)


def page_of(kind: type[T], items: list[T], total: int, wanted: Paging) -> Page[T]:
    """A page of a list that is ``total`` long."""
    has_next = wanted.offset + len(items) < total
    return Page[kind](  # type: ignore[valid-type] # pydantic makes a model of it at run time
        items=items, total=total, limit=wanted.limit, offset=wanted.offset, has_next=has_next
    )
