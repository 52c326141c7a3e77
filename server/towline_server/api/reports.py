"""The library's reports on the wire, as `towline.report.report_json` gives them."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from towline.conflicts import Conflict
from towline.report import Report, conflict_json, report_json

from .assets import StateModel
from .models import Model


class ItemModel(Model):
    """What became of one asset."""

    asset_id: str | None
    path: str
    name: str
    kind: str
    rule: int | None
    """The row of the table of cases that decided it; null in an undo."""
    before: StateModel | None
    after: StateModel | None
    renamed_from: str | None
    merged: bool
    merged_by: str | None = None
    """What merged the content, where both sides had changed it: ``structure`` or ``lines``."""
    discarded: bool
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

    @classmethod
    def of(cls, conflict: Conflict) -> Self:
        """Return the model of a conflict."""
        return cls.model_validate(conflict_json(conflict))


class NoteModel(Model):
    """What a person should know of an asset that is pulled all the same."""

    asset_id: str
    path: str
    text: str


class ReportModel(Model):
    """What a pull did, or would do; an asset stands in at most one of the five lists."""

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
    """Every asset that is not as the revision has it, whichever pull left it so."""
    conflicts: list[ConflictModel]
    error_msgs: list[str]
    notes: list[NoteModel] = Field(default_factory=list)
    """New contents from which no embedded id can be read."""
    history_rewritten: bool | None

    @classmethod
    def of(cls, report: Report) -> Self:
        """Return the model of a report."""
        return cls.model_validate(report_json(report))


class AppliedModel(ReportModel):
    """What an applied plan did."""

    pull: int | None
    """Its number in the project's log; null: nothing was written."""

    @classmethod
    def of(cls, report: Report) -> Self:
        """Return the model of a report."""
        return cls.model_validate({**report_json(report), "pull": report.pull})
