"""``/projects``: list, make, change and delete projects."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Query, Response
from pydantic import BeforeValidator, Field, model_validator
from sqlalchemy.orm import Session

from towline.content_rules import ContentMode, FieldRule
from towline.kinds import Kinds
from towline.names import NamePolicy
from towline.options import OnConflict, Renames
from towline.presets import PRESET_PREFIX, load_preset, preset_names
from towline_server.auth.roles import Role
from towline_server.projects.data_types import DataType
from towline_server.projects.domain import Binding, Project, ProjectPath, PullSettings
from towline_server.projects.service import Projects
from towline_server.web.schemas import (
    FOLDER,
    GIT_REF,
    GLOB,
    PROJECT_PATH,
    Described,
    of_format,
    problems,
)
from towline_server.web.waiting import wait_in_thread

from .access import Context, NativeRoute, ProjectForAdmin, ProjectForReader
from .models import Body, Flag, Model, Name, NoteModel, Page, Pointer, Text, Window, at, check_globs

router = APIRouter(prefix="/projects", route_class=NativeRoute)


Glob = Annotated[Text, Field(min_length=1), of_format(GLOB, minLength=1, maxLength=1024)]
PRESETS = [f"{PRESET_PREFIX}{name}" for name in preset_names()]
_PLACES = Field(max_length=100)
_DISTINCT = Field(max_length=100, json_schema_extra={"uniqueItems": True})


class KindBody(Body):
    """What the project calls some of its assets; docs/kinds.md describes what it says of contents.

    Places inside contents are JSON pointers in which ``*`` is any one name or element.
    """

    name: Name
    globs: Annotated[list[Glob], Field(min_length=1, max_length=100)]
    id_pointer: Pointer | None = None
    data_type: DataType | None = None
    """What Codat's clients call it; by default the data type that its name resembles, if any."""
    merge: ContentMode | None = None
    """null: as the project's ``content_merge`` says."""
    identity: Annotated[dict[Pointer, Name], _PLACES] = Field(default_factory=dict)
    """The key by which the elements of a list are known, by the list's place."""
    unordered: Annotated[list[Pointer], _DISTINCT] = Field(default_factory=list)
    """Lists whose order means nothing."""
    fields: Annotated[dict[Pointer, FieldRule], _PLACES] = Field(default_factory=dict)
    """What becomes of a field that both sides changed, by its place."""


def _no_preset(value: Any) -> Any:
    if isinstance(value, str):
        raise ValueError(f"must be a list of kinds, or one of {', '.join(PRESETS)}")
    return value


KindBodies = Annotated[
    list[KindBody],
    Field(min_length=1, max_length=100),
    BeforeValidator(_no_preset),
    Described(lambda schema: {"anyOf": [schema, {"type": "string", "enum": PRESETS}]}),
]


class KindsBody(Body):
    """What is an asset of a project."""

    kinds: KindBodies | None = None
    """A list of kinds, or the name of a preset; in a new project null means: every file."""

    @model_validator(mode="before")
    @classmethod
    def _of_preset(cls, body: Any) -> Any:
        """Put the kinds of a preset in place of its name; ``hidden``, too, unless it is given."""
        name = body.get("kinds") if isinstance(body, dict) else None
        if name not in PRESETS:
            return body
        document = load_preset(name.removeprefix(PRESET_PREFIX)).to_document()
        return {**document, **body, "kinds": document["kinds"]}


class BindingBody(Body):
    """The ref and the subfolder of a connection's repository."""

    connection_id: UUID
    ref: Annotated[Text, of_format(GIT_REF)] = "heads/main"
    scope: Annotated[Text, of_format(FOLDER)] = ""


class ProjectBody(KindsBody):
    """A project to be made."""

    path: Annotated[Text, of_format(PROJECT_PATH)]
    """``org/space/project``; org is the tenant's name."""
    hidden: Flag = False
    """Whether names that start with a dot can be assets."""
    names: NamePolicy = NamePolicy.EXACT
    on_conflict: OnConflict = OnConflict.REFUSE
    content_merge: ContentMode = ContentMode.AUTO
    """How an asset is merged whose content both sides changed, unless its kind says how."""
    renames: Renames = Renames.SIMILAR
    """How the repository's renames are found."""
    binding: BindingBody | None = None


class PreviewBody(ProjectBody):
    """A project of which to see what would be an asset."""

    binding: BindingBody


class ProjectChange(KindsBody):
    """A change of a project: what is left out stays; a null binding removes it."""

    hidden: Flag | None = None
    on_conflict: OnConflict | None = None
    content_merge: ContentMode | None = None
    renames: Renames | None = None
    binding: BindingBody | None = None


class BindingModel(Model):
    """What a project is bound to."""

    connection_id: UUID
    ref: str
    scope: str


class KindModel(Model):
    """A kind of asset."""

    name: str
    globs: list[str]
    id_pointer: str | None
    data_type: str | None
    merge: Annotated[ContentMode | None, at("content.mode")]
    identity: Annotated[dict[str, str], BeforeValidator(dict), at("content.identity")]
    unordered: Annotated[list[str], at("content.unordered")]
    fields: Annotated[dict[str, FieldRule], BeforeValidator(dict), at("content.fields")]


class ProjectModel(Model):
    """A project."""

    id: UUID
    path: str
    name: Annotated[str, at("path.name")]
    binding: BindingModel | None
    kinds: Annotated[list[KindModel], at("kinds.kinds")]
    hidden: Annotated[bool, at("kinds.hidden")]
    names: NamePolicy
    on_conflict: Annotated[OnConflict, at("settings.on_conflict")]
    content_merge: Annotated[ContentMode, at("settings.content_merge")]
    renames: Annotated[Renames, at("settings.renames")]
    created_at: datetime


class PreviewedFileModel(Model):
    """A file of the repository."""

    path: str
    kind: str | None
    """null: it would not be an asset."""
    reason: str | None
    """Why it would not be an asset."""


class PreviewModel(Model):
    """What would be an asset of a project, and what not."""

    revision: str
    assets: int
    counts: dict[str, int]
    """How many assets each kind would have."""
    ignored: int
    files: list[PreviewedFileModel]
    """By path."""
    notes: list[NoteModel]
    """Such as ids in contents that occur twice."""
    refusal: str
    """Why a pull would be refused, such as too many assets; empty: it would not."""


@router.get("")
def list_projects(
    context: Context,
    window: Window,
    path: Annotated[Text | None, Query(description="only the project at this path")] = None,
) -> Page[ProjectModel]:
    """The projects that the caller has any role on, by path."""
    caller = context.caller
    with context.reading() as session:
        projects = Projects(session)
        if path is None:
            found = projects.visible_to(caller, limit=window.limit, offset=window.offset)
            total = projects.count_visible_to(caller)
        else:
            one = projects.by_path(caller.tenant_id, path)
            seen = one is not None and caller.role_on(one.id) is not None
            found, total = ((one,) if one is not None and seen else ()), int(seen)
    return window.page(ProjectModel, found, total)


@router.post("", status_code=201, responses=problems(409))
def create_project(context: Context, body: ProjectBody, response: Response) -> ProjectModel:
    """Create a project; the caller must administer the tenant."""
    context.administer_tenant()
    with context.writing() as session:
        projects = Projects(session)
        made = projects.create(
            tenant_id=context.caller.tenant_id,
            path=body.path,
            kinds=kinds_of(body),
            names=body.names,
            settings=settings_of(PullSettings(), body),
        )
        if body.binding is not None:
            made = projects.associate(made.id, binding_of(body.binding))
    response.headers["Location"] = f"/api/towline/v1/projects/{made.id}"
    return ProjectModel.of(made)


@router.post("/preview", responses=problems(409, 502, 504))
async def preview_project(context: Context, body: PreviewBody) -> PreviewModel:
    """Preview which files would be assets; the caller must administer the tenant.

    The branch is fetched, and nothing is created. Assets beyond a pull's limit are listed too.
    """
    context.administer_tenant()
    wanted = project_of(context.caller.tenant_id, body)
    context.connection(body.binding.connection_id, Role.READER)
    found = await wait_in_thread(lambda: context.services.plans.preview(wanted))
    return PreviewModel.of(found)


@router.get("/{project_id}")
def get_project(project: ProjectForReader) -> ProjectModel:
    """A project."""
    return ProjectModel.of(project)


@router.patch("/{project_id}", responses=problems(409))
def change_project(context: Context, project: ProjectForAdmin, body: ProjectChange) -> ProjectModel:
    """Change a project. A run in progress starts over, or ends as stale."""
    wanted, bound = body.binding, project.binding
    if wanted is not None and (bound is None or bound.connection_id != wanted.connection_id):
        # Its credential will be used for the project: the caller must have access to it.
        context.connection(wanted.connection_id, Role.READER)
    with context.writing() as session:
        changed = _changed(session, project, body)
    return ProjectModel.of(changed)


@router.delete("/{project_id}", status_code=204)
def delete_project(context: Context, project: ProjectForAdmin) -> None:
    """Delete a project and everything in it."""
    with context.writing() as session:
        Projects(session).delete(project.id)


def _changed(session: Session, project: Project, body: ProjectChange) -> Project:
    projects, given = Projects(session), body.model_fields_set
    values: dict[str, Any] = {}
    hidden = project.kinds.hidden if body.hidden is None else body.hidden
    if body.kinds is not None:
        values["kinds"] = _kinds(body.kinds, hidden=hidden)
    elif body.hidden is not None:
        values["kinds"] = Kinds(project.kinds.kinds, hidden=hidden)
    settings = settings_of(project.settings, body)
    if settings != project.settings:
        values["settings"] = settings
    if values:
        project = projects.change(project.id, **values)
    if body.binding is not None:
        project = projects.bind(project.id, binding_of(body.binding))
    elif "binding" in given:
        project = projects.dissociate(project.id)
    return project


def _kinds(bodies: list[KindBody], *, hidden: bool) -> Kinds:
    check_globs([glob for each in bodies for glob in each.globs], "kinds")
    entries = [each.model_dump(mode="json", exclude_none=True) for each in bodies]
    return Kinds.from_document({"kinds": entries, "hidden": hidden})


def project_of(tenant_id: UUID, body: ProjectBody) -> Project:
    """Return the project that a body would make. Raises InvalidValue."""
    return Project(
        id=uuid4(),
        tenant_id=tenant_id,
        path=ProjectPath.parse(body.path),
        binding=None if body.binding is None else binding_of(body.binding),
        kinds=kinds_of(body),
        names=body.names,
        settings=settings_of(PullSettings(), body),
        created_at=datetime.now(UTC),
    )


def kinds_of(body: ProjectBody) -> Kinds:
    """Return the kinds of a project to be made. Raises InvalidValue."""
    return Kinds() if body.kinds is None else _kinds(body.kinds, hidden=body.hidden)


def settings_of(before: PullSettings, body: ProjectBody | ProjectChange) -> PullSettings:
    """Return settings with what a body says of them."""
    given = {each.name: getattr(body, each.name) for each in fields(before)}
    return replace(before, **{name: word for name, word in given.items() if word is not None})


def binding_of(body: BindingBody) -> Binding:
    """Return what a project is to be bound to. Raises InvalidValue."""
    return Binding(connection_id=body.connection_id, ref=body.ref, scope=body.scope)
