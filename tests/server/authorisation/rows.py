"""What a tenant, or a project, has in the database: every row, whatever table it is in."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import ColumnElement, ForeignKey, Table, or_, select

from towline_server.db import Database
from towline_server.tables import Base

Rows: TypeAlias = Mapping[str, frozenset[tuple[str, ...]]]
"""By table; each value as text."""

_TOKEN = re.compile(r"[0-9A-Za-z-]{16,}")


def rows_below(database: Database, **roots: UUID) -> Rows:
    """The rows of these ids, by table, and all that belong to them."""
    found: dict[str, frozenset[tuple[str, ...]]] = {}
    ids: dict[str, set[Any]] = defaultdict(set)
    with database.reading() as session:
        for table in Base.metadata.sorted_tables:
            owned = _owned(table, ids)
            if table.name in roots:
                owned.append(table.c.id == roots[table.name])
            rows = session.execute(select(table).where(or_(*owned))).all() if owned else []
            found[table.name] = frozenset(tuple(map(_text, row)) for row in rows)
            if "id" in table.c:
                ids[table.name] |= {row.id for row in rows}
    return found


def _text(value: object) -> str:
    # Some ids are written in both ways.
    return f"{value} {value.hex}" if isinstance(value, UUID) else repr(value)


def _owned(table: Table, ids: Mapping[str, set[Any]]) -> list[ColumnElement[bool]]:
    return [key.parent.in_(ids[owner]) for owner, key in _owners(table) if ids.get(owner)]


def _owners(table: Table) -> Iterator[tuple[str, ForeignKey]]:
    """The tables whose rows its rows belong to, each with the column that says to which one."""
    for key in table.foreign_keys:
        if key.column.name == "id":
            yield key.column.table.name, key
        elif key.column.name == "project_id":
            yield "projects", key


def tables_below(root: str) -> frozenset[str]:
    """The tables whose rows belong to the rows of one."""
    found = {root}
    for table in Base.metadata.sorted_tables:
        if any(owner in found for owner, _ in _owners(table)):
            found.add(table.name)
    return frozenset(found)


def differing(before: Rows, after: Rows) -> list[str]:
    """The tables whose rows are not the same."""
    return [table for table in before if before[table] != after[table]]


def tokens_of(rows: Rows) -> frozenset[str]:
    """What in rows is too long to match by chance: ids, names, digests, contents."""
    texts = (value for table in rows.values() for row in table for value in row)
    return frozenset(token for text in texts for token in tokens_in(text))


def tokens_in(text: str) -> frozenset[str]:
    """The same of any text."""
    return frozenset(_TOKEN.findall(text))
