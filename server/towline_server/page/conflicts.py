"""``/ui/projects/{id}/conflicts``: look at conflicts, settle them, and preview the result."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends
from starlette.datastructures import FormData
from starlette.responses import Response

from towline.conflicts import ConflictKind
from towline.errors import InvalidResolution, InvalidValue, LimitExceeded
from towline.options import Side
from towline_server.auth.roles import Role
from towline_server.errors import existing
from towline_server.projects.domain import Project
from towline_server.runs.conflicts import Choice, Conflicts, ExplainedParty
from towline_server.web.waiting import waiting

from .assets import AssetIdQuery
from .choosing import (
    choice_names,
    digests_of,
    given_values,
    may_edit,
    moved_sides,
    outcome_of,
    rows_of,
    saved_values,
    settling,
)
from .comparing import difference_of
from .conflict_lists import ConflictFilter, listed_parties, state_of
from .paging import ROWS, Pages
from .pull_forms import chosen
from .rendering import query, quoted
from .visitor import Sent, SignedIn, Visitor, go, text_of, texts_of

router = APIRouter(prefix="/ui/projects/{project_id}/conflicts")


@router.get("")
@waiting
def list_conflicts(
    visitor: SignedIn, project_id: UUID, wanted: Annotated[ConflictFilter, Depends()]
) -> Response:
    """List the assets that a pull of what was fetched last leaves in conflict."""
    project = visitor.project(project_id, Role.READER)
    return _list(visitor, project, wanted, _found(visitor, project))


def _list(
    visitor: Visitor,
    project: Project,
    wanted: ConflictFilter,
    found: Conflicts,
    *,
    moved: bool = False,
    problem: str = "",
) -> Response:
    """Return the list; nothing where a page asks for news of it and there are none."""
    fitting = [each for each in listed_parties(found) if wanted.fits(each)]
    state = state_of(fitting)
    if wanted.shown == state:
        return Response(status_code=204)
    pages = Pages(request=wanted.request, number=wanted.page, total=len(fitting))
    return visitor.page(
        "conflicts.html",
        project=project,
        found=found,
        kinds=list(ConflictKind),
        listed=pages.of(fitting),
        settled=len(found.resolved),
        wanted=wanted,
        pages=pages,
        state=state,
        moved=moved,
        problem=problem,
        status=409 if moved else 400 if problem else 200,
    )


def _found(visitor: Visitor, project: Project) -> Conflicts:
    return Conflicts() if project.binding is None else visitor.services.plans.conflicts(project.id)


@router.get("/asset")
@waiting
def show_conflict(visitor: SignedIn, project_id: UUID, asset_id: AssetIdQuery) -> Response:
    """Show the conflict of one asset, with the choices that settle it."""
    project = visitor.project(project_id, Role.READER)
    return _page(visitor, project, asset_id)


@router.get("/{form}")
def return_to_list(
    visitor: SignedIn,
    project_id: UUID,
    form: Literal["preview", "keep", "clear", "choose"],
    wanted: Annotated[ConflictFilter, Depends()],
) -> Response:
    """Show the list, where someone signs in after a form was sent, or turns the page behind it."""
    del form
    visitor.project(project_id, Role.READER)
    return go(_list_address(project_id, wanted))


def _list_address(project_id: UUID, wanted: ConflictFilter) -> str:
    asked = {"q": wanted.q, "conflict": wanted.conflict, "kind": wanted.kind}
    page = wanted.page if wanted.page > 1 else None
    return f"/ui/projects/{project_id}/conflicts{query(asked, page=page)}".rstrip("?")


@router.post("/preview")
@waiting
def preview(visitor: SignedIn, form: Sent, project_id: UUID) -> Response:
    """Show what comes of a choice; nothing is saved."""
    project = visitor.project(project_id, Role.WRITER)
    return _page(visitor, project, text_of(form, "id"), form)


@router.post("/keep")
@waiting
def keep(visitor: SignedIn, form: Sent, project_id: UUID) -> Response:
    """Save a choice for the pulls to come; where the conflict is another one now, say so."""
    project = visitor.project(project_id, Role.WRITER)
    asset_id = text_of(form, "id")
    found = _found(visitor, project)
    party = _party(visitor, project, asset_id, found)
    if text_of(form, "seen") != _seen(found, asset_id):
        return _page(visitor, project, asset_id, form, found)
    try:
        choice = settling(party, form)
        if choice.content is not None:
            visitor.check_size(choice.content)
        visitor.services.plans.resolve(project.id, {asset_id: choice}, found=found)
    except (InvalidResolution, InvalidValue, LimitExceeded):
        return _page(visitor, project, asset_id, form, found)
    return go(f"/ui/projects/{project.id}/conflicts/asset?id={quoted(asset_id)}")


@router.post("/clear")
@waiting
def clear(visitor: SignedIn, form: Sent, project_id: UUID) -> Response:
    """Clear the saved choice of one asset; its conflict is open again."""
    project = visitor.project(project_id, Role.WRITER)
    asset_id = text_of(form, "id")
    visitor.services.plans.unresolve(project.id, asset_id)
    return go(f"/ui/projects/{project.id}/conflicts/asset?id={quoted(asset_id)}")


@router.post("/choose")
@waiting
def choose(
    visitor: SignedIn,
    form: Sent,
    project_id: UUID,
    wanted: Annotated[ConflictFilter, Depends()],
) -> Response:
    """Save a side for the assets that are selected, or for all that the filter of the list fits."""
    project = visitor.project(project_id, Role.WRITER)
    side = chosen(form, "side", Side)
    if side is None:
        raise InvalidValue(field="side", problem="is missing")
    found = _found(visitor, project)
    listed = listed_parties(found)
    if text_of(form, "scope") == "all":
        listed = [each for each in listed if wanted.fits(each)]
        moved = text_of(form, "seen") != state_of(listed)
    else:
        seen = dict(text.rpartition(":")[::2] for text in texts_of(form, "id"))
        if not seen:
            problem = "No assets are selected; select some first."
            return _list(visitor, project, wanted, found, problem=problem)
        listed = [each for each in listed if each.asset_id in seen]
        moved = {each.asset_id: each.state for each in listed} != seen
    if moved:
        return _list(visitor, project, wanted, found, moved=True)
    choices = {each.asset_id: Choice(side=side) for each in listed if each.gives_way}
    visitor.services.plans.resolve(project.id, choices, found=found)
    return go(_list_address(project.id, wanted))


def _party(visitor: Visitor, project: Project, asset_id: str, found: Conflicts) -> ExplainedParty:
    """Return an asset in conflict. Raises NotFound."""
    plan = existing(found.plan, "conflict")
    explained = visitor.services.plans.explained(project.id, plan, asset_id)
    return next(each for each in explained if each.open.party.asset_id == asset_id)


def _seen(found: Conflicts, asset_id: str) -> str:
    """Return the state of an asset's conflict: what a form that was made of it is for."""
    return state_of([each for each in listed_parties(found) if each.asset_id == asset_id])


def _page(
    visitor: Visitor,
    project: Project,
    asset_id: str,
    form: FormData | None = None,
    found: Conflicts | None = None,
) -> Response:
    """Return the page of a conflict; with a form, what comes of its choice."""
    found = found or _found(visitor, project)
    party = _party(visitor, project, asset_id, found)
    saved = next((each for each in found.saved if each.asset_id == asset_id), None)
    seen = _seen(found, asset_id)
    moved = form is not None and text_of(form, "seen") != seen
    outcome, problem, status = None, "", 409 if moved else 200
    if form is not None and not moved:
        try:
            outcome = outcome_of(party, settling(party, form), visitor.check_size)
        except (InvalidResolution, InvalidValue, LimitExceeded) as error:
            problem, status = str(error), 400
    return visitor.page(
        "conflict.html",
        project=project,
        status=status,
        party=party,
        found=found,
        difference=difference_of(party.explanation, party.contents),
        saved=saved,
        settled=asset_id in found.resolved,
        chosen=saved_values(party, saved) if form is None or moved else given_values(party, form),
        outcome=outcome,
        problem=problem,
        moved=moved,
        moved_sides=moved_sides(party, form) if form is not None and moved else (),
        digests=digests_of(party),
        seen=seen,
        rows=rows_of(party)[:ROWS],
        more=max(0, len(choice_names(party)) - ROWS),
        editable=may_edit(party),
        change=visitor.services.plans.last_change(project.id, party.open.party.states, found),
    )
