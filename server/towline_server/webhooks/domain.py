"""The values of outbound webhooks: an endpoint, an event, its delivery, and when it is retried."""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from towline.errors import InvalidValue
from towline.frozen import frozen
from towline.remotes.url import Scheme
from towline_server.db.jobs import RetryPolicy

LONGEST_URL = 1024

_DELAYS = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
RETRIES = RetryPolicy(
    delays=tuple(timedelta(seconds=each) for each in _DELAYS),
    longest_requested=timedelta(days=1),
    spread=0.1,
)
"""The delay before each attempt from the one before it, as Standard Webhooks recommends."""

_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PORT = "6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3}"
_TEXT = r"[A-Za-z0-9._~%!$&'()*+,;=:@/-]"
URL_PATTERN = (
    rf"^https?://{_LABEL}(?:\.{_LABEL})*(?::(?:{_PORT}))?(?:/{_TEXT}*)?(?:\?(?:{_TEXT}|\?)*)?$"
)
"""An endpoint's URL: a host by name or IPv4 address; no user, no fragment (RFC 3986)."""


class EventType(StrEnum):
    """What an event is about."""

    RUN_SUCCEEDED = "run.succeeded"
    RUN_FAILED = "run.failed"
    RUN_CANCELLED = "run.cancelled"
    PING = "ping"
    """A test message, requested for one endpoint."""


class DisabledReason(StrEnum):
    """Why nothing is sent to an endpoint."""

    ASKED = "asked"
    GONE = "gone"
    """It answered 410."""
    FAILING = "failing"
    """A message failed at its last attempt."""


class DeliveryState(StrEnum):
    """The state of a message to one endpoint."""

    WAITING = "waiting"
    """For its first attempt, or for the next one."""
    DELIVERED = "delivered"
    FAILED = "failed"
    """It is tried again on request only."""


class Result(StrEnum):
    """The result of an attempt."""

    DELIVERED = "delivered"
    """It was answered with a status from 200 to 299."""
    REFUSED = "refused"
    """It was answered with another status; redirects are not followed."""
    TIMED_OUT = "timed_out"
    UNREACHABLE = "unreachable"
    """There is no such host, it accepted no connection, or the connection broke."""
    TLS_FAILED = "tls_failed"
    """No trusted certificate for this host."""
    NOT_HTTP = "not_http"
    """It was answered with something else than HTTP, or with nothing."""
    ADDRESS_REFUSED = "address_refused"
    """The host is at an address that this server does not connect to."""
    SCHEME_REFUSED = "scheme_refused"
    """The operator does not allow the URL's scheme (any more)."""
    SECRET_UNREADABLE = "secret_unreadable"  # noqa: S105 - a result's name
    """The signing secret cannot be decrypted: its key is gone."""


@frozen(kw_only=True)
class Event:
    """Something that happened; ``data`` is plain JSON, without contents and secrets."""

    type: EventType
    tenant_id: UUID
    project_id: UUID
    at: datetime
    data: Mapping[str, Any]


@frozen(kw_only=True)
class Endpoint:
    """Where a tenant's events are sent. It never contains the secret."""

    id: UUID
    tenant_id: UUID
    project_id: UUID | None
    """The only project whose events it gets; None: every project of the tenant."""
    url: str
    event_types: tuple[EventType, ...] | None
    """None: all, also those of later versions."""
    description: str
    enabled: bool
    disabled_at: datetime | None
    disabled_reason: DisabledReason | None
    created_at: datetime
    updated_at: datetime


@frozen(kw_only=True)
class Delivery:
    """A message to one endpoint."""

    id: UUID
    endpoint_id: UUID
    message_id: str
    """The ``webhook-id``: the same at each attempt, and at each endpoint."""
    event_type: EventType
    payload: str
    """The JSON as it is signed and sent."""
    state: DeliveryState
    attempts: int
    last_attempt_at: datetime | None
    last_result: Result | None
    last_status: int | None
    next_attempt_at: datetime | None
    created_at: datetime
    ended_at: datetime | None


def check_url(text: str, schemes: AbstractSet[Scheme]) -> str:
    """Validate the URL of an endpoint, and return it.

    Raises:
        InvalidValue: it is malformed, names a user, or has a scheme that is not allowed.
    """
    # The text is never repeated: it may hold a password.
    if len(text) > LONGEST_URL or not re.fullmatch(URL_PATTERN, text):
        problem = "must be https://host/path, without a user, a password or a fragment"
        raise InvalidValue(field="url", problem=problem)
    if not has_scheme(text, schemes):
        allowed = ", ".join(sorted(schemes))
        raise InvalidValue(field="url", problem=f"its scheme is not allowed here, but {allowed}")
    return text


def has_scheme(url: str, schemes: AbstractSet[Scheme]) -> bool:
    """Whether a URL has one of these schemes."""
    return url.partition(":")[0] in schemes
