"""``/ui/webhooks``: the tenant's webhooks, set up, and what was and will be sent to each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_args
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from towline_server.api import webhooks as api
from towline_server.webhooks.deliveries import Deliveries
from towline_server.webhooks.domain import Endpoint

from .forms import FormField, ShownForm, fields_of, once, shown_form, submitted
from .paging import ROWS, PageNumber, Pages
from .visitor import Sent, SignedIn, Visitor, go, text_of, texts_of

router = APIRouter(prefix="/ui/webhooks")

_EVENTS = [str(each) for each in get_args(api.RunEvent)]
_FIELDS = (
    *fields_of(
        api.WebhookBody,
        without=["event_types", "project_id"],
        labels={"url": "Address", "enabled": "Enabled"},
        hints={"url": "https, without a user, a password or a fragment."},
    ),
    FormField(
        name="project",
        label="Project",
        hint="Only send events of this project (org/space/project); leave empty for all projects.",
        is_asked_by_page=True,
    ),
)


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


@router.get("/new")
def new_webhook(visitor: SignedIn) -> Response:
    """Show the form of a new webhook."""
    visitor.administer_tenant()
    return _form_page(visitor, shown_form(_FIELDS))


@router.post("/new")
def create_webhook(visitor: SignedIn, form: Sent) -> Response:
    """Make a webhook, and show its secret this once."""
    visitor.administer_tenant()

    def save(body: api.WebhookBody) -> Response:
        return _secret_page(visitor, api.create_webhook(visitor, body, Response()))

    return _submitted(visitor, form, once(visitor, form, save))


@router.get("/{webhook_id}/settings")
def show_settings(visitor: SignedIn, webhook_id: UUID) -> Response:
    """Show the form of a webhook that there is."""
    webhook = visitor.webhook(webhook_id)
    paths = visitor.project_paths([] if webhook.project_id is None else [webhook.project_id])
    values = {
        "url": webhook.url,
        "description": webhook.description,
        "enabled": webhook.enabled,
        "project": next(iter(paths.values()), ""),
    }
    events = [str(each) for each in webhook.event_types or ()]
    return _form_page(visitor, shown_form(_FIELDS, values), webhook, events=events)


@router.post("/{webhook_id}/settings")
def change_webhook(visitor: SignedIn, form: Sent, webhook_id: UUID) -> Response:
    """Edit a webhook; enabled again, it is sent what waits for it."""
    webhook = visitor.webhook(webhook_id)

    def save(body: api.WebhookBody) -> Response:
        change = api.WebhookChange.model_validate(body.model_dump())
        api.change_webhook(visitor, webhook, change)
        return go(f"/ui/webhooks/{webhook_id}")

    return _submitted(visitor, form, save, webhook)


@router.get("/{webhook_id}/delete")
def ask_to_delete(visitor: SignedIn, webhook_id: UUID) -> Response:
    """Ask whether a webhook is to be deleted."""
    webhook = visitor.webhook(webhook_id)
    return visitor.page(
        "confirm.html",
        question="Delete the webhook?",
        subject=webhook.url,
        consequence="Messages that wait for it are deleted, and it receives nothing more.",
        answer="Delete it",
        back=f"/ui/webhooks/{webhook_id}/settings",
    )


@router.post("/{webhook_id}/delete")
def delete_webhook(visitor: SignedIn, webhook_id: UUID) -> Response:
    """Delete a webhook and its pending deliveries."""
    api.delete_webhook(visitor, visitor.webhook(webhook_id))
    return go("/ui/webhooks")


@router.get("/{webhook_id}/rotate")
def ask_to_rotate(visitor: SignedIn, webhook_id: UUID) -> Response:
    """Ask whether a webhook is to have a new secret."""
    webhook = visitor.webhook(webhook_id)
    return visitor.page(
        "confirm.html",
        question="Give the webhook a new secret?",
        subject=webhook.url,
        consequence="For one more day, messages are signed with both the old and the new secret.",
        answer="New secret",
        back=f"/ui/webhooks/{webhook_id}/settings",
    )


@router.post("/{webhook_id}/rotate")
def rotate_secret(visitor: SignedIn, webhook_id: UUID) -> Response:
    """Give a webhook a new secret, and show it this once."""
    return _secret_page(visitor, api.rotate_secret(visitor, visitor.webhook(webhook_id)))


@router.post("/{webhook_id}/ping")
def ping_webhook(visitor: SignedIn, webhook_id: UUID) -> Response:
    """Send a webhook a ``ping``, once."""
    api.ping_webhook(visitor, visitor.webhook(webhook_id))
    return go(f"/ui/webhooks/{webhook_id}")


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
def retry_delivery(visitor: SignedIn, webhook_id: UUID, delivery_id: UUID) -> Response:
    """Send a message again at once."""
    webhook = visitor.webhook(webhook_id)
    with visitor.writing() as session:
        Deliveries(session, webhook.id).retry(delivery_id)
    return go(f"/ui/webhooks/{webhook_id}")


def _submitted(
    visitor: Visitor,
    form: FormData,
    save: Callable[[api.WebhookBody], Response],
    webhook: Endpoint | None = None,
) -> Response:
    def again(shown: ShownForm) -> Response:
        return _form_page(visitor, shown, webhook, events=texts_of(form, "event"))

    def more() -> dict[str, Any]:
        return _events_and_project(visitor, form)

    return submitted(api.WebhookBody, _FIELDS, form, save, again, more=more)


def _events_and_project(visitor: Visitor, form: FormData) -> dict[str, Any]:
    """Return what of the body the fields do not have. Raises InvalidValue: no such project."""
    path, events = text_of(form, "project").strip(), texts_of(form, "event")
    project_id = visitor.project_at(path).id if path else None
    return {"event_types": events or None, "project_id": project_id}


def _form_page(
    visitor: Visitor,
    filled: ShownForm,
    webhook: Endpoint | None = None,
    events: Sequence[str] = (),
) -> Response:
    at = "/ui/webhooks/new" if webhook is None else f"/ui/webhooks/{webhook.id}/settings"
    return visitor.page(
        "webhook_form.html",
        title="Add a webhook" if webhook is None else "Edit a webhook",
        back="/ui/webhooks",
        back_label="All webhooks",
        action=at,
        button="Add" if webhook is None else "Save",
        filled=filled,
        webhook=webhook,
        all_events=_EVENTS,
        events=events,
        status=filled.status,
    )


def _secret_page(visitor: Visitor, made: api.WebhookWithSecret) -> Response:
    return visitor.page(
        "secret.html",
        title="The secret of a webhook",
        about=f"Messages to {made.url} are signed with it.",
        secret=made.secret,
        next=f"/ui/webhooks/{made.id}",
        next_label="To the webhook",
    )
