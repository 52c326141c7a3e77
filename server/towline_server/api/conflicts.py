"""The status of every asset of a project, and its conflicts, each field by field."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query

from towline.errors import UnknownAssets
from towline.explain import explanation_json
from towline.plan import BehindReason, Plan
from towline.status import State
from towline_server.errors import NotFound
from towline_server.runs.plans import Conflicts, ExplainedParty, Plans, conflict_of
from towline_server.web.schemas import problems
from towline_server.web.waiting import wait_in_thread

from .access import Context, NativeRoute, ProjectForReader
from .models import ConflictModel, Model, Text, at

router = APIRouter(prefix="/projects/{project_id}", route_class=NativeRoute)

Fetch = Annotated[bool, Query(description="fetch now; else what was fetched last counts")]


class StatusEntry(Model):
    """The status of one asset."""

    asset_id: str
    path: str
    name: Annotated[str, at("path.name")]
    kind: str
    state: State
    behind: BehindReason | None
    """Why it is not as the pulled revision has it, where it is not."""


class StatusModel(Model):
    """Every asset of a project, by path."""

    base: str | None
    revision: str | None
    """What it is compared with."""
    problem: str
    """Why it could not be compared; then the states show local changes alone."""
    assets: list[StatusEntry]


class ConflictsModel(Model):
    """What a pull would leave in conflict."""

    base: str | None
    revision: str | None
    conflicts: list[ConflictModel]


class ContentModel(Model):
    """An asset's content on one side: as text where it is UTF-8, else in Base64.

    Without both it cannot be read any more, or is too large: all contents of an answer have at most
    4 MiB together, in the order of its explanations.
    """

    digest: str
    size: int | None
    text: str | None = None
    base64: str | None = None


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
    """``json``, ``yaml``, ``toml``, ``text``, ``binary`` or ``digests_only``."""
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
    project: ProjectForReader,
    fetch: Fetch = False,  # noqa: FBT002 - a query
) -> StatusModel:
    """The status of every asset, against what was fetched last."""
    plans = context.services.plans
    return StatusModel.of(await wait_in_thread(lambda: plans.status(project.id, fresh=fetch)))


@router.get("/conflicts", responses=problems(502, 504))
async def list_conflicts(
    context: Context,
    project: ProjectForReader,
    fetch: Fetch = False,  # noqa: FBT002 - a query
) -> ConflictsModel:
    """What pulling the revision that was fetched last would leave in conflict."""
    plans = context.services.plans
    return ConflictsModel.of(await wait_in_thread(lambda: plans.conflicts(project.id, fresh=fetch)))


# A field whose value is null must not look like one that is not there.
@router.get(
    "/conflicts/{asset_id}", response_model_exclude_unset=True, responses=problems(502, 504)
)
async def explain_conflict(
    context: Context, project: ProjectForReader, asset_id: Text
) -> ConflictView:
    """The conflict that an asset is party to, field by field."""
    plans = context.services.plans
    return await wait_in_thread(
        lambda: _view(plans, project.id, asset_id, plans.conflicts(project.id))
    )


@router.get(
    "/plans/{plan_id}/conflicts/{asset_id}",
    response_model_exclude_unset=True,
    responses=problems(502, 504),
)
async def explain_planned_conflict(
    context: Context, project: ProjectForReader, plan_id: UUID, asset_id: Text
) -> ConflictView:
    """The conflict of a plan that an asset is party to, field by field."""
    plans = context.services.plans
    return await wait_in_thread(
        lambda: _view(plans, project.id, asset_id, plans.get(project.id, plan_id).plan)
    )


def _view(plans: Plans, project_id: UUID, asset_id: str, found: Conflicts | Plan) -> ConflictView:
    try:
        conflict = conflict_of(found.conflicts, asset_id)
    except UnknownAssets:
        raise NotFound(what="conflict") from None
    explained = plans.explained(project_id, found.revision, conflict)
    return ConflictView(
        conflict=ConflictModel.of(conflict),
        explanations=[_explanation(party) for party in explained],
    )


def _explanation(party: ExplainedParty) -> ExplanationModel:
    shown = explanation_json(party.explanation)
    contents = party.explanation.contents
    sides = {"base": contents.base, "ours": contents.ours, "theirs": contents.theirs}
    shown["contents"] = {
        name: {**asdict(side), **_bytes(party.contents.get(side.digest))}
        for name, side in sides.items()
        if side is not None
    }
    return ExplanationModel.of({"asset_id": party.asset_id, **shown})


def _bytes(content: bytes | None) -> dict[str, str]:
    if content is None:
        return {}
    try:
        return {"text": content.decode()}
    except UnicodeDecodeError:
        return {"base64": b64encode(content).decode()}
