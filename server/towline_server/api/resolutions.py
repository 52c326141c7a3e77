"""``/conflicts/{asset}/resolution``: settle the conflict of one asset for the pulls to come."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Annotated, Self

from fastapi import APIRouter
from pydantic import ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from towline.model import Digest, ThreeWay
from towline.options import Side
from towline.resolutions import SavedResolution
from towline_server.runs.conflicts import Choice
from towline_server.web.schemas import PlainText, one_of, problems
from towline_server.web.waiting import wait_in_thread

from .access import Context, NativeRoute, ProjectForWriter
from .models import Base64, Body, Model, Pointer, Sha, Text

router = APIRouter(
    prefix="/projects/{project_id}/conflicts/{asset_id}/resolution", route_class=NativeRoute
)

_STRING: JsonDict = {"type": "string"}
_OBJECT: JsonDict = {"type": "object"}


class DigestsBody(Body):
    """The contents that the caller saw; null where a side lacks the asset."""

    base: Sha | None
    ours: Sha | None
    theirs: Sha | None


class ContentBody(Body):
    """Bytes: as text, or in Base64."""

    model_config = ConfigDict(json_schema_extra=one_of(text=_STRING, base64=_STRING))

    text: PlainText | None = None
    base64: Base64 | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.text is None) == (self.base64 is None):
            raise ValueError("needs either text or base64")
        return self

    @property
    def content(self) -> bytes:
        """The bytes."""
        if self.text is not None:
            return self.text.encode()
        return b64decode(self.base64 or "", validate=True)


class ResolutionBody(Body):
    """How to settle the conflict of one asset: by one of side, fields and content."""

    model_config = ConfigDict(
        json_schema_extra=one_of(side=_STRING, fields=_OBJECT, content=_OBJECT)
    )

    side: Side | None = None
    fields: Annotated[dict[Pointer, Side], Field(min_length=1, max_length=10_000)] | None = None
    """A side for each of the conflict's ``clashes``, by pointer; the rest is merged."""
    content: ContentBody | None = None
    """Not where paths clash."""
    digests: DigestsBody | None = None
    """If they are given, the conflict must still be of these contents."""

    @model_validator(mode="after")
    def _one_of_three(self) -> Self:
        given = [each is not None for each in (self.side, self.fields, self.content)]
        if given.count(True) != 1:
            raise ValueError("needs one of side, fields and content")
        return self

    def choice(self) -> Choice:
        """Return what the body says."""
        digests = None
        if self.digests is not None:
            shas = ThreeWay(self.digests.base, self.digests.ours, self.digests.theirs)
            digests = shas.map(lambda sha: None if sha is None else Digest(sha))
        return Choice(
            side=self.side,
            fields=self.fields,
            content=None if self.content is None else self.content.content,
            digests=digests,
        )


class ContentModel(Model):
    """A content: as text where it is UTF-8, else in Base64."""

    digest: str
    size: int | None
    text: str | None = None
    base64: str | None = None


class DigestsModel(Model):
    """The contents that a resolution is bound to; null where a side lacks the asset."""

    base: str | None
    ours: str | None
    theirs: str | None


class ResolutionModel(Model):
    """How a person settled the conflict of one asset: by one of side, fields and content.

    It is used while the asset's contents, paths and executable bits are those that it was made for.
    """

    asset_id: str
    side: Side | None
    fields: dict[str, Side] | None
    content: ContentModel | None
    digests: DigestsModel


def shown_resolution(saved: SavedResolution) -> ResolutionModel:
    """Return the model of a saved resolution."""
    content = None
    if saved.content is not None:
        digest, size = Digest.of(saved.content), len(saved.content)
        content = {"digest": digest, "size": size, **shown_bytes(saved.content)}
    return ResolutionModel.of(
        {
            "asset_id": saved.asset_id,
            "side": saved.side,
            "fields": dict(saved.fields) or None,
            "content": content,
            "digests": saved.digests.by_side(),
        }
    )


def shown_bytes(content: bytes) -> dict[str, str]:
    """Return bytes as a part of a `ContentModel`."""
    try:
        return {"text": content.decode()}
    except UnicodeDecodeError:
        return {"base64": b64encode(content).decode()}


@router.put("", response_model_exclude_unset=True, responses=problems(409, 502, 504))
async def resolve_conflict(
    context: Context, project: ProjectForWriter, asset_id: Text, body: ResolutionBody
) -> ResolutionModel:
    """Save a resolution for the conflict of one asset, replacing any earlier one."""
    plans, choice = context.services.plans, body.choice()
    if choice.content is not None:
        context.check_size(choice.content)
    [made] = await wait_in_thread(lambda: plans.resolve(project.id, {asset_id: choice}))
    return shown_resolution(made)


@router.delete("", status_code=204, responses=problems(409, 502, 504))
async def unresolve_conflict(context: Context, project: ProjectForWriter, asset_id: Text) -> None:
    """Delete the saved resolution of one asset, if there is one; its conflict is open again."""
    plans = context.services.plans
    await wait_in_thread(lambda: plans.unresolve(project.id, asset_id))
