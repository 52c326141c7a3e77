"""What is on its way to an endpoint: looked at, tried again; and a sign of life on demand."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from towline_server.db.clock import DatabaseNow, database_now
from towline_server.errors import NotFound, WebhookDisabled

from .domain import Delivery, DeliveryState, EventType
from .outbox import new_delivery, new_message_id, payload_of
from .queue import DELAYS
from .tables import WebhookDelivery, WebhookEndpoint, delivery_of

_ONCE = len(DELAYS) - 1
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
        """Some of them, newest first, and how many there are; in any of these states."""
        delivery = WebhookDelivery
        where: list[ColumnElement[bool]] = [delivery.endpoint_id == self._endpoint_id]
        if states is not None:
            where.append(delivery.state.in_(states))
        newest = select(delivery).where(*where).order_by(delivery.created_at.desc(), delivery.id)
        found = self._session.scalars(newest.limit(limit).offset(offset))
        total = self._session.scalar(select(func.count()).select_from(delivery).where(*where))
        return tuple(delivery_of(row) for row in found), total or 0

    def retry(self, delivery_id: UUID) -> Delivery:
        """Send a message at once, and from then on as if it were new, whatever became of it.

        Raises:
            NotFound: there is none.
            WebhookDisabled: nothing is sent to the endpoint.
        """
        self._rouse()
        row = self._session.get(WebhookDelivery, delivery_id, with_for_update=True)
        if row is None or row.endpoint_id != self._endpoint_id:
            raise NotFound(what="delivery")
        row.state, row.ended_at = DeliveryState.WAITING, None
        row.step = _ONCE if row.event_type == EventType.PING else 0
        row.next_attempt_at = self._now(self._session)
        self._session.flush()
        return delivery_of(row)

    def ping(self) -> Delivery:
        """Send a sign of life, once: who asks for it looks whether it arrives.

        Raises:
            NotFound: there is no such endpoint (any more).
            WebhookDisabled: nothing is sent to it.
        """
        self._rouse()
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
        return delivery_of(row)

    def _rouse(self) -> None:
        """See that something can be sent, even to an endpoint that asked to be left alone."""
        endpoint = self._session.get(
            WebhookEndpoint, self._endpoint_id, with_for_update={"key_share": True}
        )
        if endpoint is None:
            raise NotFound(what="webhook")
        if not endpoint.enabled:
            raise WebhookDisabled
        endpoint.resting_until = None
