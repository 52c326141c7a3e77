"""Deliveries: queue an event to each endpoint that wants it, list them, retry one, send a test.

An event is queued in the caller's transaction: it is sent if and only if its cause is committed.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from towline_server.audit.log import Action, Owner, record
from towline_server.db.clock import DatabaseNow, database_now
from towline_server.errors import NotFound, WebhookDisabled, existing
from towline_server.projects.tables import ProjectRow

from .domain import RETRIES, Delivery, DeliveryState, Event, EventType
from .tables import WebhookDeliveryRow, WebhookEndpointRow, delivery_of


def announce(session: Session, event: Event) -> None:
    """Queue an event to every endpoint that wants it."""
    endpoints = _wanting(session, event)
    if not endpoints:
        return
    project = select(ProjectRow.path).where(ProjectRow.id == event.project_id)
    data = {
        "project_id": str(event.project_id),
        "project_path": session.scalar(project),
        **event.data,
    }
    payload = payload_of(event.type, event.at, data)
    message_id = new_message_id()
    session.add_all(
        new_delivery(
            endpoint_id, message_id=message_id, type_=event.type, payload=payload, at=event.at
        )
        for endpoint_id in endpoints
    )
    session.flush()


def _wanting(session: Session, event: Event) -> list[UUID]:
    """Return the endpoints of an event; none is deleted before the transaction's end."""
    endpoint = WebhookEndpointRow
    query = (
        select(endpoint.id, endpoint.event_types)
        .where(
            endpoint.tenant_id == event.tenant_id,
            endpoint.enabled,
            or_(endpoint.project_id.is_(None), endpoint.project_id == event.project_id),
        )
        .order_by(endpoint.id)
        .with_for_update(read=True, key_share=True)
    )
    return [
        row.id
        for row in session.execute(query)
        if row.event_types is None or event.type in row.event_types
    ]


def new_message_id() -> str:
    """Return a new ``webhook-id``, without the full stop that separates what is signed."""
    return f"msg_{uuid4().hex}"


def payload_of(type_: EventType, at: datetime, data: Mapping[str, Any]) -> str:
    """Return an event as JSON, in ASCII, which every encoding reads alike."""
    timestamp = at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    event = {"type": str(type_), "timestamp": timestamp, "data": data}
    return json.dumps(event, separators=(",", ":"))


def new_delivery(
    endpoint_id: UUID,
    *,
    message_id: str,
    type_: EventType,
    payload: str,
    at: datetime,
    step: int = 0,
) -> WebhookDeliveryRow:
    """Return the row of a message that waits for its first attempt."""
    return WebhookDeliveryRow(
        id=uuid4(),
        endpoint_id=endpoint_id,
        message_id=message_id,
        event_type=type_,
        payload=payload,
        state=DeliveryState.WAITING,
        attempts=0,
        step=step,
        next_attempt_at=at,
        created_at=at,
    )


_ONCE = len(RETRIES.delays) - 1
"""The step of what is attempted a single time."""


class Deliveries:
    """The deliveries to one endpoint, through a session that the caller commits."""

    def __init__(
        self, session: Session, endpoint_id: UUID, now: DatabaseNow = database_now
    ) -> None:
        self._session = session
        self._endpoint_id = endpoint_id
        self._now = now

    def page(
        self, states: Collection[DeliveryState] | None = None, *, limit: int, offset: int = 0
    ) -> tuple[tuple[Delivery, ...], int]:
        """Return a page of them, newest first, and how many there are; in any of these states."""
        delivery = WebhookDeliveryRow
        where: list[ColumnElement[bool]] = [delivery.endpoint_id == self._endpoint_id]
        if states is not None:
            where.append(delivery.state.in_(states))
        newest = select(delivery).where(*where).order_by(delivery.created_at.desc(), delivery.id)
        found = self._session.scalars(newest.limit(limit).offset(offset))
        total = self._session.scalar(select(func.count()).select_from(delivery).where(*where))
        return tuple(delivery_of(row) for row in found), total or 0

    def retry(self, delivery_id: UUID) -> Delivery:
        """Send a message at once, with all the retries of a new one, whatever its state.

        Raises:
            NotFound: there is none.
            WebhookDisabled: nothing is sent to the endpoint.
        """
        endpoint = self._end_rest()
        row = self._session.get(WebhookDeliveryRow, delivery_id, with_for_update=True)
        if row is None or row.endpoint_id != self._endpoint_id:
            raise NotFound(what="delivery")
        row.state, row.ended_at = DeliveryState.WAITING, None
        row.step = _ONCE if row.event_type == EventType.PING else 0
        row.next_attempt_at = self._now(self._session)
        self._session.flush()
        self._record(row, endpoint)
        return delivery_of(row)

    def ping(self) -> Delivery:
        """Send a test message, once.

        Raises:
            NotFound: there is no such endpoint (any more).
            WebhookDisabled: nothing is sent to it.
        """
        endpoint = self._end_rest()
        now = self._now(self._session)
        payload = payload_of(EventType.PING, now, {"webhook_id": str(self._endpoint_id)})
        row = new_delivery(
            self._endpoint_id,
            message_id=new_message_id(),
            type_=EventType.PING,
            payload=payload,
            at=now,
            step=_ONCE,
        )
        self._session.add(row)
        self._session.flush()
        self._record(row, endpoint)
        return delivery_of(row)

    def _record(self, row: WebhookDeliveryRow, endpoint: WebhookEndpointRow) -> None:
        owner, event = Owner(endpoint.tenant_id, endpoint.project_id), row.event_type
        record(
            self._session,
            Action.DELIVERY_REQUESTED,
            endpoint.id,
            owner,
            delivery=row.id,
            of=event,
        )

    def _end_rest(self) -> WebhookEndpointRow:
        """Lock the endpoint, and send to it although it requested a pause (Retry-After)."""
        lock = {"key_share": True}
        found = self._session.get(WebhookEndpointRow, self._endpoint_id, with_for_update=lock)
        endpoint = existing(found, "webhook")
        if not endpoint.enabled:
            raise WebhookDisabled
        endpoint.resting_until = None
        return endpoint
