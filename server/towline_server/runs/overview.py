"""The state of many projects, from what is recorded: a few statements for them all.

Nothing is fetched or compared: `towline.status` does that for one project.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ScalarSelect, func, select
from sqlalchemy.orm import Session

from towline.frozen import frozen
from towline.model import Revision
from towline_server.projects.asset_tables import AssetRow, PullRow
from towline_server.projects.connection_tables import BindingRow
from towline_server.projects.domain import Project
from towline_server.projects.tables import ProjectRow

from .domain import Run, RunMode
from .states import TERMINAL, UNENDED, ResultClass
from .tables import RunRow, list_runs


class ProjectState(StrEnum):
    """The state of a project, as far as it is known without a fetch; the first one that fits."""

    NOT_BOUND = "not_bound"
    RUNNING = "running"
    """A run of it waits, or is executed."""
    FAILED = "failed"
    """Its last run failed, and not because of conflicts."""
    CONFLICTS = "conflicts"
    """Its last run refused or skipped conflicts."""
    NOT_PULLED = "not_pulled"
    BEHIND = "behind"
    """Another revision was fetched than it has, or some of its assets are behind it."""
    UP_TO_DATE = "up_to_date"


@frozen(kw_only=True)
class Overview:
    """A project in a list."""

    project: Project
    state: ProjectState
    assets: int
    """How many it tracks."""
    behind: int
    """How many are not as the pulled revision has them."""
    conflicts: int
    """How many its last run refused or skipped."""
    base: Revision | None
    fetched: Revision | None
    """The revision that was fetched last; None: that of the base, or none."""
    run: Run | None
    """The run that has not ended, else the last one that has."""
    pulled_at: datetime | None
    """When its log was last written."""


def overviews(session: Session, projects: Sequence[Project]) -> tuple[Overview, ...]:
    """Return the overview of each of these projects, in their order."""
    ids = [project.id for project in projects]
    rows = {row.id: row for row in session.execute(_recorded(ids))}
    runs = _runs(session, [each for row in rows.values() for each in (row.going, row.ended)])
    behind = _behind(session, ids)
    return tuple(
        _overview(project, rows[project.id], runs, behind.get(project.id, 0))
        for project in projects
    )


def last_conflicts(session: Session, project_id: UUID) -> int:
    """Return how many conflicts the last run of a project refused or skipped."""
    project, run = ProjectRow, RunRow
    ended = select(run.counts).join(project, project.id == run.project_id)
    last = ended.where(project.id == project_id, run.id == _newest(TERMINAL))
    return _conflicts(session.scalar(last))


def _conflicts(counts: Mapping[str, int] | None) -> int:
    return 0 if counts is None else counts.get("conflicts", 0)


def _recorded(ids: Sequence[UUID]) -> Any:
    project, bound = ProjectRow, BindingRow
    pulled_at = (
        select(PullRow.at)
        .where(PullRow.project_id == project.id, PullRow.number == project.pulls)
        .scalar_subquery()
    )
    return (
        select(
            project.id,
            project.base,
            project.tracked,
            bound.fetched_revision,
            bound.fetched_at,
            pulled_at.label("pulled_at"),
            _newest(UNENDED).label("going"),
            _newest(TERMINAL).label("ended"),
        )
        .outerjoin(bound, bound.project_id == project.id)
        .where(project.id.in_(ids))
    )


def _newest(states: Sequence[str]) -> ScalarSelect[UUID]:
    """Select a project's newest run in these states, dry runs and children aside."""
    run = RunRow
    mine = (run.project_id == ProjectRow.id, run.state.in_(states))
    whole = (run.parent_id.is_(None), run.mode != RunMode.DRY_RUN)
    newest = select(run.id).where(*mine, *whole).order_by(run.created_at.desc(), run.id)
    return newest.limit(1).correlate(ProjectRow).scalar_subquery()


def _runs(session: Session, ids: Sequence[UUID | None]) -> Mapping[UUID, Run]:
    wanted = [each for each in ids if each is not None]
    found = list_runs(session, select(RunRow).where(RunRow.id.in_(wanted)))
    return {run.id: run for run in found}


def _behind(session: Session, ids: Sequence[UUID]) -> Mapping[UUID, int]:
    asset = AssetRow
    lagging = (asset.project_id.in_(ids), asset.lagging.is_(True))
    query = select(asset.project_id, func.count()).where(*lagging).group_by(asset.project_id)
    return {row[0]: row[1] for row in session.execute(query)}


def _overview(project: Project, row: Any, runs: Mapping[UUID, Run], behind: int) -> Overview:
    going, ended = runs.get(row.going), runs.get(row.ended)
    fetched = _fetched(row, ended)
    return Overview(
        project=project,
        state=_state(project, going, ended, is_behind=behind > 0 or fetched is not None, row=row),
        assets=row.tracked,
        behind=behind,
        conflicts=0 if ended is None else _conflicts(ended.counts),
        base=row.base,
        fetched=fetched,
        run=going or ended,
        pulled_at=row.pulled_at,
    )


def _fetched(row: Any, ended: Run | None) -> Revision | None:
    """Return what was fetched last, where it is another revision than the base."""
    by_run = None if ended is None else ended.target_revision
    at = None if ended is None else ended.completed_at
    is_later = row.fetched_at is not None and (at is None or row.fetched_at > at)
    found: Revision | None = row.fetched_revision if is_later else by_run
    return None if found == row.base else found


def _state(
    project: Project, going: Run | None, ended: Run | None, *, is_behind: bool, row: Any
) -> ProjectState:
    if project.binding is None:
        return ProjectState.NOT_BOUND
    if going is not None:
        return ProjectState.RUNNING
    if ended is not None and ended.error is not None:
        if ended.result_class is ResultClass.CONFLICT:
            return ProjectState.CONFLICTS
        if ended.result_class is not ResultClass.CANCELLED:
            return ProjectState.FAILED
    if ended is not None and ended.counts and ended.counts.get("conflicts"):
        return ProjectState.CONFLICTS
    if row.base is None:
        return ProjectState.NOT_PULLED
    return ProjectState.BEHIND if is_behind else ProjectState.UP_TO_DATE
