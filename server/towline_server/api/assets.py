"""``/projects/{id}/assets``: read assets, and make local edits of them.

A write may state what it expects to find, as HTTP has it: ``If-Match`` with the digest, or
``If-None-Match: *`` for nothing. Another state is 412, and nothing is changed.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Response
from pydantic import BeforeValidator, WithJsonSchema

from towline.errors import InvalidPath, InvalidValue, UnknownAssets
from towline.model import AssetId, AssetPath, Digest
from towline.records import AssetRecord
from towline.status import behind_reason
from towline_server.errors import NotFound, existing
from towline_server.projects.domain import Project
from towline_server.projects.listing import AssetList, ListFilter, ProjectAsset
from towline_server.projects.store import Expected
from towline_server.web.schemas import ASSET_PATH, TAG_OR_ANY, of_format, problems, raw_body

from .access import Context, NativeRoute, ProjectForReader, ProjectForWriter, RequestContext
from .models import Body, Model, Page, StateModel, Text, Window, at

router = APIRouter(prefix="/projects/{project_id}", route_class=NativeRoute)

_TAG = re.compile(r'\s*"([0-9a-f]{40})"\s*')

IfMatch = Annotated[
    str | None,
    of_format(TAG_OR_ANY),
    Header(description='the digest of the asset there, as `"…"`; `*`: any asset'),
]
IfNothing = Annotated[
    str | None,
    WithJsonSchema({"type": "string", "const": "*"}),
    Header(
        alias="If-None-Match",
        description="`*`: only if no asset is there; excludes If-Match",
    ),
]
IfNoneMatch = Annotated[str | None, Header(description='the digest that the caller has, as `"…"`')]


def _is_modified(record: AssetRecord) -> bool:
    return record.base != record.ours


class AssetModel(Model):
    """An asset of the project."""

    id: Annotated[str, at("record.id")]
    path: Annotated[str, at("state.path")]
    name: Annotated[str, at("state.path.name")]
    kind: Annotated[str, at("record.kind")]
    digest: Annotated[str, at("state.digest")]
    executable: Annotated[bool, at("state.executable")]
    size: int
    base: Annotated[StateModel | None, at("record.base")]
    """As it was last pulled; null: it never was."""
    modified: Annotated[bool, BeforeValidator(_is_modified), at("record")]
    """Whether it differs from that."""
    lagging: Annotated[bool, at("record.lagging")]
    """Whether its base is behind the project's."""
    behind: Annotated[str | None, BeforeValidator(behind_reason), at("record")]
    """Why it is not as the pulled revision has it: ``conflict``, ``left_out`` (by a selection), or
    what the repository has there instead (``lfs_pointer``, ``symlink`` …); null where it is."""


class MoveBody(Body):
    """The new path of an asset."""

    path: Annotated[Text, of_format(ASSET_PATH)]


@router.get("/assets")
def list_assets(
    context: Context,
    project: ProjectForReader,
    window: Window,
    kind: Annotated[Text | None, Query()] = None,
    prefix: Annotated[
        Text | None, Query(description="only assets whose paths start with this")
    ] = None,
) -> Page[AssetModel]:
    """The assets of a project, by path."""
    with context.reading() as session:
        found = AssetList(session, project.id).page(
            ListFilter(kind=kind, prefix=prefix), limit=window.limit, offset=window.offset
        )
    return window.page(AssetModel, found.assets, found.total)


@router.get("/assets/{asset_id}")
def get_asset(
    context: Context, project: ProjectForReader, asset_id: Text, response: Response
) -> AssetModel:
    """An asset."""
    return _shown(_with_id(context, project, asset_id), response)


_OCTETS = "application/octet-stream"
_BYTES = {_OCTETS: {"schema": {"type": "string", "format": "binary"}}}
CONTENT: dict[int | str, dict[str, Any]] = {200: {"description": "the bytes", "content": _BYTES}}
"""The answer of a route that reads an asset."""
_CONTENT = {**CONTENT, 304: {"description": "not modified since If-None-Match"}}


@router.get("/assets/{asset_id}/content", response_class=Response, responses=_CONTENT)
def read_asset(
    context: Context,
    project: ProjectForReader,
    asset_id: Text,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The bytes of an asset."""
    return _content(context, project, _with_id(context, project, asset_id), if_none_match)


@router.get("/content/{path:path}", response_class=Response, responses=_CONTENT)
def read_path(
    context: Context, project: ProjectForReader, path: str, if_none_match: IfNoneMatch = None
) -> Response:
    """The bytes of the asset at a path."""
    try:
        asset_path = AssetPath.parse(path)
    except InvalidPath:
        raise NotFound(what="asset") from None
    with context.reading() as session:
        asset = existing(AssetList(session, project.id).at(asset_path), "asset")
    return _content(context, project, asset, if_none_match)


def _expected_of_put(if_match: IfMatch = None, if_nothing: IfNothing = None) -> Expected | None:
    """Return what a write expects to find, as a dependency."""
    if if_nothing is None:
        return _expected(if_match)
    if if_nothing.strip() != "*" or if_match is not None:
        raise InvalidValue(field="If-None-Match", problem="must be *, without If-Match")
    return Expected(nothing=True)


@router.put(
    "/content/{path:path}",
    responses={**problems(409, 412, 413), 201: {"description": "made", "model": AssetModel}},
    openapi_extra={"requestBody": {"required": True, "content": _BYTES}},
)
def put_asset(
    context: Context,
    project: ProjectForWriter,
    path: str,
    content: Annotated[bytes, Depends(raw_body)],
    expected: Annotated[Expected | None, Depends(_expected_of_put)],
    response: Response,
    executable: Annotated[bool | None, Query(description="by default, unchanged")] = None,
) -> AssetModel:
    """Write the asset at a path, or a new one."""
    context.check_size(content)
    store, asset_path = context.store(project), _writable(context, path)
    with store.snapshot() as ours:
        is_new = ours.at(asset_path) is None
    asset_id = store.put(asset_path, content, executable=executable, expect=expected)
    if is_new:
        response.status_code = 201
        response.headers["Location"] = f"/api/towline/v1/projects/{project.id}/assets/{asset_id}"
    return _shown(_with_id(context, project, asset_id), response)


@router.delete("/assets/{asset_id}", status_code=204, responses=problems(409, 412))
def delete_asset(
    context: Context, project: ProjectForWriter, asset_id: Text, if_match: IfMatch = None
) -> None:
    """Delete an asset here; it stays in the repository."""
    asset = _with_id(context, project, asset_id)
    try:
        context.store(project).delete(asset.record.id, expect=_expected(if_match))
    except UnknownAssets:
        raise NotFound(what="asset") from None


@router.post("/assets/{asset_id}/move", responses=problems(409, 412))
def move_asset(
    context: Context,
    project: ProjectForWriter,
    asset_id: Text,
    body: MoveBody,
    response: Response,
    if_match: IfMatch = None,
) -> AssetModel:
    """Rename an asset. It keeps its id if it was ever pulled, else the new path gives it one."""
    asset, path = _with_id(context, project, asset_id), _writable(context, body.path)
    try:
        moved = context.store(project).move(asset.record.id, path, expect=_expected(if_match))
    except UnknownAssets:
        raise NotFound(what="asset") from None
    return _shown(_with_id(context, project, moved), response)


def _expected(if_match: str | None) -> Expected | None:
    """Parse If-Match (RFC 9110, 13.1.1); a tag that is no digest fits no asset."""
    if if_match is None:
        return None
    if if_match.strip() == "*":
        return Expected()
    found = map(_TAG.fullmatch, if_match.split(","))
    return Expected(frozenset(Digest(each[1]) for each in found if each))


def _writable(context: RequestContext, raw: str) -> AssetPath:
    """Parse a path that a pull would accept too."""
    path, limits = AssetPath.parse(raw), context.services.settings.engine_limits
    longest = max(len(name.encode()) for name in path.split("/"))
    if len(path.encode()) > limits.path_bytes or longest > limits.name_bytes:
        raise InvalidPath(path=path[:80], problem="is too long")
    return path


def _with_id(context: RequestContext, project: Project, asset_id: str) -> ProjectAsset:
    with context.reading() as session:
        return existing(AssetList(session, project.id).with_id(AssetId(asset_id)), "asset")


def _shown(asset: ProjectAsset, response: Response) -> AssetModel:
    response.headers["ETag"] = f'"{asset.state.digest}"'
    return AssetModel.of(asset)


def content_response(digest: Digest, content: bytes | None) -> Response:
    """Return the response with a user's content; None: the caller has it, which is 304.

    No browser shall take it for a page of ours.
    """
    headers = {
        "ETag": f'"{digest}"',
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": "attachment",
    }
    if content is None:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=_OCTETS)


def _content(
    context: RequestContext, project: Project, asset: ProjectAsset, if_none_match: str | None
) -> Response:
    digest = asset.state.digest
    known = [] if if_none_match is None else [each.strip() for each in if_none_match.split(",")]
    if f'"{digest}"' in known:
        return content_response(digest, None)
    # None: it was edited since.
    return content_response(digest, existing(context.store(project).read(digest), "asset"))
