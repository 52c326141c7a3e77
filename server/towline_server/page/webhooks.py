"""``/ui/webhooks``: the tenant's webhooks, and what was and will be sent to each."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from towline_server.webhooks.deliveries import Deliveries

from .paging import ROWS, PageNumber, Pages
from .visitor import Form, SignedIn, go

router = APIRouter(prefix="/ui/webhooks")


@router.get("")
def list_webhooks(request: Request, visitor: SignedIn, page: PageNumber = 1) -> Response:
    """List the tenant's webhooks, oldest first."""
    visitor.administer_tenant()
    with visitor.reading() as session:
        found, total = visitor.services.webhooks(session).page(
            visitor.caller.tenant_id, limit=ROWS, offset=(page - 1) * ROWS
        )
    pages = Pages(request=request, number=page, total=total)
    return visitor.page("webhooks.html", webhooks=found, pages=pages)


@router.get("/{webhook_id}")
def list_deliveries(
    request: Request, visitor: SignedIn, webhook_id: UUID, page: PageNumber = 1
) -> Response:
    """List what was and will be sent to a webhook, newest first."""
    webhook = visitor.webhook(webhook_id)
    with visitor.reading() as session:
        found, total = Deliveries(session, webhook.id).page(
            None, limit=ROWS, offset=(page - 1) * ROWS
        )
    pages = Pages(request=request, number=page, total=total)
    return visitor.page("deliveries.html", webhook=webhook, deliveries=found, pages=pages)


@router.post("/{webhook_id}/deliveries/{delivery_id}/retry")
def retry_delivery(visitor: SignedIn, form: Form, webhook_id: UUID, delivery_id: UUID) -> Response:
    """Send a message again at once."""
    del form
    webhook = visitor.webhook(webhook_id)
    with visitor.writing() as session:
        Deliveries(session, webhook.id).retry(delivery_id)
    return go(f"/ui/webhooks/{webhook_id}")
