"""Rows to endpoints and deliveries."""

from __future__ import annotations

from .domain import Delivery, DeliveryState, DisabledReason, Endpoint, EventType, Result
from .tables import WebhookDelivery, WebhookEndpoint


def endpoint_of(row: WebhookEndpoint) -> Endpoint:
    """The endpoint that a row holds."""
    types, reason = row.event_types, row.disabled_reason
    return Endpoint(
        id=row.id,
        tenant_id=row.tenant_id,
        project_id=row.project_id,
        url=row.url,
        event_types=None if types is None else tuple(EventType(each) for each in types),
        description=row.description,
        enabled=row.enabled,
        disabled_at=row.disabled_at,
        disabled_reason=None if reason is None else DisabledReason(reason),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def delivery_of(row: WebhookDelivery) -> Delivery:
    """The delivery that a row holds."""
    return Delivery(
        id=row.id,
        endpoint_id=row.endpoint_id,
        message_id=row.message_id,
        event_type=EventType(row.event_type),
        payload=row.payload,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        last_attempt_at=row.last_attempt_at,
        last_result=None if row.last_result is None else Result(row.last_result),
        last_status=row.last_status,
        next_attempt_at=row.next_attempt_at,
        created_at=row.created_at,
        ended_at=row.ended_at,
    )
