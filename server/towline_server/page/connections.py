"""``/ui/connections``: the repositories and sources that projects may be bound to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeAlias
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from towline.errors import InvalidValue
from towline_server.api import connections as api
from towline_server.auth.roles import Role
from towline_server.errors import ConnectionInUse
from towline_server.projects.domain import Connection
from towline_server.projects.service import Projects

from .forms import FormField, ShownForm, fields_of, once, shown_form, submitted
from .paging import PageNumber, Pages
from .visitor import Sent, SignedIn, Visitor, go, text_of

router = APIRouter(prefix="/ui/connections")

_Body: TypeAlias = (
    api.GitConnectionBody
    | api.HttpApiConnectionBody
    | api.S3ConnectionBody
    | api.PostgresConnectionBody
    | api.SftpConnectionBody
)
PROVIDERS: Mapping[str, tuple[str, type[_Body]]] = {
    "git": ("A Git repository", api.GitConnectionBody),
    "http_api": ("A list of objects over HTTP", api.HttpApiConnectionBody),
    "s3": ("The objects of a bucket (S3)", api.S3ConnectionBody),
    "postgres": ("The rows of a table (PostgreSQL)", api.PostgresConnectionBody),
    "sftp": ("A folder of an SFTP server", api.SftpConnectionBody),
}
"""What a connection may lead to, ``git`` for any Git host, and the form that the API takes."""
_LABELS = {
    "url": "Address",
    "credential.username": "User name",
    "credential.password": "Password or token",
    "webhook_secret": "Push webhook secret",
}
_HINTS = {
    "name": "The name to show; the address by default.",
    "credential.username": "A token needs none.",
    "webhook_secret": "At least 16 characters. With a secret, pushes start pulls.",
}
_STORED = {
    "credential.password": "Leave empty to leave it unchanged.",
    "webhook_secret": "Leave empty to leave it unchanged.",
    "url": "Changing the scheme, host or port deletes the stored secrets.",
}

ProviderQuery = Annotated[str, Query(pattern=f"^(?:{'|'.join(PROVIDERS)})?$")]


def form_fields(provider: str, *, is_new: bool = True) -> tuple[FormField, ...]:
    """Return what the form of a connection asks; of one that there is, all but its provider."""
    without = () if is_new else ("provider",)
    hints = _HINTS if is_new else {**_HINTS, **_STORED}
    found = fields_of(PROVIDERS[provider][1], without=without, labels=_LABELS, hints=hints)
    # The address first, then its credential and the rest as the API has them.
    return tuple(sorted(found, key=lambda each: each.name not in ("url", "provider")))


@router.get("")
def list_connections(request: Request, visitor: SignedIn, page: PageNumber = 1) -> Response:
    """List the tenant's connections, oldest first."""
    visitor.need_on_tenant(Role.READER)
    with visitor.reading() as session:
        connections = visitor.services.connections(session)
        found = connections.of_tenant(visitor.caller.tenant_id)
        uses = connections.uses(visitor.caller.tenant_id)
    pages = Pages(request=request, number=page, total=len(found))
    return visitor.page("connections.html", connections=pages.of(found), uses=uses, pages=pages)


@router.get("/new")
def new_connection(visitor: SignedIn, provider: ProviderQuery = "") -> Response:
    """Show what a connection may lead to; then the form of the one that was chosen."""
    visitor.administer_tenant()
    if provider:
        return _new(visitor, provider, shown_form(form_fields(provider)))
    titles = {name: title for name, (title, _) in PROVIDERS.items()}
    return visitor.page("connection_providers.html", providers=titles)


@router.post("/new")
def create_connection(visitor: SignedIn, form: Sent, provider: ProviderQuery = "git") -> Response:
    """Make a connection."""
    visitor.administer_tenant()
    provider = provider or "git"

    def save(body: _Body) -> Response:
        return go(f"/ui/connections/{api.create_connection(visitor, body, Response()).id}")

    def again(shown: ShownForm) -> Response:
        return _new(visitor, provider, shown)

    return _submitted(provider, form_fields(provider), form, once(visitor, form, save), again)


@router.get("/{connection_id}")
def show_connection(visitor: SignedIn, connection_id: UUID) -> Response:
    """Show a connection and the projects that are bound to it; to administrators its form."""
    connection = visitor.connection(connection_id, Role.READER)
    return _page(visitor, connection, shown_form(_own_fields(connection), _values(connection)))


@router.post("/{connection_id}")
def change_connection(visitor: SignedIn, form: Sent, connection_id: UUID) -> Response:
    """Change a connection; a secret that is not given stays."""
    connection = visitor.connection(connection_id, Role.ADMIN)

    def save(body: _Body) -> Response:
        api.change_connection(visitor, connection, _change(body, forgotten=_forgotten(form)))
        return go(f"/ui/connections/{connection_id}")

    def again(shown: ShownForm) -> Response:
        return _page(visitor, connection, shown)

    return _submitted(_provider_of(connection), _own_fields(connection), form, save, again)


@router.get("/{connection_id}/delete")
def ask_to_delete(visitor: SignedIn, connection_id: UUID) -> Response:
    """Ask whether a connection is to be deleted."""
    connection = visitor.connection(connection_id, Role.ADMIN)
    return visitor.page(
        "confirm.html",
        question="Delete the connection?",
        subject=connection.name,
        consequence="Its stored secrets are deleted too. The repository or source is not changed.",
        answer="Delete it",
        back=f"/ui/connections/{connection_id}",
    )


@router.post("/{connection_id}/delete")
def delete_connection(visitor: SignedIn, connection_id: UUID) -> Response:
    """Delete a connection that no project is bound to."""
    connection = visitor.connection(connection_id, Role.ADMIN)
    try:
        api.delete_connection(visitor, connection)
    except ConnectionInUse as error:
        filled = shown_form(_own_fields(connection), _values(connection))
        return _page(visitor, connection, filled, problem=str(error))
    return go("/ui/connections")


def _new(visitor: Visitor, provider: str, filled: ShownForm) -> Response:
    title, _ = PROVIDERS[provider]
    return visitor.page(
        "form.html",
        title=f"Add a connection: {title[:1].lower()}{title[1:]}",
        back="/ui/connections",
        back_label="All connections",
        action=f"/ui/connections/new?provider={provider}",
        button="Add",
        filled=filled,
        status=filled.status,
    )


def _page(
    visitor: Visitor, connection: Connection, filled: ShownForm, *, problem: str = ""
) -> Response:
    with visitor.reading() as session:
        bound = [
            each
            for each in Projects(session).by_connection(connection.id)
            if visitor.may(Role.READER, each)
        ]
    return visitor.page(
        "connection.html",
        connection=connection,
        provider=PROVIDERS[_provider_of(connection)][0],
        bound=bound,
        filled=filled,
        problem=problem,
        status=409 if problem else filled.status,
    )


def _provider_of(connection: Connection) -> str:
    return "git" if connection.provider.is_git else str(connection.provider)


def _submitted(
    provider: str,
    fields: tuple[FormField, ...],
    form: FormData,
    save: Callable[[_Body], Response],
    again: Callable[[ShownForm], Response],
) -> Response:
    # Of Git hosts there are several: the form asks which.
    fixed = {} if provider == "git" else {"provider": provider}
    return submitted(PROVIDERS[provider][1], fields, form, save, again, more=lambda: fixed)


def _own_fields(connection: Connection) -> tuple[FormField, ...]:
    return form_fields(_provider_of(connection), is_new=False)


def _values(connection: Connection) -> dict[str, Any]:
    values = {f"config.{name}": value for name, value in connection.config.items()}
    return {"name": connection.name, "url": connection.url.address, **values}


def _forgotten(form: FormData) -> list[str]:
    return [name for name in ("credential", "webhook_secret") if text_of(form, f"forget-{name}")]


def _change(body: _Body, *, forgotten: list[str]) -> api.ConnectionChange:
    """Return what a form changes. Raises InvalidValue: it sets and forgets the same."""
    made: dict[str, Any] = {"url": body.url, "name": body.name}
    if not isinstance(body, api.GitConnectionBody):
        made["config"] = body.config.model_dump(mode="json")
    for name in ("credential", "webhook_secret"):
        value = getattr(body, name)
        if value is not None and name in forgotten:
            raise InvalidValue(field=name, problem="cannot be set and deleted at once")
        if value is not None or name in forgotten:
            made[name] = value
    return api.ConnectionChange.model_construct(_fields_set=set(made), **made)
