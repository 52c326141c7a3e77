"""What executing a run needs of the database, read when the run is taken."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from towline.errors import TowlineError
from towline.frozen import frozen
from towline.model import Revision
from towline_server.projects.domain import Project
from towline_server.projects.locking import claim
from towline_server.projects.service import Projects

from .domain import Run
from .fetching import BoundRepository, Repositories
from .tables import RunRow, run_of


@frozen(kw_only=True)
class Inputs:
    """A run, its project and its repository, at one moment: while the project has this fence."""

    run: Run
    project: Project
    """Bound to what the run is for."""
    fence: int
    base: Revision | None
    """The revision that the project has."""
    at: datetime
    """When they were read, by the database's clock."""
    found: BoundRepository | TowlineError
    tip: Revision | None = None
    """The revision that the last window of its parent ends with, once it is known."""

    @property
    def repository(self) -> BoundRepository:
        """The repository that the run pulls from. Raises as `Repositories.of`."""
        if isinstance(self.found, TowlineError):
            raise self.found
        return self.found


def claim_inputs(repositories: Repositories, session: Session, row: RunRow, at: datetime) -> Inputs:
    """Read what a run needs, and take its project's fence for the plan that it will apply.

    Raises:
        NotFound: the project was deleted.
    """
    fenced = claim(session, row.project_id)
    # The session has a row for as long as anything else has it: the connection is not read again.
    project, _connection = Projects(session).with_connection(row.project_id)
    run = run_of(row)
    if run.request.checkout is not None:
        project = replace(project, binding=run.request.checkout)
    found: BoundRepository | TowlineError
    try:
        found = repositories.read(session, project)
    except TowlineError as error:
        found = error
    return Inputs(
        run=run,
        project=project,
        fence=fenced.fence,
        base=fenced.base,
        at=at,
        found=found,
        tip=find_tip(session, run),
    )


def find_tip(session: Session, run: Run) -> Revision | None:
    """Return the revision that a run's parent ends with, of one by windows; None: not known."""
    if run.window is None:
        return None
    return session.scalar(select(RunRow.target_revision).where(RunRow.id == run.parent_id))
