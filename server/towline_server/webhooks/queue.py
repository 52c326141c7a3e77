"""The queue of deliveries: take what is due under a lease, and record each attempt once.

A delivery's row is a job (`towline_server.db.jobs`). A process that dies between sending and
writing lets its lease expire: the message is sent again, under the same ``webhook-id``. Times are
the database's. An endpoint's row is locked before those of its deliveries, as deleting it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from uuid import UUID

from sqlalchemy import ColumnElement, delete, exists, func, or_, select
from sqlalchemy.orm import Session

from towline.frozen import frozen
from towline_server.db.clock import DatabaseNow, database_now
from towline_server.db.jobs import JobQueue, Moment, RetryPolicy, release
from towline_server.db.session import Database

from .domain import RETRIES, DeliveryState, DisabledReason, EventType, Result
from .sending import Answer
from .service import disable
from .tables import IS_WAITING, WebhookDeliveryRow, WebhookEndpointRow


def rest_of(retry_after: str | None, now: datetime) -> timedelta | None:
    """Parse a Retry-After (RFC 9110, 10.2.3), bounded; None: it is missing or malformed."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        # More digits than any bound needs.
        seconds = int(text[:9])
        return min(timedelta(seconds=seconds), RETRIES.longest_requested)
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # no calendar has such a day or year
        return None
    if until.tzinfo is None:
        return None
    return max(timedelta(), min(until - now, RETRIES.longest_requested))


_GONE = 410
_RESTING = frozenset({429, 503})
"""Statuses whose Retry-After is heeded."""
_FORGOTTEN = 500
"""How many are deleted in one transaction."""


@frozen(kw_only=True)
class Ready:
    """An endpoint to which something is due."""

    endpoint_id: UUID
    tenant_id: UUID


@frozen(kw_only=True)
class Attempt:
    """One attempt at a delivery, and its lease."""

    delivery_id: UUID
    endpoint_id: UUID
    tenant_id: UUID
    token: str
    at: datetime
    """When it was taken: the attempt's ``webhook-timestamp``."""
    url: str
    message_id: str
    payload: bytes


@frozen(kw_only=True)
class Recorded:
    """The state of a delivery after an attempt."""

    state: DeliveryState
    disabled: DisabledReason | None
    """Why the attempt disabled the endpoint; None: it did not."""


class DeliveryQueue:
    """The deliveries of a database that are due; each call is a transaction."""

    def __init__(
        self,
        database: Database,
        *,
        seconds: float = 90,
        now: DatabaseNow = database_now,
        retries: RetryPolicy = RETRIES,
    ) -> None:
        self._database = database
        self._jobs = JobQueue(WebhookDeliveryRow, seconds)
        self._now = now
        self._retries = retries

    def ready(self) -> Sequence[Ready]:
        """Return the endpoints with a delivery that is due, the longest due first."""
        endpoint, delivery, until = (
            WebhookEndpointRow,
            WebhookDeliveryRow,
            WebhookEndpointRow.resting_until,
        )
        with self._database.reading() as session:
            now = self._now(session)
            # One row of each endpoint is read, however many wait behind it.
            first = (
                select(delivery.next_attempt_at)
                .where(delivery.endpoint_id == endpoint.id, *_due(now))
                .order_by(delivery.next_attempt_at)
                .limit(1)
                .scalar_subquery()
            )
            found = (
                select(endpoint.id, endpoint.tenant_id, first.label("first"))
                .where(endpoint.enabled, or_(until.is_(None), until <= now))
                .subquery()
            )
            query = select(found.c.id, found.c.tenant_id).where(found.c.first.is_not(None))
            return [
                Ready(endpoint_id=row.id, tenant_id=row.tenant_id)
                for row in session.execute(query.order_by(found.c.first, found.c.id))
            ]

    def take(self, endpoint_id: UUID, limit: int) -> list[Attempt]:
        """Lease what is due to an endpoint and not held by others, the longest due first."""
        with self._database.writing() as session:
            endpoint = session.get(WebhookEndpointRow, endpoint_id)
            now = self._now(session)
            if endpoint is None or not endpoint.enabled:
                return []
            delivery = WebhookDeliveryRow
            due = select(delivery).where(delivery.endpoint_id == endpoint_id, *_due(now))
            longest = due.order_by(delivery.next_attempt_at, delivery.id).limit(limit)
            return [
                Attempt(
                    delivery_id=row.id,
                    endpoint_id=endpoint.id,
                    tenant_id=endpoint.tenant_id,
                    token=self._jobs.lease(row, now),
                    at=now,
                    url=endpoint.url,
                    message_id=row.message_id,
                    payload=row.payload.encode(),
                )
                for row in session.scalars(self._jobs.unlocked(longest)).all()
            ]

    def record(self, attempt: Attempt, answer: Answer) -> Recorded | None:
        """Write the answer to an attempt; None: its lease does not hold the delivery any more."""
        with self._database.writing() as session:
            endpoint = session.get(
                WebhookEndpointRow, attempt.endpoint_id, with_for_update={"key_share": True}
            )
            row = session.get(WebhookDeliveryRow, attempt.delivery_id, with_for_update=True)
            if endpoint is None or row is None or row.lease_token != attempt.token:
                return None
            release(row)
            row.attempts += 1
            row.last_attempt_at = attempt.at
            row.last_result, row.last_status = answer.result, answer.status
            return self._settle(row, endpoint, answer, self._now(session))

    def _settle(
        self, row: WebhookDeliveryRow, endpoint: WebhookEndpointRow, answer: Answer, now: datetime
    ) -> Recorded:
        if answer.result is Result.DELIVERED:
            return _end(row, DeliveryState.DELIVERED, now)
        if answer.status == _GONE:
            return _give_up(row, endpoint, DisabledReason.GONE, now)
        row.step += 1
        rest = rest_of(answer.retry_after, now) if answer.status in _RESTING else None
        delay = self._retries.delay(row.step, rest)
        if delay is None:
            # A ping that fails proves nothing about other messages.
            pinged = row.event_type == EventType.PING
            return _give_up(row, endpoint, None if pinged else DisabledReason.FAILING, now)
        row.next_attempt_at = now + delay
        if rest is not None:
            endpoint.resting_until = now + rest
        return Recorded(state=DeliveryState.WAITING, disabled=None)

    def forget(self, after: timedelta) -> int:
        """Delete what ended long ago, or waits for an endpoint that has long been disabled.

        In short transactions, which hold up no other; return how many were deleted.
        """
        forgotten = 0
        while found := self._forget_some(after):
            forgotten += found
        return forgotten

    def _forget_some(self, after: timedelta) -> int:
        delivery, endpoint = WebhookDeliveryRow, WebhookEndpointRow
        disabled = select(endpoint.id).where(~endpoint.enabled)
        with self._database.writing() as session:
            before = self._now(session) - after
            for old in (
                delivery.ended_at < before,
                (delivery.created_at < before) & IS_WAITING & delivery.endpoint_id.in_(disabled),
            ):
                ids = list(session.scalars(select(delivery.id).where(old).limit(_FORGOTTEN)))
                if ids:
                    session.execute(delete(delivery).where(delivery.id.in_(ids)))
                    return len(ids)
        return 0


def _due(now: Moment) -> tuple[ColumnElement[bool], ...]:
    """Match the messages that may be sent now."""
    delivery = WebhookDeliveryRow
    return IS_WAITING, delivery.next_attempt_at <= now, delivery.is_free(now)


def is_due(now: ColumnElement[datetime]) -> ColumnElement[bool]:
    """Match where an endpoint that is enabled and takes messages has one that is due."""
    endpoint, delivery = WebhookEndpointRow, WebhookDeliveryRow
    waits = exists().where(delivery.endpoint_id == endpoint.id, *_due(now))
    until = endpoint.resting_until
    return exists().where(endpoint.enabled, or_(until.is_(None), until <= now), waits)


def _give_up(
    row: WebhookDeliveryRow,
    endpoint: WebhookEndpointRow,
    reason: DisabledReason | None,
    now: datetime,
) -> Recorded:
    ended = _end(row, DeliveryState.FAILED, now)
    if reason is None or not endpoint.enabled:
        return ended
    disable(endpoint, reason, now)
    return Recorded(state=ended.state, disabled=reason)


def _end(row: WebhookDeliveryRow, state: DeliveryState, now: datetime) -> Recorded:
    row.state, row.ended_at, row.next_attempt_at = state, now, None
    return Recorded(state=state, disabled=None)


def count_due(session: Session, now: datetime) -> int:
    """Count the messages that are due, or being sent, to endpoints that are enabled."""
    delivery, endpoint = WebhookDeliveryRow, WebhookEndpointRow
    query = (
        select(func.count())
        .select_from(delivery)
        .join(endpoint, delivery.endpoint_id == endpoint.id)
        .where(
            IS_WAITING,
            delivery.next_attempt_at <= now,
            endpoint.enabled,
        )
    )
    return session.scalar(query) or 0
