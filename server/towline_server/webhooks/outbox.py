"""Puts events on their way: a row for each endpoint that wants one, in the caller's transaction.

So an event is told of if and only if what it tells of was committed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from towline_server.projects.tables import Project

from .domain import DeliveryState, Event, EventType
from .tables import WebhookDelivery, WebhookEndpoint


def announce(session: Session, event: Event) -> None:
    """Put an event on its way to every endpoint that wants it."""
    endpoints = _wanting(session, event)
    if not endpoints:
        return
    project = select(Project.path).where(Project.id == event.project_id)
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
    """The endpoints that are told of an event; none is deleted before the transaction's end."""
    endpoint = WebhookEndpoint
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
    """A ``webhook-id``; it holds no full stop, which separates what is signed."""
    return f"msg_{uuid4().hex}"


def payload_of(type_: EventType, at: datetime, data: Mapping[str, Any]) -> str:
    """An event as JSON, in ASCII, so that nobody reads it in another encoding."""
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
) -> WebhookDelivery:
    """The row of a message that waits for its first attempt."""
    return WebhookDelivery(
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
