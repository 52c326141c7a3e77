"""``/connections``: what projects may be bound to: repositories, and sources of files.

No secret is ever shown.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BeforeValidator, Discriminator, Field, Secret, Tag
from sqlalchemy.orm import Session

from towline.remotes.credentials import TOKEN_USERNAME, Credential
from towline.remotes.url import Origin
from towline_server.projects.connections import origin_text
from towline_server.projects.domain import Connection, Provider
from towline_server.sources.config import (
    SOURCES,
    HttpApiConfig,
    PostgresConfig,
    S3Config,
    SftpConfig,
)
from towline_server.web.schemas import (
    BUCKET_URL,
    DATABASE_URL,
    GIT_URL,
    HTTP_URL,
    SFTP_URL,
    Described,
    JsonObject,
    PlainText,
    accepting,
    of_format,
    problems,
)

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
HttpUrl = Annotated[Text, of_format(HTTP_URL, maxLength=1024)]
SftpUrl = Annotated[Text, of_format(SFTP_URL, maxLength=1024)]
DatabaseUrl = Annotated[Text, of_format(DATABASE_URL, maxLength=1024)]
BucketUrl = Annotated[Text, of_format(BUCKET_URL, maxLength=1024)]
WebhookSecret = Annotated[
    Secret[Annotated[PlainText, Field(min_length=LEAST_WEBHOOK_SECRET)]], HIDDEN
]


class CredentialBody(Body):
    """A user name and a password; a token needs no user name."""

    username: Text = TOKEN_USERNAME
    password: Hidden


class _ConnectionBody(Body):
    name: Name | None = None
    credential: CredentialBody | None = None
    webhook_secret: WebhookSecret | None = None


class GitConnectionBody(_ConnectionBody):
    """A connection to be made, to a Git repository."""

    url: Url
    provider: Annotated[Provider, accepting(*(each for each in Provider if each.is_git))] = (
        Provider.GIT
    )


class HttpApiConnectionBody(_ConnectionBody):
    """A connection to be made, to a list of objects over HTTP."""

    url: HttpUrl
    provider: Literal[Provider.HTTP_API]
    config: HttpApiConfig = HttpApiConfig()


class S3ConnectionBody(_ConnectionBody):
    """A connection to be made, to the objects of a bucket."""

    url: BucketUrl
    provider: Literal[Provider.S3]
    config: S3Config = S3Config()


class PostgresConnectionBody(_ConnectionBody):
    """A connection to be made, to the rows of a table."""

    url: DatabaseUrl
    provider: Literal[Provider.POSTGRES]
    config: PostgresConfig


class SftpConnectionBody(_ConnectionBody):
    """A connection to be made, to a folder of an SFTP server."""

    url: SftpUrl
    provider: Literal[Provider.SFTP]
    config: SftpConfig


def _sort(body: object) -> str:
    """Return which of the forms a body is to have: the provider says."""
    given = body.get("provider") if isinstance(body, dict) else None
    return given if isinstance(given, str) and given in SOURCES else "git"


ConnectionBody = Annotated[
    Annotated[GitConnectionBody, Tag("git")]
    | Annotated[HttpApiConnectionBody, Tag("http_api")]
    | Annotated[S3ConnectionBody, Tag("s3")]
    | Annotated[PostgresConnectionBody, Tag("postgres")]
    | Annotated[SftpConnectionBody, Tag("sftp")],
    Discriminator(_sort),
    # One of them may leave the provider out.
    Described(lambda schema: {"anyOf": schema["oneOf"]}),
]
"""A connection to be made."""


class ConnectionChange(Body):
    """A change of a connection: what is left out stays, a null secret is forgotten."""

    url: Url | None = None
    name: Name | None = None
    config: JsonObject | None = None
    """Of the form that `POST` takes for the provider."""
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
    config: dict[str, Any]
    """What a source is set to beside its address; empty for a Git host."""
    has_credential: bool
    credential_origin: Annotated[str | None, BeforeValidator(_origin_text)]
    """Scheme, host and port that the credential is bound to."""
    has_webhook_secret: bool
    webhook_path: Annotated[str, BeforeValidator("/hooks/{}".format), at("id")]
    """Where the host's push webhooks go."""
    created_at: datetime
    updated_at: datetime


@router.get("")
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
    """Create a connection. A credential in the URL is removed from it and stored."""
    context.administer_tenant()
    with context.writing() as session:
        connections = context.services.connections(session)
        made = connections.create(
            tenant_id=context.caller.tenant_id,
            url=body.url,
            name=body.name or "",
            provider=Provider(body.provider),
            config={} if isinstance(body, GitConnectionBody) else body.config.model_dump(),
            credential=_credential(body.credential),
        )
        if body.webhook_secret is not None:
            secret = body.webhook_secret.get_secret_value()
            made = connections.set_webhook_secret(made.id, secret)
    response.headers["Location"] = f"/api/towline/v1/connections/{made.id}"
    return ConnectionModel.of(made)


@router.get("/{connection_id}")
def get_connection(connection: ConnectionForReader) -> ConnectionModel:
    """A connection."""
    return ConnectionModel.of(connection)


@router.patch("/{connection_id}")
def change_connection(
    context: Context, connection: ConnectionForAdmin, body: ConnectionChange
) -> ConnectionModel:
    """Change a connection. A new scheme, host or port deletes its stored credential."""
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
    if body.config is not None:
        connection = connections.change_config(connection.id, body.config)
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
