"""``/ui/people`` and ``/ui/keys``: who may sign in and call, with which roles."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from towline.errors import InvalidValue
from towline_server.api import admin
from towline_server.auth.identities import Identity
from towline_server.auth.roles import PrincipalKind, Role
from towline_server.errors import LastAdministrator
from towline_server.projects.domain import Project
from towline_server.projects.service import Projects

from .forms import FormField, ShownForm, fields_of, once, shown_form, submitted
from .paging import PageNumber, Pages
from .pull_forms import chosen
from .rendering import words
from .visitor import Sent, SignedIn, Visitor, go, text_of

router = APIRouter(prefix="/ui")

_PEOPLE = "/ui/people"
_LABELS = {
    "tenant_role": "Role on every project",
    "login.email": "Email",
    "login.password": "Password",
    "days": "Days until it expires",
}
_HINTS = {
    "tenant_role": "You can give roles on single projects later.",
    "days": "Leave empty for a key that never expires.",
    "password": "12 characters or more.",
    "name": "",
}
# The subject is one list for all tenants: the operator's token alone sets it.
USER = fields_of(admin.UserBody, without=["subject"], labels=_LABELS, hints=_HINTS)
SERVICE_ACCOUNT = fields_of(
    admin.ServiceAccountBody,
    without=["subject"],
    labels=_LABELS,
    hints={
        **_HINTS,
        "login.email": "For signing in; without an email, it authenticates with tokens.",
    },
)
KEY = fields_of(
    admin.KeyBody, labels=_LABELS, hints={**_HINTS, "name": "What the key is for, and who has it."}
)
PASSWORD = fields_of(admin.PasswordBody, hints=_HINTS)


class AccountKind(StrEnum):
    """What is made on the page of people."""

    USER = "user"
    SERVICE_ACCOUNT = "service_account"

    @property
    def fields(self) -> tuple[FormField, ...]:
        """What its form asks."""
        return USER if self is AccountKind.USER else SERVICE_ACCOUNT


Search = Annotated[str, Query(max_length=255)]


@router.get("/people")
def list_people(
    request: Request, visitor: SignedIn, q: Search = "", page: PageNumber = 1
) -> Response:
    """List the users and service accounts of the tenant, by a part of their name or email."""
    kinds = (PrincipalKind.USER, PrincipalKind.SERVICE_ACCOUNT)
    return _list(request, visitor, "people.html", kinds, q, page)


@router.get("/keys")
def list_keys(
    request: Request, visitor: SignedIn, q: Search = "", page: PageNumber = 1
) -> Response:
    """List the API keys of the tenant, by a part of their name."""
    return _list(request, visitor, "keys.html", (PrincipalKind.API_KEY,), q, page)


def _list(
    request: Request,
    visitor: Visitor,
    template: str,
    kinds: Sequence[PrincipalKind],
    q: str,
    page: int,
) -> Response:
    visitor.administer_tenant()
    wanted = q.casefold()
    with visitor.reading() as session:
        identities = visitor.services.identities(session)
        found = [
            each
            for each in identities.of_tenant(visitor.caller.tenant_id)
            if each.kind in kinds and wanted in f"{each.name}\0{each.email or ''}".casefold()
        ]
        pages = Pages(request=request, number=page, total=len(found))
        shown = pages.of(found)
        roles = identities.roles_of([each.id for each in shown])
    return visitor.page(template, identities=shown, roles=roles, pages=pages, q=q)


@router.get("/people/new")
def new_person(visitor: SignedIn, kind: AccountKind = AccountKind.USER) -> Response:
    """Show the form of a new user or service account."""
    visitor.administer_tenant()
    return _person_form(visitor, kind, shown_form(kind.fields))


@router.post("/people/new")
def create_person(visitor: SignedIn, form: Sent, kind: AccountKind = AccountKind.USER) -> Response:
    """Make a user or a service account."""
    visitor.administer_tenant()
    context = _admin(visitor)
    own = context.tenant(visitor.caller.tenant_id)

    def of_user(body: admin.UserBody) -> Response:
        return go(f"{_PEOPLE}/{admin.create_user(context, own, body, Response()).id}")

    def of_account(body: admin.ServiceAccountBody) -> Response:
        return go(f"{_PEOPLE}/{admin.create_service_account(context, own, body, Response()).id}")

    def again(shown: ShownForm) -> Response:
        return _person_form(visitor, kind, shown)

    if kind is AccountKind.USER:
        return submitted(admin.UserBody, USER, form, once(visitor, form, of_user), again)
    save = once(visitor, form, of_account)
    return submitted(admin.ServiceAccountBody, SERVICE_ACCOUNT, form, save, again)


@router.get("/keys/new")
def new_key(visitor: SignedIn) -> Response:
    """Show the form of a new API key."""
    visitor.administer_tenant()
    return _key_form(visitor, shown_form(KEY))


@router.post("/keys/new")
def create_key(visitor: SignedIn, form: Sent) -> Response:
    """Create an API key, and show it in the answer to this form alone."""
    visitor.administer_tenant()
    context = _admin(visitor)

    def made(body: admin.KeyBody) -> Response:
        own = context.tenant(visitor.caller.tenant_id)
        key = admin.create_key(context, own, body, Response())
        return visitor.page(
            "secret.html",
            title="A new API key",
            about=f"The key of {key.name}.",
            secret=key.key,
            next=f"{_PEOPLE}/{key.id}",
            next_label="Give it roles on projects",
        )

    def again(shown: ShownForm) -> Response:
        return _key_form(visitor, shown)

    return submitted(admin.KeyBody, KEY, form, once(visitor, form, made), again)


@router.get("/people/{identity_id}")
def show_identity(visitor: SignedIn, identity_id: UUID) -> Response:
    """Show a user, a service account or an API key, with its roles."""
    return _identity_page(visitor, _admin(visitor).identity(identity_id), shown_form(PASSWORD))


@router.post("/people/{identity_id}/role")
def set_role(visitor: SignedIn, form: Sent, identity_id: UUID) -> Response:
    """Set or remove a role: on the project at a path, or without one on the whole tenant."""
    context = _admin(visitor)
    identity = context.identity(identity_id)
    path, role = text_of(form, "project").strip(), chosen(form, "role", Role)
    try:
        if not path:
            _set_tenant_role(context, identity, role)
        else:
            _set_project_role(context, identity, visitor.project_at(path), role)
    except (InvalidValue, LastAdministrator) as error:
        status = 409 if isinstance(error, LastAdministrator) else 422
        filled = shown_form(PASSWORD)
        return _identity_page(visitor, identity, filled, str(error), status=status, path=path)
    return go(f"{_PEOPLE}/{identity_id}")


@router.post("/people/{identity_id}/password")
def set_password(visitor: SignedIn, form: Sent, identity_id: UUID) -> Response:
    """Change the password of a user or a service account, and end their sessions."""
    context = _admin(visitor)
    identity = context.identity(identity_id)

    def save(body: admin.PasswordBody) -> Response:
        admin.set_password(context, identity, body)
        return go(f"{_PEOPLE}/{identity_id}")

    def again(shown: ShownForm) -> Response:
        return _identity_page(visitor, identity, shown)

    return submitted(admin.PasswordBody, PASSWORD, form, save, again)


@router.get("/people/{identity_id}/disable")
def ask_to_disable(visitor: SignedIn, identity_id: UUID) -> Response:
    """Ask whether an identity is to be refused."""
    identity = _admin(visitor).identity(identity_id)
    answer = "Revoke" if identity.kind is PrincipalKind.API_KEY else "Disable"
    return visitor.page(
        "confirm.html",
        question=f"{answer} it?",
        subject=identity.name,
        consequence="It is refused from now on, until it is enabled again.",
        answer=answer,
        back=f"{_PEOPLE}/{identity_id}",
    )


@router.post("/people/{identity_id}/disable")
def disable(visitor: SignedIn, identity_id: UUID) -> Response:
    """Refuse an identity from now on."""
    context = _admin(visitor)
    admin.disable_identity(context, context.identity(identity_id))
    return go(f"{_PEOPLE}/{identity_id}")


@router.post("/people/{identity_id}/enable")
def enable(visitor: SignedIn, identity_id: UUID) -> Response:
    """Accept an identity again."""
    context = _admin(visitor)
    admin.enable_identity(context, context.identity(identity_id))
    return go(f"{_PEOPLE}/{identity_id}")


def _admin(visitor: Visitor) -> admin.AdminContext:
    return admin.AdminContext(services=visitor.services, caller=visitor.caller)


def _set_tenant_role(context: admin.AdminContext, identity: Identity, role: Role | None) -> None:
    if role is None:
        admin.remove_tenant_role(context, identity)
    else:
        admin.set_tenant_role(context, identity, admin.RoleBody(role=role))


def _set_project_role(
    context: admin.AdminContext, identity: Identity, project: Project, role: Role | None
) -> None:
    if role is None:
        admin.revoke_project_role(context, identity, project.id)
    else:
        admin.grant_project_role(context, identity, project.id, admin.RoleBody(role=role))


def _person_form(visitor: Visitor, kind: AccountKind, filled: ShownForm) -> Response:
    return visitor.page(
        "form.html",
        title=f"Add a {words(kind)}",
        back=_PEOPLE,
        back_label="All people",
        action=f"{_PEOPLE}/new?kind={kind}",
        button="Add",
        filled=filled,
        status=filled.status,
    )


def _key_form(visitor: Visitor, filled: ShownForm) -> Response:
    return visitor.page(
        "form.html",
        title="Create an API key",
        back="/ui/keys",
        back_label="All API keys",
        action="/ui/keys/new",
        button="Make",
        filled=filled,
        status=filled.status,
    )


def _identity_page(
    visitor: Visitor,
    identity: Identity,
    filled: ShownForm,
    problem: str = "",
    *,
    status: int | None = None,
    path: str = "",
) -> Response:
    with visitor.reading() as session:
        roles = visitor.services.identities(session).roles(identity.id)
        suggested = Projects(session).visible_to(visitor.caller, limit=100)
    paths = visitor.project_paths(roles)
    return visitor.page(
        "identity.html",
        identity=identity,
        project_roles=sorted((path, roles[project_id]) for project_id, path in paths.items()),
        all_roles=list(Role),
        suggested=[each.path for each in suggested],
        filled=filled,
        problem=problem,
        path_given=path,
        is_self=identity.id == visitor.caller.id,
        status=status or filled.status,
    )
