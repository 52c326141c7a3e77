"""Checks and plans what a request for a pull asks for; used by runs, and by stored plans."""

from __future__ import annotations

from towline.errors import NotAssociated
from towline.limits import Limits
from towline.model import Revision
from towline.options import Comparison, OnConflict, PullOptions
from towline.plan import Plan
from towline.ports import Remote, Snapshot, Watch
from towline.pull import plan_at
from towline_server.errors import BoundElsewhere, UnknownKind
from towline_server.projects.domain import Project

from .domain import RunMode, RunRequest
from .resetting import plan_as_asked


def check_request(request: RunRequest, project: Project) -> None:
    """Refuse what does not fit the project.

    Raises:
        UnknownKind: it is limited to a kind that the project does not have.
        NotAssociated: the project is bound to nothing.
        BoundElsewhere: the project is bound to something else than the run is for.
    """
    kind = request.kind
    if kind is not None and kind not in {each.name for each in project.kinds.kinds}:
        raise UnknownKind(kind=kind)
    if project.binding is None:
        raise NotAssociated(project=f"/{project.path}")
    if request.source is not None and not request.source.is_of(project.binding):
        raise BoundElsewhere(project=f"/{project.path}")


def options_of(request: RunRequest, project: Project, limits: Limits) -> PullOptions:
    """Return the options of a request's pull; the project's policy is the default."""
    full = request.mode is RunMode.FULL_REFRESH
    on_conflict = OnConflict.THEIRS if request.reset else request.on_conflict
    return PullOptions(
        resolutions=request.resolutions,
        on_conflict=on_conflict or project.on_conflict,
        only=request.selection,
        limits=limits,
        allow_empty=request.allow_empty,
        comparison=Comparison.FULL if full else Comparison.INCREMENTAL,
    )


def plan_for(
    request: RunRequest,
    ours: Snapshot,
    remote: Remote,
    revision: Revision,
    options: PullOptions,
    watch: Watch = Watch(),
) -> Plan:
    """What pulling a revision that is here would do. Raises as `towline.pull.plan_at`."""

    def planned(ours: Snapshot, options: PullOptions) -> Plan:
        return plan_at(ours, remote, revision, options, watch=watch)

    return plan_as_asked(ours, request, options, planned)
