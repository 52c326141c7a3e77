"""Plans that are made now and applied later, undo, and how a project stands: without a run.

Each is fenced as a run is: the store refuses a plan whose project moved on, and what it writes
takes the project from a run that is under way, which then plans anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from towline.apply import apply
from towline.conflicts import Conflict
from towline.errors import ContentMissing, RemoteError, StalePlan, UnknownAssets
from towline.explain import Explanation, explain
from towline.model import AssetState, Digest, Revision, ThreeWay
from towline.options import OnConflict, PullOptions
from towline.plan import Plan
from towline.ports import Applied, Remote, Watch
from towline.pull import plan_at
from towline.report import Report, report_of
from towline.status import ProjectStatus, status
from towline.undo import plan_undo
from towline_server.db.clock import DatabaseNow, database_now
from towline_server.db.session import Database
from towline_server.projects.connection_tables import Binding
from towline_server.projects.domain import Project
from towline_server.projects.locking import hold
from towline_server.projects.store import Run as OnBehalf
from towline_server.projects.store import SqlStore
from towline_server.projects.stored_plans import PlanEntry, StoredPlans

from . import tables
from .domain import RunRequest
from .fetching import FetchTarget, SharedFetches
from .planning import check_request, options_of, plan_for
from .repositories import Repositories, Repository

KEPT = timedelta(days=7)
"""How long a plan waits to be applied."""
_SKEW = timedelta(seconds=1)
"""Bindings are stamped by a server's clock, runs by the database's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflicts:
    """What stays in conflict between a project and a revision."""

    base: Revision | None
    revision: Revision | None
    """None: nothing was ever fetched, so that nothing can conflict."""
    conflicts: tuple[Conflict, ...]


class Plans:
    """The plans of a database's projects. It authorises nobody."""

    def __init__(
        self,
        database: Database,
        repositories: Repositories,
        fetches: SharedFetches,
        *,
        now: DatabaseNow = database_now,
    ) -> None:
        self._database = database
        self._repositories = repositories
        self._fetches = fetches
        self._now = now

    # --- plans --------------------------------------------------------------------------------

    def make(self, project_id: UUID, request: RunRequest) -> PlanEntry:
        """Fetch, plan, and keep the plan to be applied; nothing else changes.

        Raises:
            NotFound, NotAssociated, UnknownKind: there is nothing that could be planned.
            TowlineError: as `towline.pull.plan_pull`.
        """
        project = self._repositories.project(project_id)
        check_request(request, project)
        options = options_of(request, project, self._repositories.limits)
        store = SqlStore(self._database, project_id)
        with self._bound(project) as (repository, remote):
            revision = self._fetch(repository, request.revision)
            with store.snapshot() as ours:
                plan = plan_for(request, ours, remote, revision, options)
        if request.revision is None:
            self._note_fetched(project, revision)
        return self._store(project_id, plan)

    def get(self, project_id: UUID, plan_id: UUID) -> PlanEntry:
        """A plan that waits. Raises NotFound, InvalidPlan."""
        with self._database.reading() as session:
            return StoredPlans(session, project_id).find(plan_id)

    def discard(self, project_id: UUID, plan_id: UUID) -> None:
        """Drop a plan. Raises NotFound."""
        with self._database.writing() as session:
            stored = StoredPlans(session, project_id)
            stored.find(plan_id)
            stored.remove(plan_id)

    def apply(self, project_id: UUID, plan_id: UUID) -> Report:
        """Carry out a plan that waits; it waits no longer.

        Raises:
            NotFound: there is no such plan (any more).
            StalePlan: the project, its kinds or its binding changed since it was made.
            TowlineError: as `towline.apply.apply`.
        """
        project = self._repositories.project(project_id)
        entry = self.get(project_id, plan_id)
        self._check_fresh(project, entry)

        def also(session: Session, _applied: Applied) -> None:
            StoredPlans(session, project_id).remove(plan_id)

        store = SqlStore(self._database, project_id, run=OnBehalf(also=also))
        watch, plan = Watch(now=self._time()), entry.plan
        with self._bound(project) as (repository, remote):
            try:
                return apply(plan, store, contents=remote, watch=watch)
            except ContentMissing:
                # This machine never fetched it, or its cache lost it.
                self._fetch(repository, plan.revision)
                return apply(plan, store, contents=remote, watch=watch)

    def undo(self, project_id: UUID, pull: int | None) -> Report:
        """Take back a pull: the last one, or that of a number.

        Raises:
            UnknownPull, UndoBlocked: as `towline.undo.plan_undo`.
            TowlineError: as `towline.apply.apply`.
        """
        store = SqlStore(self._database, project_id)
        plan = plan_undo(store, pull)
        return apply(plan, store, watch=Watch(now=self._time()))

    def undo_report(self, project_id: UUID, pull: int | None) -> Report:
        """What `undo` would report; nothing changes. Raises as `towline.undo.plan_undo`."""
        return report_of(plan_undo(SqlStore(self._database, project_id), pull))

    # --- how it stands ------------------------------------------------------------------------

    def status(self, project_id: UUID, *, fresh: bool = False) -> ProjectStatus:
        """Every asset against the revision that was fetched last, or with ``fresh`` one of now.

        Raises:
            NotFound: there is no such project.
            NotAssociated, TowlineError: with ``fresh``, as `make`.
        """
        project = self._repositories.project(project_id)
        store = SqlStore(self._database, project_id)
        if project.binding is None and not fresh:
            return status(store, None, None)
        with self._bound(project) as (repository, remote):
            revision = self._revision(project, repository, fresh=fresh)
            with suppress(RemoteError):  # what is not compared with is told as a problem
                self._bring(repository, remote, revision)
            return status(store, remote, revision, limits=self._repositories.limits)

    def conflicts(self, project_id: UUID, *, fresh: bool = False) -> Conflicts:
        """What a pull of that revision would leave in conflict. Raises as `make`."""
        project = self._repositories.project(project_id)
        store = SqlStore(self._database, project_id)
        with self._bound(project) as (repository, remote):
            revision = self._revision(project, repository, fresh=fresh)
            if revision is None:
                return Conflicts(base=None, revision=None, conflicts=())
            self._bring(repository, remote, revision)
            # Skipping keeps each conflict as it is.
            options = PullOptions(on_conflict=OnConflict.SKIP, limits=self._repositories.limits)
            with store.snapshot() as ours:
                plan = plan_at(ours, remote, revision, options)
        return Conflicts(base=plan.before.base, revision=revision, conflicts=plan.conflicts)

    def explained(
        self, project_id: UUID, revision: Revision | None, conflict: Conflict
    ) -> tuple[tuple[str, Explanation], ...]:
        """The close view of each party of a conflict with a revision, by asset id.

        What cannot be read any more is told by its digest. Raises as `make`.
        """
        project = self._repositories.project(project_id)
        store = SqlStore(self._database, project_id)
        with self._bound(project) as (repository, remote):
            with suppress(RemoteError):
                self._bring(repository, remote, revision)
            return tuple(
                (party.asset_id, _told_apart(party.states, store, remote))
                for party in conflict.parties
            )

    # --- parts --------------------------------------------------------------------------------

    @contextmanager
    def _bound(self, project: Project) -> Iterator[tuple[Repository, Remote]]:
        repository = self._repositories.of(project)
        with repository.cached() as remote:
            yield repository, remote

    def _time(self) -> datetime:
        with self._database.reading() as session:
            return self._now(session)

    def _fetch(self, repository: Repository, revision: Revision | None = None) -> Revision:
        wanted = FetchTarget(
            repository=repository, limits=self._repositories.limits, revision=revision
        )
        return self._fetches.fetch(wanted, Watch(), since=self._time())

    def _bring(self, repository: Repository, remote: Remote, revision: Revision | None) -> None:
        """Fetch a revision that another server fetched, or that this one's cache lost."""
        if revision is not None and not remote.has(revision):
            self._fetch(repository, revision)

    def _store(self, project_id: UUID, plan: Plan) -> PlanEntry:
        with self._database.writing() as session:
            hold(session, project_id)
            now = self._now(session)
            stored = StoredPlans(session, project_id)
            stored.remove_older(now - KEPT)
            plan_id = stored.put(plan, now)
        return PlanEntry(id=plan_id, created_at=now, plan=replace(plan, source=None))

    def _check_fresh(self, project: Project, entry: PlanEntry) -> None:
        """The store compares its own state alone; what the project is called may have changed."""
        after = entry.plan.after
        if after.fingerprint != project.kinds.fingerprint:
            raise StalePlan(reason="the project's kinds were changed")
        with self._database.reading() as session:
            bound_at = session.scalar(
                select(Binding.bound_at).where(Binding.project_id == project.id)
            )
        if bound_at is not None and bound_at > entry.created_at:
            raise StalePlan(reason="the project was bound anew")

    def _revision(
        self, project: Project, repository: Repository, *, fresh: bool
    ) -> Revision | None:
        """The revision to compare with: of now, else what was fetched last under this binding."""
        if fresh:
            revision = self._fetch(repository)
            self._note_fetched(project, revision)
            return revision
        with self._database.reading() as session:
            bound = session.get(Binding, project.id)
            found = None if bound is None else _fetched_last(session, bound)
        if found is not None:
            return found
        with SqlStore(self._database, project.id).snapshot() as ours:
            return ours.state().base

    def _note_fetched(self, project: Project, revision: Revision) -> None:
        """Remember what was fetched, unless the project is bound to something else by now."""
        bound = project.bound
        same = (
            Binding.project_id == project.id,
            Binding.connection_id == bound.connection_id,
            Binding.ref == bound.ref,
            Binding.scope == bound.scope,
        )
        with self._database.writing() as session:
            values = {"fetched_revision": revision, "fetched_at": self._now(session)}
            session.execute(update(Binding).where(*same).values(**values))


def _fetched_last(session: Session, bound: Binding) -> Revision | None:
    """What was fetched last under a binding, by a run or without one."""
    row = session.execute(_fetched_by_runs(bound).limit(1)).first()
    if row is None or (bound.fetched_at is not None and row.at < bound.fetched_at):
        return bound.fetched_revision
    return cast(Revision, row.target_revision)


def _fetched_by_runs(bound: Binding) -> Select[Revision | None, datetime]:
    """The revisions that runs fetched since the project was bound so, the last one first."""
    run = tables.Run
    at = func.coalesce(run.completed_at, run.updated_at).label("at")
    fetched = select(run.target_revision, at).where(
        run.project_id == bound.project_id,
        run.connection_id == bound.connection_id,
        run.target_revision.is_not(None),
        run.created_at >= bound.bound_at - _SKEW,
    )
    return fetched.order_by(run.created_at.desc(), run.position.desc(), run.id)


def conflict_of(conflicts: tuple[Conflict, ...], asset_id: str) -> Conflict:
    """The conflict that an asset is party to.

    Raises:
        UnknownAssets: it is in none.
    """
    for conflict in conflicts:
        if any(party.asset_id == asset_id for party in conflict.parties):
            return conflict
    raise UnknownAssets(asset_ids=(asset_id,))


def _told_apart(
    states: ThreeWay[AssetState | None], store: SqlStore, remote: Remote
) -> Explanation:
    def read(digest: Digest) -> bytes | None:
        if (content := store.read(digest)) is not None:
            return content
        try:
            return next((found for _, found in remote.contents([digest])), None)
        except ContentMissing:
            return None

    return explain(states, read)
