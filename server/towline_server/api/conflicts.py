"""The status of every asset of a project, and its conflicts, each field by field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query

from towline.content.differences import FieldDifference
from towline.content.values import ABSENT
from towline.explain import explanation_json
from towline.plan import BehindReason, Plan
from towline.resolutions import SavedResolution
from towline.status import State, status_json
from towline_server.errors import existing
from towline_server.runs.conflicts import ExplainedParty
from towline_server.runs.plans import Plans
from towline_server.web.schemas import problems
from towline_server.web.waiting import wait_in_thread

from .access import Context, NativeRoute, ProjectForReader
from .models import ConflictModel, Model, Text
from .resolutions import ContentModel, ResolutionModel, shown_bytes, shown_resolution

router = APIRouter(prefix="/projects/{project_id}", route_class=NativeRoute)

Fetch = Annotated[bool, Query(description="fetch first; else the last fetched revision is used")]


class StatusEntry(Model):
    """The status of one asset."""

    asset_id: str
    path: str
    name: str
    kind: str
    state: State
    behind: BehindReason | None
    """Why it is not as the pulled revision has it, where it is not."""
    resolved: bool
    """Whether the next pull settles its conflict by saved resolutions."""
    renamed_from: str | None
    """Its path as last pulled, where it has another one here."""
    renamed_there: str | None
    """The path that the repository renamed it to."""


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
    resolved: list[str]
    """The assets whose conflict the next pull settles by saved resolutions."""


class FieldModel(Model):
    """One place inside a JSON asset where the sides differ; a side that lacks it is left out."""

    pointer: str
    clashes: bool
    base: Any = None
    ours: Any = None
    theirs: Any = None


class ClashModel(Model):
    """A field that a resolution by fields needs a side for; a side that lacks it is left out.

    Without any value, the contents are too large to be in the answer.
    """

    pointer: str
    reason: str
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
    """By side: ``base``, ``ours``, ``theirs``; those that have the asset.

    Without text and Base64 it cannot be read any more, or is too large: all contents of an answer
    have at most 4 MiB together, in the order of its explanations.
    """
    fields: list[FieldModel]
    clashes: list[ClashModel]
    """Empty where contents do not merge by structure, or more than contents clash."""
    takes_content: bool
    """Whether a resolution may give the content."""
    lines: list[LinesModel]
    paths: dict[str, str] | None
    executable: dict[str, bool] | None
    note: str


class ConflictView(Model):
    """A conflict, and the close view of each of its parties."""

    conflict: ConflictModel
    explanations: list[ExplanationModel]
    resolution: ResolutionModel | None
    """What is saved for the asset, unless it has lapsed; of a plan's conflict, null."""


@router.get("/status", responses=problems(502, 504))
async def get_status(
    context: Context,
    project: ProjectForReader,
    fetch: Fetch = False,  # noqa: FBT002 - a query
) -> StatusModel:
    """The status of every asset, against what was fetched last."""
    plans = context.services.plans
    found = await wait_in_thread(lambda: plans.status(project.id, fresh=fetch))
    return StatusModel.of({**status_json(found), "problem": found.problem})


@router.get("/conflicts", responses=problems(502, 504))
async def list_conflicts(
    context: Context,
    project: ProjectForReader,
    fetch: Fetch = False,  # noqa: FBT002 - a query
) -> ConflictsModel:
    """The conflicts with the last fetched revision."""
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

    def view() -> ConflictView:
        found = plans.conflicts(project.id)
        return _view(plans, project.id, asset_id, found.plan, found.saved)

    return await wait_in_thread(view)


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


def _view(
    plans: Plans,
    project_id: UUID,
    asset_id: str,
    plan: Plan | None,
    saved: Sequence[SavedResolution] = (),
) -> ConflictView:
    explained = plans.explained(project_id, existing(plan, "conflict"), asset_id)
    made = next((each for each in saved if each.asset_id == asset_id), None)
    return ConflictView(
        conflict=ConflictModel.of(explained[0].open.conflict),
        explanations=[_explanation(party) for party in explained],
        resolution=None if made is None else shown_resolution(made),
    )


def _explanation(party: ExplainedParty) -> ExplanationModel:
    return ExplanationModel.of(
        {
            **explanation_json(party.explanation),
            "asset_id": party.open.party.asset_id,
            "contents": {
                name: {**asdict(side), **_bytes(party.contents.get(side.digest))}
                for name, side in party.explanation.contents.by_side().items()
                if side is not None
            },
            "clashes": [_clash(each, party) for each in party.open.fields],
            "takes_content": party.open.takes_content,
        }
    )


def _bytes(content: bytes | None) -> dict[str, str]:
    return {} if content is None else shown_bytes(content)


def _clash(clash: FieldDifference, party: ExplainedParty) -> dict[str, Any]:
    shown = {"pointer": clash.pointer, "reason": str(clash.reason)}
    sides = party.explanation.contents
    if any(side is not None and side.digest not in party.contents for side in sides):
        return shown
    values = clash.values.by_side()
    return {**shown, **{name: value for name, value in values.items() if value is not ABSENT}}
