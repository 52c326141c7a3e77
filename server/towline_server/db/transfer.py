"""Copies every row from one database to another, of either kind: how an embedded one grows up."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, MetaData, Table, func, insert, select

from towline.errors import InvalidValue

from .migrate import is_current

_ROWS = 500
"""At a time; contents of assets are among them."""


def transfer(source: Engine, target: Engine, tables: MetaData) -> int:
    """Copy all rows into a database whose tables are empty, or nothing; how many there were.

    Neither may be written to meanwhile.

    Raises:
        InvalidValue: one has tables of another version, or the target is not empty.
    """
    with source.connect() as reading, target.begin() as writing:
        for name, connection in (("source", reading), ("target", writing)):
            if not is_current(connection):
                raise InvalidValue(field=name, problem="its tables are not of this version")
        if any(_count(writing, table) for table in tables.sorted_tables):
            raise InvalidValue(field="target", problem="it is not empty")
        return sum(_copy(reading, writing, table) for table in tables.sorted_tables)


def _count(connection: Connection, table: Table) -> int:
    return connection.scalar(select(func.count()).select_from(table)) or 0


def _copy(reading: Connection, writing: Connection, table: Table) -> int:
    copied = 0
    found = reading.execution_options(yield_per=_ROWS).execute(select(table))
    for rows in found.partitions():
        writing.execute(insert(table), [dict(row._mapping) for row in rows])  # noqa: SLF001 - its public name
        copied += len(rows)
    return copied
