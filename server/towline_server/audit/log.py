"""Writes the events of the audit log, each in the transaction of its change."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import ScalarSelect, insert
from sqlalchemy.orm import Session

from towline_server.db.clock import clock

from .actor import current
from .tables import AuditEventRow

_LONGEST = 255


class Action(StrEnum):
    """What was done."""

    TENANT_CREATED = "tenant.created"
    USER_CREATED = "user.created"
    SERVICE_ACCOUNT_CREATED = "service_account.created"
    KEY_CREATED = "api_key.created"
    IDENTITY_DISABLED = "identity.disabled"
    IDENTITY_ENABLED = "identity.enabled"
    PASSWORD_CHANGED = "identity.password_changed"  # noqa: S105 - the name of an action
    ROLE_CHANGED = "identity.role_changed"
    SIGNED_IN = "session.begun"
    SIGN_IN_REFUSED = "session.refused"
    SIGNED_OUT = "session.ended"
    CONNECTION_CREATED = "connection.created"
    CONNECTION_CHANGED = "connection.changed"
    CONNECTION_DELETED = "connection.deleted"
    SECRETS_RESEALED = "secrets.resealed"
    PROJECT_CREATED = "project.created"
    PROJECT_CHANGED = "project.changed"
    PROJECT_BOUND = "project.bound"
    PROJECT_UNBOUND = "project.unbound"
    PROJECT_DELETED = "project.deleted"
    ASSET_WRITTEN = "asset.written"
    ASSET_MOVED = "asset.moved"
    ASSET_DELETED = "asset.deleted"
    RESOLUTIONS_CHANGED = "conflict.resolutions_changed"
    PLAN_STORED = "plan.stored"
    PLAN_APPLIED = "plan.applied"
    PLAN_DISCARDED = "plan.discarded"
    PULL_UNDONE = "pull.undone"
    RUN_REQUESTED = "run.requested"
    RUN_CANCELLED = "run.cancelled"
    RUN_RETRIED = "run.retried"
    RUN_COMPLETED = "run.completed"
    SCHEDULE_CREATED = "schedule.created"
    SCHEDULE_CHANGED = "schedule.changed"
    SCHEDULE_DELETED = "schedule.deleted"
    SYNC_CREATED = "sync.created"
    SYNC_CHANGED = "sync.changed"
    SYNC_DELETED = "sync.deleted"
    WEBHOOK_CREATED = "webhook.created"
    WEBHOOK_CHANGED = "webhook.changed"
    WEBHOOK_ROTATED = "webhook.secret_rotated"
    WEBHOOK_DELETED = "webhook.deleted"
    DELIVERY_REQUESTED = "webhook.delivery_requested"


class Owner(NamedTuple):
    """Whose what was changed is."""

    tenant_id: UUID | ScalarSelect[UUID] | None
    """None: no tenant's."""
    project_id: UUID | None = None


def record(
    session: Session,
    action: Action,
    subject: object,
    owner: Owner,
    /,
    **detail: object,
) -> None:
    """Record what the actor does, in the transaction that does it.

    Nothing is recorded of what the server does by itself: runs have a history of their own.
    ``detail`` has names and choices, never a secret or a content.
    """
    actor = current()
    if actor is None:
        return
    sqlite = session.get_bind().dialect.name == "sqlite"
    values: dict[str, Any] = {
        "id": uuid4(),
        # SQLite's own clock has milliseconds, in which two events may fall.
        "at": datetime.now(UTC) if sqlite else clock(session),
        "tenant_id": owner.tenant_id,
        "project_id": owner.project_id,
        "action": str(action),
        "subject": None if subject is None else _short(subject),
        "detail": {name: _plain(value) for name, value in detail.items() if value is not None},
        "actor_kind": actor.kind,
        "actor_id": actor.id,
        "actor_name": _short(actor.name),
        "credential": actor.credential,
        "address": actor.address,
        "request_id": actor.request_id,
    }
    session.execute(insert(AuditEventRow).values(values))


def _plain(value: object) -> object:
    if isinstance(value, (bool, int)):
        return value
    if isinstance(value, (list, tuple)):
        return [_short(each) for each in value[:50]]
    return _short(value)


def _short(value: object) -> str:
    return str(value).encode("utf-8", "replace").decode()[:_LONGEST]
