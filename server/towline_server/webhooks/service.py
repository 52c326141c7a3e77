"""Endpoints and their secrets: create, change, rotate, delete.

A secret is shown to its tenant once, when it is created; no other module opens it.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.orm import Session

from towline.frozen import frozen
from towline.remotes.url import Scheme
from towline_server.audit.log import Action, Owner, record
from towline_server.auth.sealing import Sealer
from towline_server.db.clock import DatabaseNow, database_now
from towline_server.errors import TooManyWebhooks, existing
from towline_server.projects.locking import hold
from towline_server.projects.tables import TenantRow

from .domain import DisabledReason, Endpoint, EventType, check_url
from .sending import new_secret
from .tables import WebhookEndpointRow, WebhookSecretRow, endpoint_of

MOST = 50
"""Endpoints of a tenant: each is a row in the transaction that ends a run."""
OVERLAP = timedelta(hours=24)
"""How long a secret still signs once there is a newer one."""
_MOST_SECRETS = 10
"""How many sign at once: each is a part of a header."""


@frozen(kw_only=True)
class EndpointSettings:
    """The settings of an endpoint."""

    url: str
    project_id: UUID | None = None
    event_types: tuple[EventType, ...] | None = None
    description: str = ""
    enabled: bool = True


class Webhooks:
    """The endpoints of a database, through a session that the caller commits.

    It does not authorise: see `towline_server.auth.roles.authorise_tenant`.
    """

    def __init__(
        self,
        session: Session,
        sealer: Sealer,
        schemes: AbstractSet[Scheme] = frozenset({Scheme.HTTPS}),
        now: DatabaseNow = database_now,
    ) -> None:
        self._session = session
        self._sealer = sealer
        self._schemes = schemes
        self._now = now

    def get(self, endpoint_id: UUID) -> Endpoint | None:
        """Return an endpoint, or None."""
        row = self._session.get(WebhookEndpointRow, endpoint_id)
        return None if row is None else endpoint_of(row)

    def page(
        self, tenant_id: UUID, *, limit: int, offset: int = 0
    ) -> tuple[tuple[Endpoint, ...], int]:
        """Return a page of a tenant's endpoints, oldest first, and how many there are."""
        query = select(WebhookEndpointRow).where(WebhookEndpointRow.tenant_id == tenant_id)
        ordered = query.order_by(WebhookEndpointRow.created_at, WebhookEndpointRow.id)
        found = self._session.scalars(ordered.limit(limit).offset(offset))
        return tuple(endpoint_of(row) for row in found), self._count(tenant_id)

    def create(self, tenant_id: UUID, wanted: EndpointSettings) -> tuple[Endpoint, str]:
        """Create an endpoint, and return it with its secret.

        Raises:
            InvalidValue: the URL is malformed or of a scheme that the operator does not allow.
            NotFound: there is no such project.
            TooManyWebhooks: the tenant has `MOST` already.
        """
        url = check_url(wanted.url, self._schemes)
        self._hold_project(wanted)
        # Two transactions that create the last one take turns.
        mine = select(TenantRow.id).where(TenantRow.id == tenant_id)
        self._session.execute(mine.with_for_update(key_share=True))
        if self._count(tenant_id) >= MOST:
            raise TooManyWebhooks(allowed=MOST)
        now = self._now(self._session)
        row = WebhookEndpointRow(
            id=uuid4(), tenant_id=tenant_id, url=url, enabled=True, created_at=now
        )
        self._write(row, wanted, now)
        self._session.add(row)
        self._session.flush()
        self._record(Action.WEBHOOK_CREATED, row)
        return endpoint_of(row), self._add_secret(row.id, now)

    def change(self, endpoint_id: UUID, wanted: EndpointSettings) -> Endpoint:
        """Replace an endpoint's settings. Enabled again, it gets the messages that waited.

        Raises:
            NotFound: there is none, or no such project.
            InvalidValue: as in `create`.
        """
        self._hold_project(wanted)
        row = self._row(endpoint_id)
        if wanted.url != row.url:
            check_url(wanted.url, self._schemes)
            row.resting_until = None
        self._write(row, wanted, self._now(self._session))
        self._session.flush()
        self._record(Action.WEBHOOK_CHANGED, row, enabled=row.enabled)
        return endpoint_of(row)

    def rotate(self, endpoint_id: UUID) -> tuple[Endpoint, str]:
        """Give an endpoint a new secret; the older ones still sign for `OVERLAP`.

        Raises:
            NotFound: there is none.
        """
        row, now = self._row(endpoint_id), self._now(self._session)
        secret = WebhookSecretRow
        self._session.execute(
            update(secret)
            .where(secret.endpoint_id == endpoint_id, secret.expires_at.is_(None))
            .values(expires_at=now + OVERLAP)
        )
        added = self._add_secret(endpoint_id, now)
        newest = (
            select(secret.id)
            .where(secret.endpoint_id == endpoint_id, _signs_at(now))
            .order_by(secret.created_at.desc(), secret.id)
            .limit(_MOST_SECRETS)
        )
        current = list(self._session.scalars(newest))
        self._session.execute(
            delete(secret).where(secret.endpoint_id == endpoint_id, secret.id.not_in(current))
        )
        row.updated_at = now
        self._session.flush()
        self._record(Action.WEBHOOK_ROTATED, row)
        return endpoint_of(row), added

    def delete(self, endpoint_id: UUID) -> None:
        """Delete an endpoint, if there is one, with its deliveries."""
        row = self._session.get(WebhookEndpointRow, endpoint_id)
        if row is not None:
            self._record(Action.WEBHOOK_DELETED, row)
        self._session.execute(
            delete(WebhookEndpointRow).where(WebhookEndpointRow.id == endpoint_id)
        )

    def reseal(self) -> int:
        """Seal every secret with the first key again, and return how many had another.

        Raises:
            CredentialUnreadable: the key of one is gone; nothing was changed.
        """
        changed = 0
        for row in self._session.scalars(select(WebhookSecretRow).order_by(WebhookSecretRow.id)):
            purpose = _purpose(row.id, row.endpoint_id)
            if (again := self._sealer.resealed(row.sealed, purpose)) is not None:
                row.sealed, changed = again, changed + 1
        self._session.flush()
        return changed

    def _record(self, action: Action, row: WebhookEndpointRow, **detail: object) -> None:
        owner = Owner(row.tenant_id, row.project_id)
        record(self._session, action, row.id, owner, **detail)

    def _count(self, tenant_id: UUID) -> int:
        query = select(func.count()).select_from(WebhookEndpointRow)
        return self._session.scalar(query.where(WebhookEndpointRow.tenant_id == tenant_id)) or 0

    def _hold_project(self, wanted: EndpointSettings) -> None:
        # Before its webhooks: deleting a project takes both, in this order.
        if wanted.project_id is not None:
            hold(self._session, wanted.project_id)

    def _row(self, endpoint_id: UUID) -> WebhookEndpointRow:
        lock = {"key_share": True}
        found = self._session.get(WebhookEndpointRow, endpoint_id, with_for_update=lock)
        return existing(found, "webhook")

    def _write(self, row: WebhookEndpointRow, wanted: EndpointSettings, now: datetime) -> None:
        types = wanted.event_types
        row.url, row.description, row.project_id = wanted.url, wanted.description, wanted.project_id
        row.event_types = None if types is None else sorted({str(each) for each in types})
        row.updated_at = now
        if wanted.enabled:
            enable(row)
        elif row.enabled:
            disable(row, DisabledReason.ASKED, now)

    def _add_secret(self, endpoint_id: UUID, now: datetime) -> str:
        secret, secret_id = new_secret(), uuid4()
        sealed = self._sealer.seal(secret, _purpose(secret_id, endpoint_id))
        self._session.add(
            WebhookSecretRow(id=secret_id, endpoint_id=endpoint_id, sealed=sealed, created_at=now)
        )
        self._session.flush()
        return secret


def signing_secrets(
    session: Session, sealer: Sealer, endpoint_id: UUID, now: datetime
) -> Sequence[str]:
    """Return the secrets that sign for an endpoint at a moment, the newest first.

    Raises:
        CredentialUnreadable: the key of one is gone.
    """
    mine = select(WebhookSecretRow).where(
        WebhookSecretRow.endpoint_id == endpoint_id, _signs_at(now)
    )
    newest = mine.order_by(WebhookSecretRow.created_at.desc(), WebhookSecretRow.id)
    return [
        sealer.open(row.sealed, _purpose(row.id, endpoint_id)) for row in session.scalars(newest)
    ]


def enable(row: WebhookEndpointRow) -> None:
    """Send to an endpoint again."""
    if not row.enabled:
        row.enabled = True
        row.disabled_at = row.disabled_reason = row.resting_until = None


def disable(row: WebhookEndpointRow, reason: DisabledReason, now: datetime) -> None:
    """Send nothing more to an endpoint that is enabled."""
    row.enabled = False
    row.disabled_at, row.disabled_reason, row.updated_at = now, reason, now


def _signs_at(now: datetime) -> ColumnElement[bool]:
    return or_(WebhookSecretRow.expires_at.is_(None), WebhookSecretRow.expires_at > now)


def _purpose(secret_id: UUID, endpoint_id: UUID) -> str:
    return f"outbound webhook {endpoint_id} {secret_id}"
