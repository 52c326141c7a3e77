"""Models that the resources of the native API share: pages, assets, reports."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Self, TypeVar

from fastapi import Depends, Query
from pydantic import (
    AfterValidator,
    AliasPath,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Secret,
    StringConstraints,
    model_validator,
)

from towline.conflicts import Conflict
from towline.errors import InvalidValue
from towline.frozen import frozen
from towline.report import Report, conflict_json, report_json
from towline_server.web.schemas import PlainText

T = TypeVar("T")
M = TypeVar("M", bound="Model")

_LINE = r"^[^\x00-\x1F\x7F]*$"

Text = Annotated[str, StringConstraints(max_length=1024, pattern=_LINE)]
"""A line of text."""
Name = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=_LINE)]
Sha = Annotated[str, StringConstraints(pattern="^[0-9a-f]{40}$")]
Base64 = Annotated[
    str,
    StringConstraints(pattern="^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"),
]
Pointer = Annotated[str, StringConstraints(max_length=1024, pattern=r"^(?:/[^\x00-\x1F\x7F]*)?$")]
"""A JSON pointer (RFC 6901)."""
Flag = Annotated[bool, Field(strict=True)]
"""A JSON boolean; neither 1 nor "true"."""
HIDDEN = Field(json_schema_extra={"format": "password", "writeOnly": True})
"""Marks a secret in the OpenAPI document."""
Hidden = Annotated[Secret[PlainText], HIDDEN]


_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def _of_text(value: object) -> object:
    """Pydantic would take a number, as seconds since 1970."""
    if not isinstance(value, str) or not re.match(r"\d{4}-\d\d-\d\dT", value, re.ASCII):
        raise ValueError("must be a time, such as 2026-01-05T09:00:00Z")
    return value


def _in_utc(moment: datetime) -> datetime:
    """Return the same moment; the first or the last that there is in UTC, where it is beyond."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return _FIRST if moment.year == 1 else _LAST


Moment = Annotated[AwareDatetime, BeforeValidator(_of_text), AfterValidator(_in_utc)]
"""A time of a query, with its zone (RFC 3339)."""


class Model(BaseModel):
    """A part of a response."""

    model_config = ConfigDict(from_attributes=True)

    @classmethod
    def of(cls, value: Any) -> Self:
        """Return the model of a domain value, or of a mapping."""
        return cls.model_validate(value)


def at(path: str) -> Any:
    """Return a field whose value is at a path of attributes, such as ``plan.base``."""
    return Field(validation_alias=AliasPath(*path.split(".")))


class Body(BaseModel):
    """A part of a request; an unknown field is refused."""

    model_config = ConfigDict(extra="forbid")

    def given(self, *nullable: str) -> dict[str, Any]:
        """Return the fields that were given; a null counts in the ``nullable`` ones alone."""
        return {
            name: value
            for name in self.model_fields_set
            if (value := getattr(self, name)) is not None or name in nullable
        }


class Page(Model, Generic[T]):
    """Some of a list."""

    items: list[T]
    total: int
    limit: int
    offset: int
    has_next: bool


@frozen
class _Window:
    limit: Annotated[int, Query(ge=1, le=500)] = 50
    offset: Annotated[int, Query(ge=0, le=2**31)] = 0

    def page(self, model: type[M], values: Iterable[Any], total: int) -> Page[M]:
        """Return the page of a list that is ``total`` long; ``values`` are those on the page."""
        items = [model.of(value) for value in values]
        has_next = self.offset + len(items) < total
        return Page[model](  # type: ignore[valid-type] # pydantic makes a model of it at run time
            items=items, total=total, limit=self.limit, offset=self.offset, has_next=has_next
        )

    def slice(self, model: type[M], values: Sequence[Any]) -> Page[M]:
        """Return the page of a list of which ``values`` are all."""
        return self.page(model, values[self.offset : self.offset + self.limit], len(values))


Window = Annotated[_Window, Depends()]
"""The part of a list that a query names."""

MOST_GLOBS = 500
MOST_GLOB_CHARACTERS = 10_000
"""Of all globs together: each path is matched with each of them, within the server's process."""


def check_globs(globs: Collection[str], field: str) -> None:
    """Raise InvalidValue for globs that would take too long to match."""
    if len(globs) > MOST_GLOBS or sum(map(len, globs)) > MOST_GLOB_CHARACTERS:
        most = f"{MOST_GLOBS} globs of {MOST_GLOB_CHARACTERS} characters in all"
        raise InvalidValue(field=field, problem=f"may have at most {most}")


class StateModel(Model):
    """An asset on one side."""

    path: str
    digest: str
    executable: bool


class ItemModel(Model):
    """What became of one asset."""

    asset_id: str | None
    path: str
    name: str
    kind: str
    rule: int | None
    """The number of the case that decided it; null in an undo."""
    before: StateModel | None
    after: StateModel | None
    renamed_from: str | None
    merged: bool
    merged_by: str | None = None
    """What merged the content, where both sides had changed it: ``structure`` or ``lines``."""
    discarded: bool
    resolved: bool = False
    """Whether a saved resolution decided it."""
    reason: str | None
    """Why it was ignored."""
    behind: str | None = None
    """Why it is not as the revision has it: ``conflict``, ``left_out`` (by a selection), or what
    the repository has there instead (``lfs_pointer``, ``symlink`` …)."""


class PartyModel(Model):
    """One asset of a conflict, on its three sides."""

    asset_id: str
    path: str
    name: str
    kind: str
    base: StateModel | None
    ours: StateModel | None
    theirs: StateModel | None


class ConflictModel(Model):
    """Assets that a pull cannot settle by itself."""

    kind: str
    path: str
    parties: list[PartyModel]
    blockers: list[str]
    """What never gives way, and must be moved first."""

    @model_validator(mode="before")
    @classmethod
    def _from_conflict(cls, value: Any) -> Any:
        return conflict_json(value) if isinstance(value, Conflict) else value


class NoteModel(Model):
    """What a person should know of an asset that is pulled all the same."""

    asset_id: str
    path: str
    text: str


class ReportModel(Model):
    """What a pull did, or would do; an asset is in at most one of the five lists."""

    status: str
    """``up-to-date``, ``updated`` or ``conflicts``."""
    base: str | None
    revision: str | None
    overwritten: list[ItemModel]
    updated: list[ItemModel]
    created: list[ItemModel]
    deleted: list[ItemModel]
    ignored: list[ItemModel]
    behind: list[ItemModel] = Field(default_factory=list)
    """Every asset that is not as the revision has it, from any pull."""
    conflicts: list[ConflictModel]
    error_msgs: list[str]
    notes: list[NoteModel] = Field(default_factory=list)
    """Embedded ids of new contents that cannot be read, are placeholders or occur twice; and saved
    resolutions that are not used."""
    history_rewritten: bool | None

    @model_validator(mode="before")
    @classmethod
    def _from_report(cls, value: Any) -> Any:
        is_report = isinstance(value, Report)
        return {**report_json(value), "pull": value.pull} if is_report else value


class AppliedModel(ReportModel):
    """What an applied plan did."""

    pull: int | None
    """Its number in the project's log; null: nothing was written."""
