"""Plans that were made to be looked at, and wait to be applied."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from uuid import UUID, uuid4

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from towline.frozen import frozen
from towline.plan import Plan
from towline.planfile import dump_plan, load_plan
from towline_server.errors import existing

from .asset_tables import StoredPlanRow


@frozen(kw_only=True)
class PlanEntry:
    """A plan that waits, and since when; ``settings`` are as `StoredPlanRow` has them."""

    id: UUID
    created_at: datetime
    plan: Plan
    settings: Mapping[str, str]


class StoredPlans:
    """The stored plans of one project, through a session that the caller commits."""

    def __init__(self, session: Session, project_id: UUID) -> None:
        self._session = session
        self._project_id = project_id

    def put(
        self, plan: Plan, at: datetime, settings: Mapping[str, str] = MappingProxyType({})
    ) -> UUID:
        """Store a plan; returns the id under which it waits."""
        stored = StoredPlanRow(
            id=uuid4(),
            project_id=self._project_id,
            created_at=at,
            settings=dict(settings),
            document=dump_plan(plan),
        )
        self._session.add(stored)
        self._session.flush()
        return stored.id

    def find(self, plan_id: UUID) -> PlanEntry:
        """A plan that waits here.

        Raises:
            NotFound: this project has none of that id (any more).
            InvalidPlan: another version of towline stored it.
        """
        mine = (StoredPlanRow.project_id == self._project_id, StoredPlanRow.id == plan_id)
        row = existing(self._session.scalar(select(StoredPlanRow).where(*mine)), "plan")
        return PlanEntry(
            id=row.id,
            created_at=row.created_at,
            plan=load_plan(row.document),
            settings=row.settings,
        )

    def waiting(self) -> tuple[tuple[UUID, datetime], ...]:
        """The plans that wait here, newest first: their ids, and since when."""
        mine = StoredPlanRow.project_id == self._project_id
        found = select(StoredPlanRow.id, StoredPlanRow.created_at).where(mine)
        newest = found.order_by(StoredPlanRow.created_at.desc(), StoredPlanRow.id)
        return tuple((row.id, row.created_at) for row in self._session.execute(newest))

    def remove(self, plan_id: UUID) -> None:
        """Drop a plan. What is not there is dropped already."""
        mine = (StoredPlanRow.project_id == self._project_id, StoredPlanRow.id == plan_id)
        self._session.execute(delete(StoredPlanRow).where(*mine))
