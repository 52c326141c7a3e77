"""Executes a run: fetch, compare, apply.

Every step may be repeated from its start, by this process or by another. What a step writes is
fenced twice: by the lease in the run's row, and by the fence in the project's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from sqlalchemy.orm import Session

from towline.apply import apply
from towline.errors import (
    Cancelled,
    ContentMissing,
    StalePlan,
    StoreBusy,
    TowlineError,
)
from towline.model import Revision
from towline.plan import Plan
from towline.ports import Applied, Phase, Watch
from towline.remotes.git import GitRemote
from towline.report import report_of
from towline_server.db.clock import database_now
from towline_server.db.failures import FAILURES, passes, shown
from towline_server.db.jobs import RetryPolicy
from towline_server.db.session import Database
from towline_server.errors import DiskFull, LeaseLost, NotFound, WorkerShutdown
from towline_server.loops import Changes
from towline_server.projects.domain import Project
from towline_server.projects.locking import claim, store_errors
from towline_server.projects.service import Projects
from towline_server.projects.store import SqlStore

from .attempts import RETRIES, resume
from .completion import Completion, check_lease, complete, failed, refused, succeeded
from .domain import Lease, Run, RunMode
from .fetching import FetchTarget, Repositories, Repository, SharedFetches
from .planning import check_request, options_of, plan_for
from .queue import Leases, RunToken, Stop
from .states import STARTS_AT, RunState, progress_in
from .tables import find_row, run_of

_LOG = logging.getLogger("towline.runs")

_PLANS = 5
"""How often a stale plan is made again: then the project is edited all the time."""
_STEP = 5
"""The percent by which progress must grow to be written again: each time is a transaction."""

Boundary: TypeAlias = Callable[[UUID, str], None]
"""Called at the end of a step; tests stop or kill an executor there."""


def pass_boundary(_run_id: UUID, _name: str) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What executing runs needs."""

    database: Database
    leases: Leases
    repositories: Repositories
    fetches: SharedFetches
    changes: Changes
    retries: RetryPolicy = RETRIES
    boundary: Boundary = pass_boundary
    sleep: Callable[[float], None] = time.sleep


class Execution:
    """One run under one lease. Each step returns whether the next one follows."""

    def __init__(self, tools: Tools, lease: Lease, token: RunToken) -> None:
        self._tools = tools
        self._lease = lease
        self._token = token
        self._written: tuple[RunState, int] | None = None
        self._plan: Plan | None = None
        self._fence: int | None = None

    @property
    def run_id(self) -> UUID:
        """The run's id."""
        return self._lease.run_id

    def run(self) -> None:
        """Execute the run to its end."""
        if self.fetch() and self.compare():
            self.apply()

    def fetch(self) -> bool:
        """Fetch the revision that the run pulls."""
        return self._guarded(self._fetch)

    def compare(self) -> bool:
        """Make the plan. It ends a dry run, and one with conflicts that are refused."""
        return self._guarded(self._compare)

    def apply(self) -> bool:
        """Apply the plan and end the run, in one transaction."""
        return self._guarded(self._apply)

    # --- every step ---------------------------------------------------------------------------

    def _guarded(self, step: Callable[[], bool]) -> bool:
        """Do a step; its failure ends the run, and is not raised.

        While the database is away the step is repeated, for as long as the lease may last: its
        first write fails where another executor has the run by then.
        """
        for pause in _pauses(self._tools.leases.seconds):
            try:
                with store_errors(self._lease.project_id):
                    return step()
            except LeaseLost:
                return False
            except Cancelled:
                return self._stopped()
            except Exception as error:  # noqa: BLE001 - a run ends, whatever happens
                away = error.__cause__ if isinstance(error, TowlineError) else None
                if away is not None and passes(away) and pause is not None:
                    _LOG.warning("run %s waits for the database: %s", self.run_id, shown(away))
                    self._tools.sleep(pause)
                    continue
                if not isinstance(error, TowlineError):
                    _LOG.exception("run %s failed", self.run_id)
                elif isinstance(error, DiskFull):
                    _LOG.error("run %s failed: the disk is full", self.run_id)
                self._end(failed(error))
                return False
        return False

    def _stopped(self) -> bool:
        match self._token.why:
            case Stop.LOST:
                return False
            case Stop.SHUTDOWN:
                self._hand_back()
            case Stop.CANCELLED | None:
                self._end(failed(Cancelled()))
        return False

    def _hand_back(self) -> None:
        """End the run in favour of an attempt that the next free executor takes."""

        def follow(session: Session, now: datetime) -> None:
            # First, so that a parent which looks at its children sees that one follows.
            row = find_row(session, self.run_id, lock=True)
            if row.cancel_requested_at is None:
                resume(session, row, now, counted=False)

        self._end(failed(WorkerShutdown()), follow)

    def _end(
        self, completion: Completion, before: Callable[[Session, datetime], None] | None = None
    ) -> None:
        """End the run now, or once the database is back, unless another has ended it."""
        for pause in _pauses(None):
            try:
                with self._tools.database.writing() as session:
                    now = database_now(session)
                    if before is not None:
                        before(session, now)
                    complete(session, self._lease, completion, now, self._tools.retries)
                break
            except (LeaseLost, Cancelled, NotFound):
                return
            except FAILURES as error:
                if not passes(error) or pause is None or self._token.why is Stop.LOST:
                    # Its lease expires, and the reaper ends it.
                    _LOG.exception("the end of run %s could not be written", self.run_id)
                    return
                _LOG.warning("the end of run %s waits: %s", self.run_id, shown(error))
                self._tools.sleep(pause)
        self._tools.boundary(self.run_id, "ended")
        self._tools.changes.changed()

    def _enter(self, state: RunState) -> None:
        if self._token.is_set():
            raise Cancelled
        self._report(state, STARTS_AT[state])

    def _report(self, state: RunState, progress: int) -> None:
        """Write the run's progress, where that is worth a transaction."""
        if self._written is not None:
            before, written = self._written
            # That a phase has begun to do something is worth it, too.
            enough = written + (1 if written == STARTS_AT[state] else _STEP)
            if before is state and progress < enough:
                return
        self._tools.leases.move(self._lease, state, progress)
        self._written = (state, progress)
        self._tools.changes.changed()

    def _watch(self, now: datetime | None = None) -> Watch:
        def progress(phase: Phase, done: int, total: int | None) -> None:
            state = RunState(phase)
            # The engine enters phases in order; a plan that is made again enters its own again.
            self._report(state, progress_in(state, done, total))

        return Watch(progress=progress, cancel=self._token, now=now)

    def _read(self) -> tuple[Run, Project]:
        with self._tools.database.reading() as session:
            run = run_of(find_row(session, self.run_id))
        project = self._tools.repositories.project(run.project_id)
        if run.request.checkout is not None:
            project = replace(project, binding=run.request.checkout)
        return run, project

    # --- fetching -----------------------------------------------------------------------------

    def _fetch(self) -> bool:
        self._enter(RunState.FETCHING)
        self._tools.boundary(self.run_id, "fetching")
        run, project = self._read()
        check_request(run.request, project)
        repository = self._tools.repositories.of(project)
        self._ensure_fetched(run, repository)
        self._tools.boundary(self.run_id, "fetched")
        return True

    def _ensure_fetched(self, run: Run, repository: Repository) -> None:
        """Fetch the revision that the batch resolved, unless it is cached, or else the ref."""
        with repository.cached() as remote:
            target = run.target_revision
            if target is not None and remote.has(target):
                if run.target_committed_at is None:
                    self._tools.leases.set_target(self._lease, target, _commit_time(remote, target))
                return
        wanted = FetchTarget(
            repository=repository,
            limits=self._tools.repositories.limits,
            revision=run.target_revision,
        )
        # A fetch that failed before this attempt may begin does not serve it.
        since = max(run.created_at, run.attempts.not_before or run.created_at)
        revision = self._tools.fetches.fetch(wanted, self._watch(), since=since)
        with repository.cached() as remote:
            self._tools.leases.set_target(self._lease, revision, _commit_time(remote, revision))

    # --- comparing and validating -------------------------------------------------------------

    def _compare(self) -> bool:
        self._enter(RunState.COMPARING)
        self._tools.boundary(self.run_id, "comparing")
        run, project = self._read()
        plan = self._planned(run, project)
        self._tools.boundary(self.run_id, "validating")
        if plan.refused:
            self._end(refused(report_of(plan)))
            return False
        if run.request.mode is RunMode.DRY_RUN:
            self._end(succeeded(report_of(plan)))
            return False
        return True

    def _planned(self, run: Run, project: Project) -> Plan:
        """Plan under a fence of this run's own."""
        assert run.target_revision is not None, "the run has fetched"
        with self._tools.database.writing() as session:
            self._fence = claim(session, self._lease.project_id)
            check_lease(session, self._lease)
        try:
            self._plan = self._plan_at(run, project, run.target_revision)
        except ContentMissing:
            # The cache has lost it: fetch it again.
            repository = self._tools.repositories.of(project)
            self._ensure_fetched(replace(run, created_at=self._tools.database.now()), repository)
            self._plan = self._plan_at(run, project, run.target_revision)
        return self._plan

    def _plan_at(self, run: Run, project: Project, revision: Revision) -> Plan:
        repository = self._tools.repositories.of(project)
        store = SqlStore(self._tools.database, project.id)
        options = options_of(run.request, project, self._tools.repositories.limits)
        with repository.cached() as remote, store.snapshot() as ours:
            plan = plan_for(run.request, ours, remote, revision, options, self._watch())
            base = plan.before.base
            self._tools.leases.set_base(
                self._lease, base, None if base is None else _commit_time(remote, base)
            )
        return plan

    # --- applying -----------------------------------------------------------------------------

    def _apply(self) -> bool:
        for _ in range(_PLANS - 1):
            try:
                return self._apply_once()
            except (StalePlan, StoreBusy):
                # The project was edited or bound again. Plan again, if the lease still holds the
                # run; the first write fails if it does not.
                self._plan = None
                self._enter(RunState.COMPARING)
        return self._apply_once()

    def _apply_once(self) -> bool:
        run, project = self._read()
        plan = self._plan
        if plan is None:
            # Another process made it, or it went stale.
            if not self._compare():
                return False
            plan = self._plan
            assert plan is not None, "it was just made"
        self._enter(RunState.APPLYING)
        self._tools.boundary(self.run_id, "applying")
        report = report_of(plan)

        def before_commit(session: Session, applied: Applied) -> None:
            if run.request.checkout is not None:
                Projects(session).bind(run.project_id, run.request.checkout)
            completion = succeeded(report, pull=applied.number)
            complete(session, self._lease, completion, database_now(session))
            self._tools.boundary(self.run_id, "committing")

        store = SqlStore(
            self._tools.database, run.project_id, fence=self._fence, before_commit=before_commit
        )
        with self._tools.repositories.of(project).cached() as remote:
            apply(plan, store, contents=remote, watch=self._watch(now=self._tools.database.now()))
        self._tools.changes.changed()
        self._tools.boundary(self.run_id, "ended")
        return False


def _pauses(seconds: float | None) -> Iterator[float | None]:
    """Yield pauses of so many seconds in all (None: without end), and None at the end."""
    pause, waited = 0.1, 0.0
    while seconds is None or waited < seconds:
        yield pause
        waited += pause
        pause = min(2 * pause, 5.0)
    yield None


def _commit_time(remote: GitRemote, revision: Revision) -> datetime | None:
    try:
        return remote.commit_time(revision)
    except ContentMissing:
        return None
