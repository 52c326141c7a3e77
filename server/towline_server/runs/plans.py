"""Stored plans, undo, the status of a project and its conflicts: without a run.

Each is fenced as a run is: the store refuses a plan whose project has moved on, and a run that is
active meanwhile plans again.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from threading import Lock
from types import MappingProxyType
from typing import Any, TypeVar, cast
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from towline.apply import apply, check_kinds
from towline.errors import ContentMissing, InvalidTree, RemoteError, StalePlan
from towline.explain import Explanation, explain
from towline.model import AssetId, AssetState, Digest, Revision, ThreeWay
from towline.plan import Plan
from towline.ports import Applied, Remote, Watch
from towline.remotes.git import GitRemote
from towline.remotes.objects import Commit
from towline.report import Report, report_of
from towline.resolutions import SavedResolution
from towline.resolve import merge_rules, plan_conflicts
from towline.status import ProjectStatus, status
from towline.undo import plan_undo
from towline_server.audit.log import Action
from towline_server.db.clock import database_now
from towline_server.db.session import Database
from towline_server.errors import existing
from towline_server.projects.changes import record_in
from towline_server.projects.connection_tables import BindingRow
from towline_server.projects.domain import Project
from towline_server.projects.locking import hold
from towline_server.projects.store import SqlStore
from towline_server.projects.stored_plans import PlanEntry, StoredPlans
from towline_server.recent import Recent

from .conflicts import (
    Choice,
    Conflicts,
    ContentReader,
    ExplainedParty,
    conflict_of,
    explained,
    resolution,
)
from .domain import RunRequest
from .fetching import BoundRepository, FetchTarget, Repositories, SharedFetches
from .last_fetched import last_fetched, note_fetched
from .planning import check_request, options_of, plan_for, settings_left_to
from .previews import Preview, preview_at

T = TypeVar("T")

_REMEMBERED = 16
"""Statuses and conflicts of projects; each may have 1,000 assets."""


class Plans:
    """The plans of a database's projects. It does not authorise."""

    def __init__(
        self,
        database: Database,
        repositories: Repositories,
        fetches: SharedFetches,
    ) -> None:
        self._database = database
        self._repositories = repositories
        self._fetches = fetches
        self._recent = Recent[Hashable, Any](_REMEMBERED)
        self._recent_lock = Lock()

    # --- plans --------------------------------------------------------------------------------

    def make(self, project_id: UUID, request: RunRequest) -> PlanEntry:
        """Fetch, plan, and store the plan; nothing else changes.

        Raises:
            NotFound, NotAssociated, UnknownKind: the request does not fit a project.
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
        settings = settings_left_to(project, request)
        with self._database.writing() as session:
            hold(session, project_id)
            now = database_now(session)
            plan_id = StoredPlans(session, project_id).put(plan, now, settings)
            record_in(session, project_id, Action.PLAN_STORED, plan_id, revision=plan.revision)
        plan = replace(plan, source=None)
        return PlanEntry(id=plan_id, created_at=now, plan=plan, settings=settings)

    def preview(self, project: Project, *, exists: bool = False) -> Preview:
        """Fetch, and return what would be an asset of a project, which need not exist.

        Raises:
            NotAssociated: the project is bound to nothing.
            TowlineError: as `towline.pull.plan_pull`.
        """
        store = SqlStore(self._database, project.id) if exists else None
        with self._bound(project) as (repository, remote):
            revision = self._fetch(repository)
            return preview_at(project, remote, revision, self._repositories.limits, store)

    def get(self, project_id: UUID, plan_id: UUID) -> PlanEntry:
        """Return a stored plan. Raises NotFound, InvalidPlan."""
        with self._database.reading() as session:
            return StoredPlans(session, project_id).find(plan_id)

    def discard(self, project_id: UUID, plan_id: UUID) -> None:
        """Delete a stored plan. Raises NotFound."""
        with self._database.writing() as session:
            stored = StoredPlans(session, project_id)
            stored.find(plan_id)
            stored.remove(plan_id)
            record_in(session, project_id, Action.PLAN_DISCARDED, plan_id)

    def apply(self, project_id: UUID, plan_id: UUID) -> Report:
        """Apply a stored plan, and delete it.

        Raises:
            NotFound: there is no such plan (any more).
            StalePlan: the project, its kinds, settings or binding changed since it was made.
            TowlineError: as `towline.apply.apply`.
        """
        project = self._repositories.project(project_id)
        entry = self.get(project_id, plan_id)
        self._check_fresh(project, entry)

        def before_commit(session: Session, applied: Applied) -> None:
            StoredPlans(session, project_id).remove(plan_id)
            record_in(session, project_id, Action.PLAN_APPLIED, plan_id, pull=applied.number)

        store = SqlStore(self._database, project_id, before_commit=before_commit)
        watch, plan = Watch(now=self._database.now()), entry.plan
        with self._bound(project) as (repository, remote):
            try:
                return apply(plan, store, contents=remote, watch=watch)
            except ContentMissing:
                # This machine never fetched it, or its cache has lost it.
                self._fetch(repository, plan.revision)
                return apply(plan, store, contents=remote, watch=watch)

    def undo(self, project_id: UUID, pull: int | None) -> Report:
        """Undo a pull: the last one, or that of a number.

        Raises:
            UnknownPull, UndoBlocked: as `towline.undo.plan_undo`.
            TowlineError: as `towline.apply.apply`.
        """

        def before_commit(session: Session, applied: Applied) -> None:
            record_in(session, project_id, Action.PULL_UNDONE, pull or "last", pull=applied.number)

        store = SqlStore(self._database, project_id, before_commit=before_commit)
        plan = plan_undo(store, pull)
        return apply(plan, store, watch=Watch(now=self._database.now()))

    def undo_report(self, project_id: UUID, pull: int | None) -> Report:
        """Return what `undo` would report. Raises as `towline.undo.plan_undo`."""
        return report_of(plan_undo(SqlStore(self._database, project_id), pull))

    # --- status ------------------------------------------------------------------------------

    def status(self, project_id: UUID, *, fresh: bool = False) -> ProjectStatus:
        """Compare every asset with the revision that was fetched last, or with ``fresh`` a new one.

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
            options = options_of(RunRequest(), project, self._repositories.limits)

            def compared() -> ProjectStatus:
                return status(store, remote, revision, options=options)

            try:
                self._ensure_fetched(repository, remote, revision)
            except RemoteError:
                return compared()  # with a problem
            return self._remembered("status", store, revision, compared)

    # --- conflicts ----------------------------------------------------------------------------

    def conflicts(self, project_id: UUID, *, fresh: bool = False) -> Conflicts:
        """Return the conflicts that a pull of that revision would have. Raises as `make`.

        Those that a saved resolution settles are among them.
        """
        project = self._repositories.project(project_id)
        store = SqlStore(self._database, project_id)
        with self._bound(project) as (repository, remote):
            revision = self._revision(project, repository, fresh=fresh)
            if revision is None:
                return Conflicts()
            self._ensure_fetched(repository, remote, revision)
            options = options_of(RunRequest(), project, self._repositories.limits)

            def planned() -> Conflicts:
                with store.snapshot() as ours:
                    return Conflicts(planned=plan_conflicts(ours, remote, revision, options))

            return self._remembered("conflicts", store, revision, planned)

    def explained(self, project_id: UUID, plan: Plan, asset_id: str) -> tuple[ExplainedParty, ...]:
        """Compare the parties of a plan's conflict that an asset is in.

        Raises:
            NotFound: it is in none.
            TowlineError: as `make`.
        """
        with self._reading(project_id, plan.revision) as (reader, project):
            return explained(plan, asset_id, reader, project)

    def compared(
        self,
        project_id: UUID,
        states: ThreeWay[AssetState | None],
        *,
        revision: Revision | None = None,
        known: Mapping[Digest, bytes] = MappingProxyType({}),
    ) -> tuple[Explanation, Mapping[Digest, bytes]]:
        """Compare states of an asset, as closely as the contents that are here allow.

        Contents are the project's, a revision's, and ``known``, which no repository has. Returns
        those that were read, too. Raises as `make`.
        """
        with self._reading(project_id, revision) as (reader, project):
            reader.saved.update(known)
            mode = project.settings.content_merge
            rules = merge_rules(states, reader.read, project.kinds, mode)
            return explain(states, reader.read, rules), reader.saved

    def resolve(
        self,
        project_id: UUID,
        choices: Mapping[str, Choice],
        *,
        found: Conflicts | None = None,
    ) -> tuple[SavedResolution, ...]:
        """Save how the conflicts of assets are settled, for the pulls to come: all, or none.

        ``found`` are the conflicts of just now, where the caller has them. What changes meanwhile
        loses nothing: a resolution is used for the contents alone that it was made for.

        Raises:
            NotFound: an asset is in no conflict with what was fetched last.
            ConflictMoved, InvalidResolution, InvalidValue: as `conflicts.resolution`.
            TowlineError: as `make`.
        """
        plan = existing((found or self.conflicts(project_id)).plan, "conflict")
        with self._reading(project_id, plan.revision) as (reader, project):
            made = tuple(
                resolution(plan, asset_id, choice, reader, project)
                for asset_id, choice in choices.items()
            )
        SqlStore(self._database, project_id).save_resolutions(made)
        return made

    def last_change(
        self, project_id: UUID, states: ThreeWay[AssetState | None], found: Conflicts
    ) -> Commit | None:
        """Return the commit that last changed theirs of an asset, where the history says so."""
        state, revision = states.theirs or states.base, found.revision
        if state is None or revision is None:
            return None
        with (
            self._bound(self._repositories.project(project_id)) as (_, remote),
            suppress(InvalidTree),  # a malformed commit says nothing of who made it
        ):
            return cast(GitRemote, remote).last_change(state.path, revision)
        return None

    def unresolve(self, project_id: UUID, asset_id: str) -> None:
        """Clear the saved resolution of one asset, whether it has lapsed or not.

        Raises:
            NotFound: it has none, and is in no conflict.
            TowlineError: as `make`.
        """
        store = SqlStore(self._database, project_id)
        with store.snapshot() as ours:
            saved = [each.asset_id for each in ours.saved_resolutions()]
        if asset_id in saved:
            store.save_resolutions(clear=[AssetId(asset_id)])
        else:
            existing(conflict_of(self.conflicts(project_id).conflicts, asset_id), "conflict")

    # --- parts --------------------------------------------------------------------------------

    def _remembered(
        self, name: str, store: SqlStore, revision: Revision | None, make: Callable[[], T]
    ) -> T:
        """Return what was made of a project and a revision lately, or make it.

        Pages that follow a list ask for the same again and again. Whatever writes to a project
        raises its edition, so what is returned is never older than the project.
        """
        with store.snapshot() as ours:
            moment = ours.moment
        key = (name, store.project, moment.fence, moment.edition, revision)
        with self._recent_lock:
            if key in self._recent:
                self._recent.move_to_end(key)
                found: T = self._recent[key]
                return found
        made = make()
        if not getattr(made, "problem", ""):  # what could not be read may be there later
            with self._recent_lock:
                self._recent[key] = made
        return made

    @contextmanager
    def _bound(self, project: Project) -> Iterator[tuple[BoundRepository, Remote]]:
        repository = self._repositories.of(project)
        with repository.cached() as remote:
            yield repository, remote

    @contextmanager
    def _reading(
        self, project_id: UUID, revision: Revision | None
    ) -> Iterator[tuple[ContentReader, Project]]:
        """Open what reads the contents of a project, and of a revision as far as it is here."""
        project = self._repositories.project(project_id)
        with self._bound(project) as (repository, remote):
            with suppress(RemoteError):
                self._ensure_fetched(repository, remote, revision)
            yield ContentReader(SqlStore(self._database, project_id), remote), project

    def _fetch(self, repository: BoundRepository, revision: Revision | None = None) -> Revision:
        wanted = FetchTarget(
            repository=repository, limits=self._repositories.limits, revision=revision
        )
        return self._fetches.fetch(wanted, Watch(), since=self._database.now())

    def _ensure_fetched(
        self, repository: BoundRepository, remote: Remote, revision: Revision | None
    ) -> None:
        """Fetch a revision that this server has never fetched, or that its cache has lost."""
        if revision is not None and not remote.has(revision):
            self._fetch(repository, revision)

    def _check_fresh(self, project: Project, entry: PlanEntry) -> None:
        """Check what the store does not compare: the project's kinds, settings and binding."""
        check_kinds(entry.plan, project.kinds)
        if any(getattr(project.settings, name) != was for name, was in entry.settings.items()):
            raise StalePlan(reason="the project's settings were changed")
        with self._database.reading() as session:
            bound_at = session.scalar(
                select(BindingRow.bound_at).where(BindingRow.project_id == project.id)
            )
        if bound_at is not None and bound_at > entry.created_at:
            raise StalePlan(reason="the project was bound again")

    def _revision(
        self, project: Project, repository: BoundRepository, *, fresh: bool
    ) -> Revision | None:
        """Return a new revision, else the one that was fetched last under this binding."""
        if fresh:
            revision = self._fetch(repository)
            self._note_fetched(project, revision)
            return revision
        with self._database.reading() as session:
            found = last_fetched(session, project.id)
        if found is not None:
            return found
        with SqlStore(self._database, project.id).snapshot() as ours:
            return ours.state().base

    def _note_fetched(self, project: Project, revision: Revision) -> None:
        with self._database.writing() as session:
            note_fetched(session, project, revision)
