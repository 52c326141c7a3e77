"""``/connections``: repositories that projects may be bound to. No secret is ever shown."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BeforeValidator, Field, Secret
from sqlalchemy.orm import Session

from towline.remotes.credentials import TOKEN_USERNAME, Credential
from towline.remotes.url import Origin
from towline_server.projects.connections import origin_text
from towline_server.projects.domain import Connection, Provider
from towline_server.web.schemas import GIT_URL, PlainText, of_format, problems

from .access import (
    ConnectionForAdmin,
    ConnectionForReader,
    Context,
    NativeRoute,
    RequestContext,
)
from .models import HIDDEN, Body, Hidden, Model, Name, Page, Text, Window, at

router = APIRouter(prefix="/connections", route_class=NativeRoute)

LEAST_WEBHOOK_SECRET = 16
"""Characters: a guessed one starts runs."""

Url = Annotated[Text, of_format(GIT_URL, maxLength=1024)]
WebhookSecret = Annotated[
    Secret[Annotated[PlainText, Field(min_length=LEAST_WEBHOOK_SECRET)]], HIDDEN
]


class CredentialBody(Body):
    """A user name and a password; a token needs no user name."""

    username: Text = TOKEN_USERNAME
    password: Hidden


class ConnectionBody(Body):
    """A connection to be made."""

    url: Url
    name: Name | None = None
    provider: Provider = Provider.GIT
    credential: CredentialBody | None = None
    webhook_secret: WebhookSecret | None = None


class ConnectionChange(Body):
    """A change of a connection: what is left out stays, a null secret is forgotten."""

    url: Url | None = None
    name: Name | None = None
    credential: CredentialBody | None = None
    webhook_secret: WebhookSecret | None = None


def _origin_text(origin: Origin | None) -> str | None:
    return None if origin is None else origin_text(origin)


class ConnectionModel(Model):
    """A connection, without its secrets."""

    id: UUID
    name: str
    provider: Provider
    url: Annotated[str, at("url.address")]
    has_credential: bool
    credential_origin: Annotated[str | None, BeforeValidator(_origin_text)]
    """Scheme, host and port that the credential is bound to."""
    has_webhook_secret: bool
    webhook_path: Annotated[str, BeforeValidator("/hooks/{}".format), at("id")]
    """Where the host's push webhooks go."""
    created_at: datetime
    updated_at: datetime


@router.get("", responses=problems())
def list_connections(context: Context, window: Window) -> Page[ConnectionModel]:
    """The tenant's connections, oldest first; none for a caller without a role on the tenant."""
    found: tuple[Connection, ...] = ()
    if context.caller.tenant_role is not None:
        with context.reading() as session:
            found = context.services.connections(session).of_tenant(context.caller.tenant_id)
    return window.slice(ConnectionModel, found)


@router.post("", status_code=201, responses=problems(409))
def create_connection(
    context: Context, body: ConnectionBody, response: Response
) -> ConnectionModel:
    """Make a connection; a credential in the URL is taken off it and stored."""
    context.administer_tenant()
    with context.writing() as session:
        connections = context.services.connections(session)
        made = connections.create(
            tenant_id=context.caller.tenant_id,
            url=body.url,
            name=body.name or "",
            provider=body.provider,
            credential=_credential(body.credential),
        )
        if body.webhook_secret is not None:
            secret = body.webhook_secret.get_secret_value()
            made = connections.set_webhook_secret(made.id, secret)
    response.headers["Location"] = f"/api/towline/v1/connections/{made.id}"
    return ConnectionModel.of(made)


@router.get("/{connection_id}", responses=problems())
def get_connection(connection: ConnectionForReader) -> ConnectionModel:
    """A connection."""
    return ConnectionModel.of(connection)


@router.patch("/{connection_id}", responses=problems())
def change_connection(
    context: Context, connection: ConnectionForAdmin, body: ConnectionChange
) -> ConnectionModel:
    """Change a connection. At another scheme, host or port its secrets are forgotten."""
    with context.writing() as session:
        return ConnectionModel.of(_changed(context, session, connection, body))


@router.delete("/{connection_id}", status_code=204, responses=problems(409))
def delete_connection(context: Context, connection: ConnectionForAdmin) -> None:
    """Delete a connection that no project is bound to."""
    with context.writing() as session:
        context.services.connections(session).delete(connection.id)


def _changed(
    context: RequestContext, session: Session, connection: Connection, body: ConnectionChange
) -> Connection:
    connections, given = context.services.connections(session), body.model_fields_set
    if body.url is not None:
        # First: what else is given belongs to the new address.
        connection = connections.change_url(connection.id, body.url)
    if body.name is not None:
        connection = connections.rename(connection.id, body.name)
    credential, secret = _credential(body.credential), body.webhook_secret
    if credential is not None:
        connection = connections.set_credential(connection.id, credential)
    elif "credential" in given:
        connection = connections.forget_credential(connection.id)
    if "webhook_secret" in given:
        text = None if secret is None else secret.get_secret_value()
        connection = connections.set_webhook_secret(connection.id, text)
    return connection


def _credential(body: CredentialBody | None) -> Credential | None:
    return None if body is None else Credential(body.username, body.password.get_secret_value())
