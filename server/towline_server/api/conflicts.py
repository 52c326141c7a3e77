"""How a project stands: the state of every asset, and its conflicts with a close view of each."""

from __future__ import annotations

from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import APIRouter, Query

from towline.conflicts import Conflict
from towline.errors import UnknownAssets
from towline.explain import explanation_json
from towline.model import Revision
from towline.plan import BehindReason
from towline.status import AssetStatus, ProjectStatus, State
from towline_server.auth.roles import Role
from towline_server.errors import NotFound
from towline_server.runs.plans import Conflicts, conflict_of
from towline_server.web.schemas import problems
from towline_server.web.waiting import aside

from .access import Context, NativeRoute, RequestContext
from .models import Model, Text
from .reports import ConflictModel

router = APIRouter(prefix="/projects/{project_id}", route_class=NativeRoute)

Fetch = Annotated[bool, Query(description="fetch now; else what was fetched last counts")]


class StatusEntry(Model):
    """Where one asset stands."""

    asset_id: str
    path: str
    name: str
    kind: str
    state: State
    behind: BehindReason | None
    """Why it is not as the pulled revision has it, where it is not."""

    @classmethod
    def of(cls, asset: AssetStatus) -> Self:
        """An asset's status on the wire."""
        return cls(
            asset_id=asset.asset_id,
            path=asset.path,
            name=asset.path.name,
            kind=asset.kind,
            state=asset.state,
            behind=asset.behind,
        )


class StatusModel(Model):
    """Every asset of a project, by path."""

    base: str | None
    revision: str | None
    """What it is compared with."""
    problem: str
    """Why it could not be compared; then the states tell of local changes alone."""
    assets: list[StatusEntry]


class ConflictsModel(Model):
    """What a pull would leave in conflict."""

    base: str | None
    revision: str | None
    conflicts: list[ConflictModel]


class ContentModel(Model):
    """An asset's content on one side."""

    digest: str
    size: int | None


class FieldModel(Model):
    """One place inside a JSON asset where the sides differ; a side that lacks it is left out."""

    pointer: str
    clashes: bool
    base: Any = None
    ours: Any = None
    theirs: Any = None


class LinesModel(Model):
    """A unified diff from one side to another."""

    before: str
    after: str
    diff: str


class ExplanationModel(Model):
    """How an asset differs between its sides."""

    asset_id: str
    format: str
    """``json``, ``text``, ``binary`` or ``digests_only``."""
    contents: dict[str, ContentModel]
    """By side: ``base``, ``ours``, ``theirs``; those that have the asset."""
    fields: list[FieldModel]
    lines: list[LinesModel]
    paths: dict[str, str] | None
    executable: dict[str, bool] | None
    note: str


class ConflictView(Model):
    """A conflict, and the close view of each of its parties."""

    conflict: ConflictModel
    explanations: list[ExplanationModel]


@router.get("/status", responses=problems(502, 504))
async def get_status(
    context: Context,
    project_id: UUID,
    fetch: Fetch = False,  # noqa: FBT002 - a query
) -> StatusModel:
    """Where every asset stands, against what was fetched last."""

    def look() -> ProjectStatus:
        project = context.project(project_id, Role.READER)
        return context.services.plans.status(project.id, fresh=fetch)

    found = await aside(look)
    return StatusModel(
        base=found.base,
        revision=found.revision,
        problem=found.problem,
        assets=[StatusEntry.of(asset) for asset in found.assets],
    )


@router.get("/conflicts", responses=problems(502, 504))
async def list_conflicts(
    context: Context,
    project_id: UUID,
    fetch: Fetch = False,  # noqa: FBT002 - a query
) -> ConflictsModel:
    """What pulling the revision that was fetched last would leave in conflict."""

    def look() -> Conflicts:
        project = context.project(project_id, Role.READER)
        return context.services.plans.conflicts(project.id, fresh=fetch)

    found = await aside(look)
    return ConflictsModel(
        base=found.base,
        revision=found.revision,
        conflicts=[ConflictModel.of(each) for each in found.conflicts],
    )


# A field whose value is null must not look like one that is not there.
@router.get(
    "/conflicts/{asset_id}", response_model_exclude_unset=True, responses=problems(502, 504)
)
async def explain_conflict(context: Context, project_id: UUID, asset_id: Text) -> ConflictView:
    """The conflict that an asset is party to, field by field."""

    def look() -> ConflictView:
        project = context.project(project_id, Role.READER)
        found = context.services.plans.conflicts(project.id)
        return _view(context, project_id, asset_id, found.revision, found.conflicts)

    return await aside(look)


@router.get(
    "/plans/{plan_id}/conflicts/{asset_id}",
    response_model_exclude_unset=True,
    responses=problems(502, 504),
)
async def explain_planned_conflict(
    context: Context, project_id: UUID, plan_id: UUID, asset_id: Text
) -> ConflictView:
    """The conflict of a plan that an asset is party to, field by field."""

    def look() -> ConflictView:
        project = context.project(project_id, Role.READER)
        plan = context.services.plans.get(project.id, plan_id).plan
        return _view(context, project_id, asset_id, plan.revision, plan.conflicts)

    return await aside(look)


def _view(
    context: RequestContext,
    project_id: UUID,
    asset_id: str,
    revision: Revision | None,
    conflicts: tuple[Conflict, ...],
) -> ConflictView:
    try:
        conflict = conflict_of(conflicts, asset_id)
    except UnknownAssets:
        raise NotFound(what="conflict") from None
    explained = context.services.plans.explained(project_id, revision, conflict)
    return ConflictView(
        conflict=ConflictModel.of(conflict),
        explanations=[
            ExplanationModel.of({"asset_id": asset, **explanation_json(explanation)})
            for asset, explanation in explained
        ],
    )
