"""Statements that SQLAlchemy spells differently for each database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from towline_server.errors import AlreadyExists

from .base import Base

T = TypeVar("T")


Rows: TypeAlias = Sequence[Mapping[str, Any]]


def insert_new(session: Session, row: Base, what: str) -> None:
    """Insert a row with a name that must be unique.

    Raises:
        AlreadyExists: the name is taken.
    """
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        raise AlreadyExists(what=what) from None


def insert_all(session: Session, table: type[Base], rows: Rows) -> None:
    """Insert rows that name the same columns, all in one statement.

    Past the ORM, which would make one for each set of columns that are not null.
    """
    if rows:
        session.connection().execute(insert(table), list(rows))


def insert_missing(session: Session, table: type[Base], rows: Rows) -> None:
    """Insert the rows whose key is not there yet; the others stay as they are."""
    if rows:
        dialect = session.get_bind().dialect.name
        new = sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)
        session.connection().execute(new.on_conflict_do_nothing(), list(rows))


def batches(values: Sequence[T], size: int = 500) -> Iterator[Sequence[T]]:
    """Values in as many as one IN may name: both databases bound the parameters of a statement."""
    for start in range(0, len(values), size):
        yield values[start : start + size]
