"""Which runs a list shows, and a page of it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, or_

from . import tables
from .domain import Run, RunMode
from .states import RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs a list shows: those that fit every field that is set."""

    tenant_id: UUID | None = None
    project_id: UUID | None = None
    project_ids: tuple[UUID, ...] | None = None
    sync_id: UUID | None = None
    batch_id: UUID | None = None
    connection_id: UUID | None = None
    kind: str | None = None
    states: tuple[RunState, ...] | None = None
    of_one_kind: bool = False
    """Whether to leave out runs that are not limited to a kind, and dry ones: what is left are the
    pulls of APIs that know one operation a kind."""
    top_level: bool = False
    """Whether to leave out the children of runs that comprise others."""
    put_off: bool = True
    """Whether to show attempts that wait until they may be made."""
    latest_attempts: bool = False
    """Whether to leave out attempts that another one took the place of."""

    def conditions(self) -> list[ColumnElement[bool]]:
        """The same as conditions on `tables.Run`; a dialect may add its own."""
        run = tables.Run
        wanted = {
            run.tenant_id: self.tenant_id,
            run.project_id: self.project_id,
            run.sync_id: self.sync_id,
            run.batch_id: self.batch_id,
            run.connection_id: self.connection_id,
            run.kind: self.kind,
        }
        found: list[ColumnElement[bool]] = [
            column == value for column, value in wanted.items() if value is not None
        ]
        if self.project_ids is not None:
            found.append(run.project_id.in_(self.project_ids))
        if self.states is not None:
            found.append(run.state.in_(self.states))
        if self.of_one_kind:
            found += [run.kind.is_not(None), run.mode != RunMode.DRY_RUN]
        if self.top_level:
            found.append(run.parent_id.is_(None))
        if not self.put_off:
            found.append(or_(run.state != RunState.QUEUED, run.not_before.is_(None)))
        if self.latest_attempts:
            found.append(run.next_attempt_id.is_(None))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some of a list, and how long it is in all."""

    runs: tuple[Run, ...]
    total: int
    offset: int

    @property
    def has_next(self) -> bool:
        """Whether more follow."""
        return self.offset + len(self.runs) < self.total
