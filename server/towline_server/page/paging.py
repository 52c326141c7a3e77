"""Lists a page at a time: at most 100 rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeVar

from fastapi import Query, Request

from towline.frozen import frozen

from .rendering import query

T = TypeVar("T")

ROWS = 100

PageNumber = Annotated[int, Query(ge=1, le=1_000_000)]


@frozen(kw_only=True)
class Pages:
    """Where a page is in a list."""

    request: Request
    number: int
    total: int
    """How long the list is."""

    @property
    def offset(self) -> int:
        """How many entries come before the page."""
        return (self.number - 1) * ROWS

    @property
    def first(self) -> int:
        """The number of its first entry, from 1."""
        return min(self.offset + 1, self.total)

    @property
    def last(self) -> int:
        """The number of its last entry."""
        return min(self.offset + ROWS, self.total)

    @property
    def before(self) -> str | None:
        """The address of the page before."""
        return self._address(self.number - 1) if self.number > 1 else None

    @property
    def after(self) -> str | None:
        """The address of the next page."""
        return self._address(self.number + 1) if self.last < self.total else None

    def of(self, entries: Sequence[T]) -> Sequence[T]:
        """Return those of the page, of all entries."""
        return entries[self.offset : self.last]

    def _address(self, number: int) -> str:
        given = dict(self.request.query_params)
        return query(given, page=None if number == 1 else number)
