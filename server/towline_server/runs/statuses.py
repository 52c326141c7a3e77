"""Where every asset of a project stands against what its repository has now."""

from __future__ import annotations

from towline.resolutions import OnConflict
from towline.status import ProjectStatus, status
from towline_server.db.session import Database
from towline_server.errors import Unavailable
from towline_server.projects.domain import Project
from towline_server.projects.store import SqlStore

from .domain import Run, RunMode, RunRequest
from .repositories import Repositories

LOOK = RunRequest(mode=RunMode.DRY_RUN, on_conflict=OnConflict.SKIP, allow_empty=True)
"""What brings the repository's state here: a dry run, so that it shares fetches and bounds."""


def status_after(
    database: Database, repositories: Repositories, project: Project, look: Run
) -> ProjectStatus:
    """Where every asset stands, once a run of `LOOK` has ended.

    Its ``problem`` tells what keeps the revision from being compared with.

    Raises:
        Unavailable: the run did not come as far as a revision.
    """
    if look.target_revision is None:
        raise Unavailable(problem="the repository was not fetched")
    store = SqlStore(database, project.id)
    with repositories.of(project).cached() as remote, store.snapshot() as ours:
        return status(ours, remote, look.target_revision, limits=repositories.limits)
