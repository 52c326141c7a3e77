"""Models that the resources of the native API share."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Self, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field, Secret, StringConstraints

from towline.errors import InvalidValue
from towline_server.web.schemas import PlainText

T = TypeVar("T")
M = TypeVar("M", bound="Model")

_LINE = r"^[^\x00-\x1F\x7F]*$"

Text = Annotated[str, StringConstraints(max_length=1024, pattern=_LINE)]
"""A line of text."""
Name = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=_LINE)]
Flag = Annotated[bool, Field(strict=True)]
"""A JSON boolean; neither 1 nor "true"."""
HIDDEN = Field(json_schema_extra={"format": "password", "writeOnly": True})
"""Marks a secret in the OpenAPI document."""
Hidden = Annotated[Secret[PlainText], HIDDEN]


class Model(BaseModel):
    """A part of a response."""

    model_config = ConfigDict(from_attributes=True)

    @classmethod
    def of(cls, value: Any) -> Self:
        """Return the model of a domain value, or of a mapping."""
        return cls.model_validate(value)


class Body(BaseModel):
    """A part of a request; an unknown field is refused."""

    model_config = ConfigDict(extra="forbid")


class Page(Model, Generic[T]):
    """Some of a list."""

    items: list[T]
    total: int
    limit: int
    offset: int
    has_next: bool


@dataclass(frozen=True, slots=True)
class _Window:
    limit: Annotated[int, Query(ge=1, le=500)] = 50
    offset: Annotated[int, Query(ge=0, le=2**31)] = 0

    def page(self, model: type[M], values: Iterable[Any], total: int) -> Page[M]:
        """Return the page of a list that is ``total`` long; ``values`` are those on the page."""
        items = [model.of(value) for value in values]
        has_next = self.offset + len(items) < total
        return Page[model](  # type: ignore[valid-type] # pydantic makes a model of it at run time
            items=items, total=total, limit=self.limit, offset=self.offset, has_next=has_next
        )


Window = Annotated[_Window, Depends()]
"""The part of a list that a query names."""

MOST_GLOBS = 500
MOST_GLOB_CHARACTERS = 10_000
"""Of all globs together: each path is matched with each of them, within the server's process."""


def check_globs(globs: Collection[str], field: str) -> None:
    """Raise InvalidValue for globs that would take too long to match."""
    if len(globs) > MOST_GLOBS or sum(map(len, globs)) > MOST_GLOB_CHARACTERS:
        most = f"{MOST_GLOBS} globs of {MOST_GLOB_CHARACTERS} characters in all"
        raise InvalidValue(field=field, problem=f"may have at most {most}")
