"""Endpoints, their signing secrets, and the deliveries to them, as rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, literal_column, text
from sqlalchemy.orm import Mapped, mapped_column

from towline_server.db.base import Base, ExactText
from towline_server.db.jobs import Job

from .domain import Delivery, DeliveryState, DisabledReason, Endpoint, EventType, Result

_WAITING = text("state = 'waiting'")


class WebhookEndpointRow(Base):
    """Where a tenant's events are sent."""

    __tablename__ = "webhook_endpoints"
    __table_args__ = (
        CheckConstraint("enabled = (disabled_at IS NULL)", name="disabled_at"),
        CheckConstraint("enabled = (disabled_reason IS NULL)", name="disabled_reason"),
        Index("ix_webhook_endpoints_tenant_id", "tenant_id"),
        Index("ix_webhook_endpoints_project_id", "project_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"))
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    """The only project whose events it gets; NULL: every project of the tenant."""
    url: Mapped[str] = mapped_column(ExactText())
    event_types: Mapped[list[Any] | None]
    """Null: all."""
    description: Mapped[str] = mapped_column(ExactText())
    enabled: Mapped[bool]
    disabled_at: Mapped[datetime | None]
    disabled_reason: Mapped[str | None]
    resting_until: Mapped[datetime | None]
    """The end of the pause that it requested (Retry-After), by the database's clock."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class WebhookSecretRow(Base):
    """A secret that signs the messages to an endpoint; an old one signs until it expires."""

    __tablename__ = "webhook_secrets"
    __table_args__ = (Index("ix_webhook_secrets_endpoint_id", "endpoint_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    endpoint_id: Mapped[UUID] = mapped_column(
        ForeignKey("webhook_endpoints.id", ondelete="CASCADE")
    )
    sealed: Mapped[bytes]
    """`towline_server.auth.sealing`."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]


class WebhookDeliveryRow(Job):
    """A message to one endpoint."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        CheckConstraint("(state = 'waiting') = (next_attempt_at IS NOT NULL)", name="next_attempt"),
        CheckConstraint("(state = 'waiting') = (ended_at IS NULL)", name="ended_at"),
        Index(
            "ix_webhook_deliveries_due",
            "endpoint_id",
            "next_attempt_at",
            sqlite_where=_WAITING,
            postgresql_where=_WAITING,
        ),
        Index("ix_webhook_deliveries_endpoint_id_created_at", "endpoint_id", "created_at"),
        Index("ix_webhook_deliveries_ended_at", "ended_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    endpoint_id: Mapped[UUID] = mapped_column(
        ForeignKey("webhook_endpoints.id", ondelete="CASCADE")
    )
    message_id: Mapped[str]
    event_type: Mapped[str]
    payload: Mapped[str] = mapped_column(ExactText())
    """The JSON as it is signed and sent."""
    state: Mapped[str]
    attempts: Mapped[int] = mapped_column(default=0)
    """All that were made."""
    step: Mapped[int] = mapped_column(default=0)
    """How many failed since it was last requested: its place in the retry schedule."""
    next_attempt_at: Mapped[datetime | None]
    """By the database's clock."""
    last_attempt_at: Mapped[datetime | None]
    last_result: Mapped[str | None]
    last_status: Mapped[int | None]
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


IS_WAITING = WebhookDeliveryRow.state == literal_column(f"'{DeliveryState.WAITING}'")
"""Match the messages that wait, by a constant: the index of them is used only then."""


def endpoint_of(row: WebhookEndpointRow) -> Endpoint:
    """Return the endpoint of a row."""
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


def delivery_of(row: WebhookDeliveryRow) -> Delivery:
    """Return the delivery of a row."""
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
