"""The base of every table, and the column types that mean the same on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import JSON, DateTime, Dialect, MetaData, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator, TypeEngine

# Every constraint has a name, so that a migration can drop it on either database.
_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """A moment. Always aware: UTC comes out, and a naive value is refused on its way in."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The moment in UTC; SQLite keeps no zone, so there it goes in without."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs a time zone")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The moment in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class ExactText(TypeDecorator[str]):
    """Text compared by its bytes: sorted by code point and case-sensitive, as Python sorts it.

    PostgreSQL would else sort by the language of the database, and a range of paths is a range
    of bytes. ``kind`` is the ``str`` subclass that comes out, such as `AssetPath`.
    """

    impl = Text
    cache_ok = True

    def __init__(self, kind: type[str] = str) -> None:
        self.kind = kind
        super().__init__()

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[str]:
        """The text type of the database, collated by bytes."""
        collation = "C" if dialect.name == "postgresql" else None
        return dialect.type_descriptor(Text(collation=collation))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Plain text. A lone surrogate is refused here, where SQLAlchemy reports it as its own."""
        if value is None:
            return None
        value.encode("utf-8")
        return str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """The text as the kind that the column holds; what the database holds is trusted."""
        return None if value is None else self.kind(value)


Json = JSON().with_variant(JSONB(), "postgresql")
"""A JSON document; ``None`` is JSON's null only where the column cannot be NULL."""


class Base(DeclarativeBase):
    """The base of every table of the control plane."""

    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map: ClassVar = {
        UUID: Uuid(),
        datetime: UtcDateTime(),
        dict[str, Any]: Json,
        list[Any]: Json,
    }
