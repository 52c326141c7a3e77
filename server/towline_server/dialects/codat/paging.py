"""Pages: the part of a list that is requested, its order, and the links to other parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar
from urllib.parse import quote, urlencode

from fastapi import Query
from sqlalchemy import ColumnElement
from starlette.requests import Request

from towline.frozen import frozen

from .models import Link, Links, Paged
from .query import LONGEST, QueryFields, parse_order, parse_query

T = TypeVar("T")

LARGEST = 5000

_Page = Annotated[int, Query(ge=1, le=2**31)]
_Size = Annotated[int, Query(alias="pageSize", ge=1, le=LARGEST)]


@frozen
class PageRequest:
    """The part of a list that is requested."""

    path: str
    page: int
    page_size: int
    query: str
    order_by: str

    @property
    def offset(self) -> int:
        """How many results come before."""
        return (self.page - 1) * self.page_size

    def conditions(self, fields: QueryFields) -> list[ColumnElement[bool]]:
        """Return the conditions on the results. Raises InvalidValue."""
        return [parse_query(self.query, fields)] if self.query.strip() else []

    def order(self, fields: QueryFields) -> list[ColumnElement[Any]]:
        """Return the requested order of the results, if any. Raises InvalidValue."""
        return [parse_order(self.order_by, fields)] if self.order_by else []

    def paged(self, results: Sequence[T], total: int) -> Paged[T]:
        """Return the results as a page."""
        links = {"self": Link(href=self.path), "current": self._link(self.page)}
        if self.offset + self.page_size < total:
            links["next"] = self._link(self.page + 1)
        if self.page > 1:
            links["previous"] = self._link(self.page - 1)
        return Paged(
            results=list(results),
            page_number=self.page,
            page_size=self.page_size,
            total_results=total,
            links=Links(**links),
        )

    def _link(self, page: int) -> Link:
        query: dict[str, Any] = {"page": page, "pageSize": self.page_size}
        optional = {"query": self.query, "orderBy": self.order_by}
        query |= {name: text for name, text in optional.items() if text}
        return Link(href=f"{self.path}?{urlencode(query, quote_via=quote)}")


def sized(request: Request, page: _Page = 1, page_size: _Size = 100) -> PageRequest:
    """A dependency: the requested part of a list without queries and orders."""
    return PageRequest(quote(request.url.path), page, page_size, "", "")


def wanted(what: str, fields: QueryFields) -> Callable[..., PageRequest]:
    """Return a dependency: the requested part of a list of ``what``."""
    # The language has groups within groups, so that no pattern describes it.
    asks = Query(max_length=LONGEST, json_schema_extra={"format": f"{what}-query"})
    names = [f"{sign}{name}" for name in fields.by_name for sign in ("", "-")]
    sorts = Query(alias="orderBy", json_schema_extra={"enum": ["", *names]})

    def part(
        request: Request,
        page: _Page = 1,
        page_size: _Size = 100,
        query: str = "",
        order_by: str = "",
    ) -> PageRequest:
        return PageRequest(quote(request.url.path), page, page_size, query, order_by)

    # FastAPI reads these; written at the parameters they would be resolved in the module.
    part.__annotations__ |= {"query": Annotated[str, asks], "order_by": Annotated[str, sorts]}
    return part
