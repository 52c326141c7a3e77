"""``/ui/projects/{id}``: the assets of a project with their state, and each on its three sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from towline.explain import SIDES
from towline.frozen import frozen
from towline.status import AssetStatus, State
from towline_server.auth.roles import Role
from towline_server.errors import existing
from towline_server.runs.overview import overviews
from towline_server.web.waiting import waiting

from .comparing import difference_of
from .paging import PageNumber, Pages
from .visitor import SignedIn, go

router = APIRouter(prefix="/ui/projects/{project_id}")

AssetIdQuery = Annotated[str, Query(alias="id", max_length=255)]


@frozen
class StatusFilter:
    """Which assets are shown: those that fit every field that is set."""

    request: Request
    state: Annotated[str, Query(max_length=40)] = ""
    """A state, or ``changed``: every state but unchanged."""
    kind: Annotated[str, Query(max_length=255)] = ""
    q: Annotated[str, Query(max_length=255)] = ""
    """A part of the path."""
    under: Annotated[str, Query(max_length=4096)] = ""
    """A folder, with a slash behind it."""
    page: PageNumber = 1

    def fits(self, asset: AssetStatus) -> bool:
        """Whether an asset is shown."""
        return (
            self.state in ("", asset.state)
            or (self.state == "changed" and asset.state is not State.UNCHANGED)
        ) and (
            self.kind in ("", asset.kind)
            and self.q.casefold() in asset.path.casefold()
            and asset.path.startswith(self.under)
        )


@frozen(kw_only=True)
class Folder:
    """A folder of the tree, and its assets that are on the page."""

    path: str
    """With a slash behind it; empty: the project's own."""
    assets: Sequence[AssetStatus]


@router.get("")
@waiting
def show_project(
    visitor: SignedIn, project_id: UUID, wanted: Annotated[StatusFilter, Depends()]
) -> Response:
    """Show the assets of a project."""
    project = visitor.project(project_id, Role.READER)
    found = visitor.services.plans.status(project.id)
    with visitor.reading() as session:
        [overview] = overviews(session, [project])
    fitting = [asset for asset in found.assets if wanted.fits(asset)]
    pages = Pages(request=wanted.request, number=wanted.page, total=len(fitting))
    return visitor.page(
        "assets.html",
        project=project,
        overview=overview,
        found=found,
        counts=Counter(asset.state for asset in found.assets),
        folders=_folders(pages.of(fitting)),
        wanted=wanted,
        pages=pages,
    )


def _folders(assets: Sequence[AssetStatus]) -> list[Folder]:
    """Return the folders of these assets, which are sorted by path."""
    found: dict[str, list[AssetStatus]] = {}
    for asset in assets:
        folder = asset.path[: len(asset.path) - len(asset.path.name)]
        found.setdefault(folder, []).append(asset)
    return [Folder(path=path, assets=some) for path, some in sorted(found.items())]


@router.get("/now")
def show_now(visitor: SignedIn, project_id: UUID) -> Response:
    """Return the part of a project's page that shows its state now."""
    project = visitor.project(project_id, Role.READER)
    with visitor.reading() as session:
        [overview] = overviews(session, [project])
    return visitor.page("now.html", project=project, overview=overview)


@router.post("/fetch")
@waiting
def fetch(visitor: SignedIn, project_id: UUID) -> Response:
    """Fetch, so that the page shows what changed in the repository."""
    project = visitor.project(project_id, Role.READER)
    visitor.services.plans.status(project.id, fresh=True)
    return go(f"/ui/projects/{project_id}")


@router.get("/asset")
@waiting
def show_asset(visitor: SignedIn, project_id: UUID, asset_id: AssetIdQuery) -> Response:
    """Show an asset on its three sides."""
    project = visitor.project(project_id, Role.READER)
    plans = visitor.services.plans
    found = plans.status(project.id)
    named = (asset for asset in found.assets if asset.asset_id == asset_id)
    asset = existing(next(named, None), "asset")
    explained, contents = plans.compared(project.id, asset.states, revision=found.revision)
    return visitor.page(
        "asset.html",
        project=project,
        asset=asset,
        difference=difference_of(explained, contents, SIDES),
    )
