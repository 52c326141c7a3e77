"""``/projects/{id}/assets``: read, and edited as their users do. Here local edits arrive.

Who writes may say what they expect to find, as HTTP has it: ``If-Match`` with the digest, or
``If-None-Match: *`` for nothing. What fails is 412, and nothing was changed.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Response
from pydantic import WithJsonSchema

from towline.errors import InvalidPath, InvalidValue, LimitExceeded, UnknownAssets
from towline.model import AssetId, AssetPath, Digest
from towline.status import behind_reason
from towline_server.auth.roles import Role
from towline_server.errors import NotFound
from towline_server.projects.listing import AssetFilter, AssetList, StandingAsset
from towline_server.projects.preconditions import Expected, ExpectedNothing
from towline_server.projects.store import SqlStore
from towline_server.web.schemas import ASSET_PATH, TAG_OR_ANY, of_format, problems, raw_body

from .access import Context, NativeRoute, RequestContext
from .models import Body, Model, Page, Text, Window

router = APIRouter(prefix="/projects/{project_id}", route_class=NativeRoute)

_TAG = re.compile(r'\s*"([0-9a-f]{40})"\s*')

IfMatch = Annotated[
    str | None,
    of_format(TAG_OR_ANY),
    Header(description='the digest that stands there, as `"…"`; `*`: whatever does'),
]
IfNothing = Annotated[
    str | None,
    WithJsonSchema({"type": "string", "const": "*"}),
    Header(
        alias="If-None-Match",
        description="`*`: only if nothing stands there; no If-Match goes beside it",
    ),
]
IfNoneMatch = Annotated[str | None, Header(description='what is known already, as `"…"`')]


class StateModel(Model):
    """An asset on one side."""

    path: str
    digest: str
    executable: bool


class AssetModel(Model):
    """An asset that stands in the project."""

    id: str
    path: str
    name: str
    kind: str
    digest: str
    executable: bool
    size: int
    base: StateModel | None
    """As it was last pulled; null: it never was."""
    modified: bool
    """Whether it differs from that."""
    lagging: bool
    """Whether its base is behind the project's."""
    behind: str | None
    """Why it is not as the pulled revision has it: ``conflict``, ``left_out`` (by a selection), or
    what the repository has there instead (``lfs_pointer``, ``symlink`` …); null where it is."""

    @classmethod
    def of(cls, asset: StandingAsset) -> Self:
        """Return the model of an asset."""
        record, state = asset.record, asset.state
        return cls(
            id=record.id,
            path=state.path,
            name=state.path.name,
            kind=record.kind,
            digest=state.digest,
            executable=state.executable,
            size=asset.size,
            base=None if record.base is None else StateModel.of(record.base),
            modified=record.base != record.ours,
            lagging=record.lagging,
            behind=behind_reason(record),
        )


class MoveBody(Body):
    """Where an asset shall stand."""

    path: Annotated[Text, of_format(ASSET_PATH)]


@router.get("/assets", responses=problems())
def list_assets(
    context: Context,
    project_id: UUID,
    window: Window,
    kind: Annotated[Text | None, Query()] = None,
    prefix: Annotated[Text | None, Query(description="what paths start with")] = None,
) -> Page[AssetModel]:
    """The assets that stand in a project, by path."""
    project = context.project(project_id, Role.READER)
    with context.reading() as session:
        found = AssetList(session, project.id).page(
            AssetFilter(kind=kind, prefix=prefix), limit=window.limit, offset=window.offset
        )
    return window.page(AssetModel, found.assets, found.total)


@router.get("/assets/{asset_id}", responses=problems())
def get_asset(context: Context, project_id: UUID, asset_id: Text, response: Response) -> AssetModel:
    """An asset."""
    project = context.project(project_id, Role.READER)
    return _shown(_with_id(context, project.id, asset_id), response)


_BYTES: dict[str, Any] = {"type": "string", "format": "binary"}
_CONTENT: dict[int | str, dict[str, Any]] = {
    **problems(),
    200: {
        "description": "the bytes, as they are",
        "content": {"application/octet-stream": {"schema": _BYTES}},
    },
    304: {"description": "they are what If-None-Match names"},
}


@router.get("/assets/{asset_id}/content", response_class=Response, responses=_CONTENT)
def read_asset(
    context: Context, project_id: UUID, asset_id: Text, if_none_match: IfNoneMatch = None
) -> Response:
    """The bytes of an asset."""
    store = context.store(project_id, Role.READER)
    return _content(store, _with_id(context, project_id, asset_id), if_none_match)


@router.get("/content/{path:path}", response_class=Response, responses=_CONTENT)
def read_path(
    context: Context, project_id: UUID, path: str, if_none_match: IfNoneMatch = None
) -> Response:
    """The bytes of the asset at a path."""
    store = context.store(project_id, Role.READER)
    return _content(store, _at(context, project_id, _readable(path)), if_none_match)


_PUT = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": _BYTES}},
    }
}


def _expected_of_put(if_match: IfMatch = None, if_nothing: IfNothing = None) -> Expected | None:
    """A dependency: what a write expects to find."""
    if if_nothing is None:
        return _expected(if_match)
    if if_nothing.strip() != "*" or if_match is not None:
        raise InvalidValue(field="If-None-Match", problem="takes * here, and no If-Match beside it")
    return ExpectedNothing()


@router.put(
    "/content/{path:path}",
    responses={**problems(409, 412, 413), 201: {"description": "made", "model": AssetModel}},
    openapi_extra=_PUT,
)
def put_asset(
    context: Context,
    project_id: UUID,
    path: str,
    content: Annotated[bytes, Depends(raw_body)],
    expected: Annotated[Expected | None, Depends(_expected_of_put)],
    response: Response,
    executable: Annotated[bool | None, Query(description="left out: as it is")] = None,
) -> AssetModel:
    """Write the asset at a path, or a new one."""
    store = context.store(project_id, Role.WRITER)
    _check_size(context, content)
    at = _writable(context, path)
    with store.snapshot() as ours:
        is_new = ours.at(at) is None
    asset_id = store.put(at, content, executable=executable, expected=expected)
    if is_new:
        response.status_code = 201
        response.headers["Location"] = f"/api/towline/v1/projects/{project_id}/assets/{asset_id}"
    return _shown(_with_id(context, project_id, asset_id), response)


@router.delete("/assets/{asset_id}", status_code=204, responses=problems(409, 412))
def delete_asset(
    context: Context, project_id: UUID, asset_id: Text, if_match: IfMatch = None
) -> None:
    """Delete an asset here; the repository keeps it."""
    store = context.store(project_id, Role.WRITER)
    standing = _with_id(context, project_id, asset_id)
    try:
        store.delete(standing.record.id, expected=_expected(if_match))
    except UnknownAssets:
        raise NotFound(what="asset") from None


@router.post("/assets/{asset_id}/move", responses=problems(409, 412))
def move_asset(
    context: Context,
    project_id: UUID,
    asset_id: Text,
    body: MoveBody,
    response: Response,
    if_match: IfMatch = None,
) -> AssetModel:
    """Rename an asset. It keeps its id if it was ever pulled, else it has its new path's."""
    store = context.store(project_id, Role.WRITER)
    standing, path = _with_id(context, project_id, asset_id), _writable(context, body.path)
    try:
        moved = store.move(standing.record.id, path, expected=_expected(if_match))
    except UnknownAssets:
        raise NotFound(what="asset") from None
    return _shown(_with_id(context, project_id, moved), response)


def _expected(if_match: str | None) -> Expected | None:
    """What If-Match asks for (RFC 9110, 13.1.1); a tag that is no digest fits no asset."""
    if if_match is None:
        return None
    if if_match.strip() == "*":
        return Expected()
    found = map(_TAG.fullmatch, if_match.split(","))
    return Expected(frozenset(Digest(each[1]) for each in found if each))


def _check_size(context: RequestContext, content: bytes) -> None:
    """No larger than an asset that a pull takes."""
    allowed = context.services.settings.engine_limits.asset_bytes
    if len(content) > allowed:
        raise LimitExceeded(limit="asset_bytes", allowed=allowed, found=len(content))


def _writable(context: RequestContext, raw: str) -> AssetPath:
    """A path that a pull would take, too."""
    path, limits = AssetPath.parse(raw), context.services.settings.engine_limits
    longest = max(len(name.encode()) for name in path.split("/"))
    if len(path.encode()) > limits.path_bytes or longest > limits.name_bytes:
        raise InvalidPath(path=path[:80], problem="is too long")
    return path


def _readable(path: str) -> AssetPath:
    try:
        return AssetPath.parse(path)
    except InvalidPath:
        raise NotFound(what="asset") from None


def _with_id(context: RequestContext, project_id: UUID, asset_id: str) -> StandingAsset:
    with context.reading() as session:
        return _found(AssetList(session, project_id).with_id(AssetId(asset_id)))


def _at(context: RequestContext, project_id: UUID, path: AssetPath) -> StandingAsset:
    with context.reading() as session:
        return _found(AssetList(session, project_id).at(path))


def _found(asset: StandingAsset | None) -> StandingAsset:
    if asset is None:
        raise NotFound(what="asset")
    return asset


def _shown(asset: StandingAsset, response: Response) -> AssetModel:
    response.headers["ETag"] = f'"{asset.state.digest}"'
    return AssetModel.of(asset)


def _content(store: SqlStore, asset: StandingAsset, if_none_match: str | None) -> Response:
    tag = f'"{asset.state.digest}"'
    # It is somebody's content: no browser shall take it for a page of this server.
    headers = {
        "ETag": tag,
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": "attachment",
    }
    if if_none_match is not None and tag in [each.strip() for each in if_none_match.split(",")]:
        return Response(status_code=304, headers=headers)
    content = store.read(asset.state.digest)
    if content is None:
        raise NotFound(what="asset")  # it was edited since
    return Response(content, headers=headers, media_type="application/octet-stream")
