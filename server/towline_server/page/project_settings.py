"""``/ui/new-project`` and a project's settings: what it is bound to, and what its assets are.

Before anything is saved, a preview shows what the first pull would make an asset.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from starlette.datastructures import FormData
from starlette.responses import Response

from towline.errors import TowlineError
from towline.frozen import frozen
from towline_server.api import projects as api
from towline_server.auth.roles import Role
from towline_server.errors import Forbidden, NotFound
from towline_server.projects.domain import Connection, Project
from towline_server.projects.tenants import Tenants
from towline_server.runs.previews import Preview, PreviewedFile
from towline_server.web.waiting import waiting

from .forms import FormField, ShownForm, fields_of, read_json, shown_form, submitted
from .paging import ROWS
from .visitor import Sent, SignedIn, Visitor, go, text_of

router = APIRouter(prefix="/ui")

_OWN = "own"
_LABELS = {
    "path": "Path",
    "hidden": "Names that begin with a dot can be assets",
    "names": "Names that differ only in case",
    "on_conflict": "On conflict",
    "content_merge": "Merge inside an asset",
    "renames": "Renames in the repository",
    "binding.connection_id": "Connection",
    "binding.ref": "Branch or tag",
    "binding.scope": "Folder in the repository",
}
_HINTS = {
    "path": "organisation/space/project; the first is the tenant's name.",
    "names": "insensitive: such names are the same, as on Windows and macOS.",
    "on_conflict": "refuse: pull nothing; skip: pull the rest; theirs, ours: take that side.",
    "content_merge": "auto: by structure if possible, else by lines.",
    "renames": "similar: also with edits, as git detects them; exact: only with equal content.",
    "binding.ref": "heads/NAME or tags/NAME.",
    "binding.scope": "Leave empty to use the whole repository.",
}
_BY_HAND = ("kinds", "binding.connection_id")
_ASKED = fields_of(api.ProjectBody, without=_BY_HAND, labels=_LABELS, hints=_HINTS)


@frozen(kw_only=True)
class ShownPreview:
    """A page of what would be an asset; or why that cannot be found out."""

    preview: Preview | None
    number: int = 1
    problem: str = ""

    @property
    def pages(self) -> int:
        """How many pages there are."""
        files = () if self.preview is None else self.preview.files
        return max(1, -(-len(files) // ROWS))

    @property
    def files(self) -> tuple[PreviewedFile, ...]:
        """The files of the page."""
        files = () if self.preview is None else self.preview.files
        return files[(self.number - 1) * ROWS : self.number * ROWS]


@router.get("/new-project")
def new_project(visitor: SignedIn, connection: UUID | None = None) -> Response:
    """Show the form of a new project; ``connection`` is chosen already."""
    visitor.administer_tenant()
    with visitor.reading() as session:
        tenant = Tenants(session).get(visitor.caller.tenant_id)
    values = {
        "path": "" if tenant is None else f"{tenant.name}/",
        "binding.connection_id": connection,
    }
    return _shown(visitor, shown_form(_fields(visitor), values))


@router.post("/new-project")
@waiting
def create_project(visitor: SignedIn, form: Sent) -> Response:
    """Make a project; with ``do`` = ``preview`` show its assets, a page at a time."""
    visitor.administer_tenant()

    def create(body: api.ProjectBody) -> Response:
        return go(f"/ui/projects/{api.create_project(visitor, body, Response()).id}")

    return _submitted(visitor, form, create)


@router.get("/projects/{project_id}/settings")
def show_settings(visitor: SignedIn, project_id: UUID) -> Response:
    """Show what a project is bound to, what its assets are, and how it is pulled."""
    project = visitor.project(project_id, Role.ADMIN)
    return _shown(visitor, shown_form(_fields(visitor, project), _values(project)), project)


@router.post("/projects/{project_id}/settings")
@waiting
def change_settings(visitor: SignedIn, form: Sent, project_id: UUID) -> Response:
    """Change a project; with ``do`` = ``preview`` show its assets, a page at a time."""
    project = visitor.project(project_id, Role.ADMIN)

    def change(body: api.ProjectBody) -> Response:
        api.change_project(visitor, project, _change(project, body))
        return go(f"/ui/projects/{project_id}/settings")

    return _submitted(visitor, form, change, project)


@router.get("/projects/{project_id}/delete")
def ask_to_delete(visitor: SignedIn, project_id: UUID) -> Response:
    """Ask whether a project is to be deleted, with all that it has."""
    return _deletion(visitor, visitor.project(project_id, Role.ADMIN))


@router.post("/projects/{project_id}/delete")
def delete_project(visitor: SignedIn, form: Sent, project_id: UUID) -> Response:
    """Delete a project, whose path was typed."""
    project = visitor.project(project_id, Role.ADMIN)
    if text_of(form, "path").strip().removeprefix("/") != project.path:
        return _deletion(visitor, project, problem="The path does not match; nothing was deleted.")
    api.delete_project(visitor, project)
    return go("/")


def _deletion(visitor: Visitor, project: Project, problem: str = "") -> Response:
    status = 422 if problem else 200
    return visitor.page("project_delete.html", project=project, problem=problem, status=status)


def _shown(
    visitor: Visitor,
    filled: ShownForm,
    project: Project | None = None,
    found: ShownPreview | None = None,
) -> Response:
    template = "project_new.html" if project is None else "project_settings.html"
    status = 200 if found is not None else filled.status
    return visitor.page(template, project=project, filled=filled, preview=found, status=status)


def _submitted(
    visitor: Visitor,
    form: FormData,
    save: Callable[[api.ProjectBody], Response],
    project: Project | None = None,
) -> Response:
    """Save what a form says, or show what would be an asset, with the form as it was sent."""
    fields = _fields(visitor, project)

    def preview(body: api.ProjectBody) -> Response:
        sent = shown_form(fields, {each.name: text_of(form, each.name) for each in fields})
        return _shown(visitor, sent, project, _preview(visitor, form, body, project))

    def again(shown: ShownForm) -> Response:
        return _shown(visitor, shown, project)

    def more() -> dict[str, Any]:
        return _beside_fields(form, project)

    wanted = preview if _previewed_page(form) else save
    return submitted(api.ProjectBody, fields, form, wanted, again, more=more)


# --- what the form asks ---------------------------------------------------------------------------


def _fields(visitor: Visitor, project: Project | None = None) -> tuple[FormField, ...]:
    presets = [(name, name.partition(":")[2]) for name in api.PRESETS]
    kinds = FormField(
        name="kinds",
        label="Which files are assets",
        hint="A preset names the kinds of a product's files.",
        widget="select",
        options=(("every", "every file"), *presets, (_OWN, "as written below")),
        required=True,
        default="every",
        is_asked_by_page=True,
    )
    own = FormField(
        name="own_kinds",
        label="Kinds, as JSON",
        hint='Such as [{"name": "rule", "globs": ["rules/**/*.json"]}]; see the guide to kinds.',
        widget="document",
        is_asked_by_page=True,
    )
    connection = FormField(
        name="binding.connection_id",
        label=_LABELS["binding.connection_id"],
        widget="select",
        options=tuple((str(each.id), each.name) for each in _connections(visitor, project)),
    )
    asked = {each.name: each for each in _ASKED}
    path, names = asked.pop("path"), asked.pop("names")
    bound = [connection, asked.pop("binding.ref"), asked.pop("binding.scope")]
    first = () if project is not None else (path,)
    last = () if project is not None else (names,)
    return (*first, *bound, kinds, own, *asked.values(), *last)


def _connections(visitor: Visitor, project: Project | None) -> list[Connection]:
    """Return those that the visitor may bind a project to, and the one that it is bound to."""
    with visitor.reading() as session:
        connections = visitor.services.connections(session)
        if visitor.may(Role.READER):
            return list(connections.of_tenant(visitor.caller.tenant_id))
        bound = None if project is None else project.binding
        own = None if bound is None else connections.get(bound.connection_id)
        return [] if own is None else [own]


def _values(project: Project) -> dict[str, Any]:
    bound, settings = project.binding, project.settings
    document = project.kinds.to_document()["kinds"]
    return {
        "kinds": _OWN,
        "own_kinds": json.dumps(document, indent=2, ensure_ascii=False),
        "hidden": project.kinds.hidden,
        "on_conflict": settings.on_conflict,
        "content_merge": settings.content_merge,
        "renames": settings.renames,
        "binding.connection_id": None if bound is None else bound.connection_id,
        "binding.ref": "heads/main" if bound is None else bound.ref,
        "binding.scope": "" if bound is None else bound.scope,
    }


def _beside_fields(form: FormData, project: Project | None = None) -> dict[str, Any]:
    """Return what of the body the form does not have. Raises InvalidValue."""
    made: dict[str, Any] = {}
    chosen = text_of(form, "kinds")
    if chosen == _OWN:
        made["kinds"] = read_json(text_of(form, "own_kinds"), "own_kinds")
    elif chosen in api.PRESETS:
        made["kinds"] = chosen
    if project is not None:
        made |= {"path": project.path, "names": project.names}
    if not text_of(form, "binding.connection_id"):
        made["binding"] = None
    return made


# --- what is made of it ---------------------------------------------------------------------------


def _change(project: Project, body: api.ProjectBody) -> api.ProjectChange:
    """Return what differs from the project."""
    wanted, made = api.project_of(project.tenant_id, body), dict[str, Any]()
    if wanted.kinds != project.kinds:
        # Without kinds of its own, every file is an asset.
        every = [api.KindBody.model_validate(each) for each in wanted.kinds.to_document()["kinds"]]
        made |= {"kinds": body.kinds or every, "hidden": body.hidden}
    for name in ("on_conflict", "content_merge", "renames"):
        if getattr(wanted.settings, name) != getattr(project.settings, name):
            made[name] = getattr(body, name)
    if wanted.binding != project.binding:
        made["binding"] = body.binding
    return api.ProjectChange.model_construct(_fields_set=set(made), **made)


def _previewed_page(form: FormData) -> int:
    """Return which page of a preview a form asks for; 0: none."""
    do, _, number = text_of(form, "do").partition(":")
    if do != "preview":
        return 0
    return max(1, int(number)) if re.fullmatch("[0-9]{1,6}", number) else 1


def _preview(
    visitor: Visitor, form: FormData, body: api.ProjectBody, project: Project | None = None
) -> ShownPreview:
    """Return what would be an asset. Raises NotFound, Forbidden, InvalidValue."""
    wanted = api.project_of(visitor.caller.tenant_id, body)
    if wanted.binding is None:
        return ShownPreview(preview=None, problem="Choose a connection first.")
    bound = None if project is None else project.binding
    if bound is None or bound.connection_id != wanted.binding.connection_id:
        visitor.connection(wanted.binding.connection_id, Role.READER)
    if project is not None:
        wanted = replace(wanted, id=project.id)
    try:
        found = visitor.services.plans.preview(wanted, exists=project is not None)
    except (Forbidden, NotFound):
        raise
    except TowlineError as error:
        return ShownPreview(preview=None, problem=str(error))
    shown = ShownPreview(preview=found, number=_previewed_page(form))
    return replace(shown, number=min(shown.number, shown.pages))
