"""Reads the audit log, a page at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from towline.errors import InvalidValue
from towline.frozen import frozen
from towline_server.db.session import Database

from .log import Action
from .tables import AuditEventRow

CURSOR_PATTERN = r"^[0-9]{1,17}-[0-9a-f]{32}$"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_AT_ONCE = 500


@frozen(kw_only=True)
class AuditEvent:
    """Something that was done, and by whom."""

    id: UUID
    at: datetime
    tenant_id: UUID | None
    project_id: UUID | None
    action: Action
    subject: str | None
    detail: dict[str, Any]
    actor_kind: str
    actor_id: UUID | None
    actor_name: str
    credential: str | None
    address: str | None
    request_id: str | None

    @property
    def cursor(self) -> str:
        """Its place in the log."""
        return f"{(self.at - _EPOCH) // _MICROSECOND}-{self.id.hex}"


@frozen(kw_only=True)
class AuditFilter:
    """Which events to read, and from where on; everything that is None matches all."""

    tenant_id: UUID | None = None
    since: datetime | None = None
    actor: UUID | None = None
    action: Action | None = None
    subject: str | None = None
    project_id: UUID | None = None
    order: Literal["newest", "oldest"] = "newest"
    after: str | None = None
    """The cursor of the event before the first one."""

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """Yield what a row has to fulfil. Raises InvalidValue: ``after`` is no cursor."""
        row = AuditEventRow
        for column, value in (
            (row.tenant_id, self.tenant_id),
            (row.actor_id, self.actor),
            (row.action, None if self.action is None else str(self.action)),
            (row.subject, self.subject),
            (row.project_id, self.project_id),
        ):
            if value is not None:
                yield column == value
        if self.since is not None:
            yield row.at >= self.since
        if self.after is not None:
            at, last = _place(self.after)
            if self.order == "oldest":
                yield or_(row.at > at, and_(row.at == at, row.id > last))
            else:
                yield or_(row.at < at, and_(row.at == at, row.id < last))


def events(session: Session, wanted: AuditFilter, limit: int) -> tuple[AuditEvent, ...]:
    """Return so many events, the newest first unless asked otherwise. Raises InvalidValue."""
    row = AuditEventRow
    oldest_first = wanted.order == "oldest"
    order = (row.at, row.id) if oldest_first else (row.at.desc(), row.id.desc())
    query = select(row).where(*wanted.conditions()).order_by(*order).limit(limit)
    return tuple(_event(each) for each in session.scalars(query))


def every_event(database: Database, wanted: AuditFilter) -> Iterator[AuditEvent]:
    """Yield all events, in short transactions. Raises InvalidValue."""
    while True:
        with database.reading() as session:
            found = events(session, wanted, _AT_ONCE)
        yield from found
        if len(found) < _AT_ONCE:
            return
        wanted = replace(wanted, after=found[-1].cursor)


def _place(cursor: str) -> tuple[datetime, UUID]:
    if not re.fullmatch(CURSOR_PATTERN, cursor):
        raise InvalidValue(field="after", problem="is not a cursor of an event")
    micros, _, event_id = cursor.partition("-")
    return _EPOCH + int(micros) * _MICROSECOND, UUID(event_id)


def _event(row: AuditEventRow) -> AuditEvent:
    return AuditEvent(
        id=row.id,
        at=row.at,
        tenant_id=row.tenant_id,
        project_id=row.project_id,
        action=Action(row.action),
        subject=row.subject,
        detail=row.detail,
        actor_kind=row.actor_kind,
        actor_id=row.actor_id,
        actor_name=row.actor_name,
        credential=row.credential,
        address=row.address,
        request_id=row.request_id,
    )
