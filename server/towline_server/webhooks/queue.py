"""The queue of deliveries: take what is due under a lease, and record each attempt once.

A lease is a token in the delivery's row, as a run's is. Who dies between sending and writing leaves
it to lapse: the message is then sent again, under the same ``webhook-id``. Times are the
database's. An endpoint's row is locked before its deliveries' rows, as deleting it does.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from secrets import token_hex
from typing import TypeAlias
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, or_, select
from sqlalchemy.orm import Session

from towline_server.db.clock import DatabaseNow, database_now
from towline_server.db.session import Database

from .domain import DeliveryState, DisabledReason, EventType, Result
from .sending import Answer
from .service import disable
from .tables import WebhookDelivery, WebhookEndpoint

DELAYS = tuple(
    timedelta(seconds=seconds)
    for seconds in (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
"""Before each attempt, from the one before it."""
LONGEST_REST = timedelta(days=1)
"""The longest Retry-After that is heeded."""
_SPREAD = 0.1

Chance: TypeAlias = Callable[[], float]
"""A number from 0 to 1."""

chance: Chance = random.SystemRandom().random


def delay_after(failures: int, draw: Chance = chance) -> timedelta | None:
    """How long to wait after so many failed attempts; None: there is no further one."""
    if failures >= len(DELAYS):
        return None
    return DELAYS[failures] * (1 + _SPREAD * draw())


def rest_of(retry_after: str | None, now: datetime) -> timedelta | None:
    """What a Retry-After asks for (RFC 9110, 10.2.3), bounded; None: nothing that can be read."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        # More digits than any bound needs.
        seconds = int(text[:9])
        return min(timedelta(seconds=seconds), LONGEST_REST)
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # a day or a year beyond all calendars
        return None
    if until.tzinfo is None:
        return None
    return max(timedelta(), min(until - now, LONGEST_REST))


_GONE = 410
_RESTING = frozenset({429, 503})
"""Statuses whose Retry-After is heeded."""
_FORGOTTEN = 500
"""At a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """An endpoint to which something is due."""

    endpoint_id: UUID
    tenant_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt, and the right to it."""

    delivery_id: UUID
    endpoint_id: UUID
    tenant_id: UUID
    token: str
    at: datetime
    """When it was taken: the attempt's ``webhook-timestamp``."""
    url: str
    message_id: str
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What an attempt led to."""

    state: DeliveryState
    disabled: DisabledReason | None
    """Why the endpoint was disabled by it; None: it was not."""


class DeliveryQueue:
    """The deliveries of a database that are to be attempted; each call is a transaction."""

    def __init__(
        self,
        database: Database,
        *,
        seconds: float = 90,
        now: DatabaseNow = database_now,
        draw: Chance = chance,
    ) -> None:
        self._database = database
        self._length = timedelta(seconds=seconds)
        self._now = now
        self._draw = draw

    def ready(self) -> Sequence[Ready]:
        """The endpoints to which something is due, the longest due first."""
        endpoint, delivery = WebhookEndpoint, WebhookDelivery
        with self._database.reading() as session:
            now = self._now(session)
            # A look at each endpoint's first row, however many wait behind it.
            first = (
                select(delivery.next_attempt_at)
                .where(delivery.endpoint_id == endpoint.id, *_due(now))
                .order_by(delivery.next_attempt_at)
                .limit(1)
                .scalar_subquery()
            )
            found = (
                select(endpoint.id, endpoint.tenant_id, first.label("first"))
                .where(endpoint.enabled, _rested(now))
                .subquery()
            )
            query = select(found.c.id, found.c.tenant_id).where(found.c.first.is_not(None))
            return [
                Ready(endpoint_id=row.id, tenant_id=row.tenant_id)
                for row in session.execute(query.order_by(found.c.first, found.c.id))
            ]

    def take(self, endpoint_id: UUID, limit: int) -> list[Attempt]:
        """Take what is due to an endpoint, the longest due first; what others hold is left."""
        with self._database.writing() as session:
            endpoint = session.get(WebhookEndpoint, endpoint_id)
            now = self._now(session)
            if endpoint is None or not endpoint.enabled:
                return []
            delivery = WebhookDelivery
            longest = (
                select(delivery)
                .where(delivery.endpoint_id == endpoint_id, *_due(now))
                .order_by(delivery.next_attempt_at, delivery.id)
                .limit(limit)
                .with_for_update(skip_locked=True)
            )
            return [self._lease(row, endpoint, now) for row in session.scalars(longest).all()]

    def _lease(self, row: WebhookDelivery, endpoint: WebhookEndpoint, now: datetime) -> Attempt:
        row.lease_token, row.lease_until = token_hex(16), now + self._length
        return Attempt(
            delivery_id=row.id,
            endpoint_id=endpoint.id,
            tenant_id=endpoint.tenant_id,
            token=row.lease_token,
            at=now,
            url=endpoint.url,
            message_id=row.message_id,
            payload=row.payload.encode(),
        )

    def record(self, attempt: Attempt, answer: Answer) -> Recorded | None:
        """Write what came of an attempt; None: it is not this one's any more."""
        with self._database.writing() as session:
            endpoint = session.get(
                WebhookEndpoint, attempt.endpoint_id, with_for_update={"key_share": True}
            )
            row = session.get(WebhookDelivery, attempt.delivery_id, with_for_update=True)
            if endpoint is None or row is None or row.lease_token != attempt.token:
                return None
            row.lease_token = row.lease_until = None
            row.attempts += 1
            row.last_attempt_at = attempt.at
            row.last_result, row.last_status = answer.result, answer.status
            return self._settle(row, endpoint, answer, self._now(session))

    def _settle(
        self, row: WebhookDelivery, endpoint: WebhookEndpoint, answer: Answer, now: datetime
    ) -> Recorded:
        if answer.result is Result.DELIVERED:
            return _end(row, DeliveryState.DELIVERED, now)
        if answer.status == _GONE:
            return _give_up(row, endpoint, DisabledReason.GONE, now)
        row.step += 1
        delay = delay_after(row.step, self._draw)
        if delay is None:
            # What somebody sent to try it out proves nothing about the rest.
            pinged = row.event_type == EventType.PING
            return _give_up(row, endpoint, None if pinged else DisabledReason.FAILING, now)
        row.next_attempt_at = now + delay
        if answer.status in _RESTING:
            rest = rest_of(answer.retry_after, now)
            if rest is not None:
                endpoint.resting_until = now + rest
                row.next_attempt_at = max(row.next_attempt_at, endpoint.resting_until)
        return Recorded(state=DeliveryState.WAITING, disabled=None)

    def forget(self, after: timedelta) -> int:
        """Delete what ended long ago, or waits for an endpoint that has long been disabled.

        Some at a time, so that nobody waits for it; returns how many were deleted.
        """
        forgotten = 0
        while found := self._forget_some(after):
            forgotten += found
        return forgotten

    def _forget_some(self, after: timedelta) -> int:
        delivery, endpoint = WebhookDelivery, WebhookEndpoint
        disabled = select(endpoint.id).where(~endpoint.enabled)
        with self._database.writing() as session:
            before = self._now(session) - after
            for old in (
                delivery.ended_at < before,
                (delivery.created_at < before)
                & (delivery.state == DeliveryState.WAITING)
                & delivery.endpoint_id.in_(disabled),
            ):
                ids = list(session.scalars(select(delivery.id).where(old).limit(_FORGOTTEN)))
                if ids:
                    session.execute(delete(delivery).where(delivery.id.in_(ids)))
                    return len(ids)
        return 0


def _due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    delivery = WebhookDelivery
    return (
        delivery.state == DeliveryState.WAITING,
        delivery.next_attempt_at <= now,
        or_(delivery.lease_until.is_(None), delivery.lease_until < now),
    )


def _rested(now: datetime) -> ColumnElement[bool]:
    until = WebhookEndpoint.resting_until
    return or_(until.is_(None), until <= now)


def _give_up(
    row: WebhookDelivery, endpoint: WebhookEndpoint, reason: DisabledReason | None, now: datetime
) -> Recorded:
    ended = _end(row, DeliveryState.FAILED, now)
    if reason is None or not endpoint.enabled:
        return ended
    disable(endpoint, reason, now)
    return Recorded(state=ended.state, disabled=reason)


def _end(row: WebhookDelivery, state: DeliveryState, now: datetime) -> Recorded:
    row.state, row.ended_at, row.next_attempt_at = state, now, None
    return Recorded(state=state, disabled=None)


def count_due(session: Session, now: datetime) -> int:
    """How many messages are due, or being sent, to endpoints that are enabled."""
    delivery, endpoint = WebhookDelivery, WebhookEndpoint
    query = (
        select(func.count())
        .select_from(delivery)
        .join(endpoint, delivery.endpoint_id == endpoint.id)
        .where(
            delivery.state == DeliveryState.WAITING,
            delivery.next_attempt_at <= now,
            endpoint.enabled,
        )
    )
    return session.scalar(query) or 0
