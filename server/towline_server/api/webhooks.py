"""``/webhooks``: the addresses that receive a tenant's events, and the deliveries to them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal, Self, TypeAlias
from uuid import UUID

from fastapi import APIRouter, Query, Response
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from pydantic import BeforeValidator, Field, StringConstraints
from sqlalchemy.orm import Session

from towline_server.auth.roles import Role
from towline_server.db.clock import database_now
from towline_server.web.schemas import problems
from towline_server.webhooks.deliveries import Deliveries
from towline_server.webhooks.domain import (
    LONGEST_URL,
    URL_PATTERN,
    DeliveryState,
    DisabledReason,
    Endpoint,
    EventType,
    Result,
)
from towline_server.webhooks.queue import count_due
from towline_server.webhooks.service import EndpointSettings

from .access import Context, NativeRoute, RequestContext, WebhookForAdmin
from .models import Body, Flag, Model, Page, Text, Window

router = APIRouter(prefix="/webhooks", route_class=NativeRoute)

Url = Annotated[str, StringConstraints(max_length=LONGEST_URL, pattern=URL_PATTERN)]
RunEvent: TypeAlias = Literal[
    EventType.RUN_SUCCEEDED, EventType.RUN_FAILED, EventType.RUN_CANCELLED
]
RunEvents = Annotated[tuple[RunEvent, ...], Field(min_length=1, max_length=10)]
"""A ping needs no choice: it goes to the webhook that it was asked of."""


class WebhookBody(Body):
    """A webhook to be made."""

    url: Url
    """https, or what else the operator allows; without a user, a password or a fragment."""
    event_types: RunEvents | None = None
    """null: all, those to come included."""
    project_id: UUID | None = None
    """The only project to hear of; null: every project of the tenant."""
    description: Text = ""
    enabled: Flag = True


class WebhookChange(Body):
    """A change of a webhook: what is left out stays."""

    url: Url | None = None
    event_types: RunEvents | None = None
    project_id: UUID | None = None
    description: Text | None = None
    enabled: Flag | None = None


class WebhookModel(Model):
    """A webhook. Its secret is shown by what makes it, and nowhere else."""

    id: UUID
    url: str
    event_types: list[EventType] | None
    project_id: UUID | None
    description: str
    enabled: bool
    disabled_at: datetime | None
    disabled_reason: DisabledReason | None
    created_at: datetime
    updated_at: datetime


class WebhookWithSecret(WebhookModel):
    """A webhook, and the new secret that signs its messages."""

    secret: str
    """``whsec_`` and Base64, as libraries of Standard Webhooks take it."""

    @classmethod
    def of_new(cls, endpoint: Endpoint, secret: str) -> Self:
        """Return the model of a webhook, this once with its secret."""
        return cls(**dict(WebhookModel.of(endpoint)), secret=secret)


class DeliveryModel(Model):
    """The delivery of a message to a webhook."""

    id: UUID
    message_id: str
    """The ``webhook-id``, the same at each attempt."""
    event_type: EventType
    payload: Annotated[dict[str, Any], BeforeValidator(json.loads)]
    state: DeliveryState
    attempts: int
    last_attempt_at: datetime | None
    last_result: Result | None
    last_status: int | None
    next_attempt_at: datetime | None
    created_at: datetime
    ended_at: datetime | None


def gauges(session: Session) -> Iterable[Metric]:
    """What waits to be sent, of all servers of this database."""
    yield GaugeMetricFamily(
        "towline_webhooks_due",
        "Messages that are due to webhooks which are enabled.",
        value=count_due(session, database_now(session)),
    )


@router.get("")
def list_webhooks(context: Context, window: Window) -> Page[WebhookModel]:
    """The tenant's webhooks, oldest first."""
    context.administer_tenant()
    with context.reading() as session:
        found, total = context.services.webhooks(session).page(
            context.caller.tenant_id, limit=window.limit, offset=window.offset
        )
    return window.page(WebhookModel, found, total)


@router.post("", status_code=201, responses=problems(409))
def create_webhook(context: Context, body: WebhookBody, response: Response) -> WebhookWithSecret:
    """Create a webhook. Its secret is shown only in this answer."""
    context.administer_tenant()
    _check_project(context, body.project_id)
    wanted = EndpointSettings(**dict(body))
    with context.writing() as session:
        made, secret = context.services.webhooks(session).create(context.caller.tenant_id, wanted)
    response.headers["Location"] = f"/api/towline/v1/webhooks/{made.id}"
    return WebhookWithSecret.of_new(made, secret)


@router.get("/{webhook_id}")
def get_webhook(webhook: WebhookForAdmin) -> WebhookModel:
    """A webhook."""
    return WebhookModel.of(webhook)


@router.patch("/{webhook_id}")
def change_webhook(context: Context, webhook: WebhookForAdmin, body: WebhookChange) -> WebhookModel:
    """Change a webhook. When it is enabled again, pending deliveries are sent.

    A null ``event_types`` or ``project_id`` means all; any other null is ignored.
    """
    if body.project_id != webhook.project_id:
        _check_project(context, body.project_id)
    with context.writing() as session:
        changed = context.services.webhooks(session).change(webhook.id, _changed(webhook, body))
    return WebhookModel.of(changed)


@router.delete("/{webhook_id}", status_code=204)
def delete_webhook(context: Context, webhook: WebhookForAdmin) -> None:
    """Delete a webhook and its pending deliveries."""
    with context.writing() as session:
        context.services.webhooks(session).delete(webhook.id)


@router.post("/{webhook_id}/rotate")
def rotate_secret(context: Context, webhook: WebhookForAdmin) -> WebhookWithSecret:
    """Replace a webhook's secret. The new one is shown only in this answer.

    For 24 hours, messages are signed with the old secret too.
    """
    with context.writing() as session:
        changed, secret = context.services.webhooks(session).rotate(webhook.id)
    return WebhookWithSecret.of_new(changed, secret)


@router.post("/{webhook_id}/ping", status_code=202, responses=problems(409))
def ping_webhook(context: Context, webhook: WebhookForAdmin) -> DeliveryModel:
    """Send a ``ping`` to a webhook, once; its delivery shows whether it was received."""
    with context.writing() as session:
        return DeliveryModel.of(Deliveries(session, webhook.id).ping())


@router.get("/{webhook_id}/deliveries")
def list_deliveries(
    context: Context,
    webhook: WebhookForAdmin,
    window: Window,
    state: Annotated[list[DeliveryState] | None, Query()] = None,
) -> Page[DeliveryModel]:
    """The deliveries of a webhook, sent and pending, newest first."""
    with context.reading() as session:
        found, total = Deliveries(session, webhook.id).page(
            state, limit=window.limit, offset=window.offset
        )
    return window.page(DeliveryModel, found, total)


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/retry", status_code=202, responses=problems(409)
)
def retry_delivery(context: Context, webhook: WebhookForAdmin, delivery_id: UUID) -> DeliveryModel:
    """Send a message again at once, with the same ``webhook-id``."""
    with context.writing() as session:
        return DeliveryModel.of(Deliveries(session, webhook.id).retry(delivery_id))


def _check_project(context: RequestContext, project_id: UUID | None) -> None:
    if project_id is not None:
        context.project(project_id, Role.ADMIN)


def _changed(webhook: Endpoint, body: WebhookChange) -> EndpointSettings:
    settings = {name: getattr(webhook, name) for name in WebhookBody.model_fields}
    return EndpointSettings(**settings | body.given("event_types", "project_id"))
