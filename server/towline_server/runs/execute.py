"""Executes a run: fetch, compare, apply.

Every step may be repeated from its start, by this process or by another. What a step writes is
fenced twice: by the lease in the run's row, and by the fence in the project's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import field
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from sqlalchemy.orm import Session

from towline.apply import apply
from towline.errors import Cancelled, ContentMissing, StalePlan, StoreBusy, TowlineError
from towline.frozen import frozen
from towline.model import Revision
from towline.plan import Plan
from towline.ports import Applied, Watch
from towline.report import report_of
from towline_server import telemetry
from towline_server.db.clock import database_now
from towline_server.db.failures import FAILURES, passes, pauses, shown
from towline_server.db.jobs import RetryPolicy
from towline_server.db.session import Database
from towline_server.errors import DiskFull, LeaseLost, NotFound, WorkerShutdown
from towline_server.loops import ChangeSignal
from towline_server.projects.locking import store_errors
from towline_server.projects.rows import AnyRow
from towline_server.projects.service import Projects
from towline_server.projects.store import SqlStore

from .attempts import RETRIES, resume
from .completion import Completion, check_lease, complete, complete_held, failed, refused, succeeded
from .domain import Lease, RunMode
from .fetching import FetchTarget, Repositories, SharedFetches
from .heartbeat import RunToken, Stop
from .inputs import Inputs, claim_inputs
from .phases import Phases
from .planning import check_request, options_of, plan_for, summary_of, unchanged_plan
from .queue import Leases
from .run_log import RunLog
from .states import RunState
from .tables import RunRow, find_now, find_row, hold_projects
from .windows import WindowHistory

_LOG = logging.getLogger("towline.runs")

_PLANS = 5
"""How often a stale plan is made again: then the project is edited all the time."""

Boundary: TypeAlias = Callable[[UUID, str], None]
"""Called at the end of a step; tests stop or kill an executor there."""


def pass_boundary(_run_id: UUID, _name: str) -> None:
    """Do nothing."""


@frozen(kw_only=True)
class Tools:
    """What executing runs needs."""

    database: Database
    leases: Leases
    repositories: Repositories
    fetches: SharedFetches
    changes: ChangeSignal
    windows: WindowHistory = field(default_factory=WindowHistory)
    retries: RetryPolicy = RETRIES
    boundary: Boundary = pass_boundary
    sleep: Callable[[float], None] = time.sleep

    def read_inputs(self, session: Session, row: RunRow, at: datetime) -> Inputs:
        """Read what executing a run needs; raises as `claim_inputs`."""
        return claim_inputs(self.repositories, session, row, at)


@frozen(kw_only=True)
class _Planned:
    plan: Plan
    at: AnyRow
    """`SqlSnapshot.moment` of what it was made from."""


class Execution:
    """One run under one lease. Each step returns whether the next one follows."""

    def __init__(self, tools: Tools, lease: Lease, token: RunToken) -> None:
        self._tools = tools
        self._lease, self._run_id = lease, lease.run_id
        self._token = token
        self._inputs: Inputs | None = lease.inputs
        run = None if self._inputs is None else self._inputs.run
        each = run is not None and run.request.kind is not None
        self._log = RunLog(lease.run_id, () if run is None else run.log)
        self._phase = Phases(tools.leases, lease, tools.changes, self._log, each=each)
        token.write_progress = self._phase.write_progress
        self._fetched: Revision | None = None
        self._planned: _Planned | None = None

    def run(self) -> None:
        """Execute the run to its end."""
        if self.fetch() and self.compare():
            self.apply()

    def fetch(self) -> bool:
        """Fetch the revision that the run pulls."""
        return self._guarded(self._fetch)

    def compare(self) -> bool:
        """Make the plan. It ends a run with nothing to apply: a dry run, one with nothing new."""
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
        for pause in pauses(self._tools.leases.seconds):
            try:
                with (
                    telemetry.span(step.__name__.removeprefix("_")),
                    store_errors(self._lease.project_id),
                ):
                    return step()
            except LeaseLost:
                return False
            except Cancelled:
                return self._stopped()
            except Exception as error:  # noqa: BLE001 - a run ends, whatever happens
                away = error.__cause__ if isinstance(error, TowlineError) else None
                if away is not None and passes(away) and pause is not None:
                    self._log.add(logging.WARNING, "waits for the database", f": {shown(away)}")
                    self._tools.sleep(pause)
                    continue
                if not isinstance(error, TowlineError):
                    # What happened is the operator's to read.
                    _LOG.exception("run %s failed", self._run_id)
                level = logging.ERROR if isinstance(error, DiskFull) else logging.INFO
                end = failed(error)
                assert end.error is not None, "a run that failed has an error"
                self._log.add(level, f"failed: {end.error.message}")
                self._end(end)
                return False
        return False

    def _stopped(self) -> bool:
        match self._token.why:
            case Stop.LOST:
                return False
            case Stop.SHUTDOWN:
                self._hand_back()
            case Stop.CANCELLED | None:
                self._log.note("cancelled")
                self._end(failed(Cancelled()))
        return False

    def _hand_back(self) -> None:
        """End the run in favour of an attempt that the next free executor takes."""
        self._log.note("the executor is stopping: another attempt takes the run's place")

        def follow(session: Session, now: datetime) -> None:
            # First, so that a parent which looks at its children sees that one follows.
            row = find_row(session, self._run_id, lock=True)
            self._phase.write_found(row)
            if row.cancel_requested_at is None:
                resume(session, row, now, counted=False)

        self._end(failed(WorkerShutdown()), follow)

    def _end(
        self, completion: Completion, before: Callable[[Session, datetime], None] | None = None
    ) -> None:
        """End the run now, or once the database is back, unless another has ended it."""
        for pause in pauses(None):
            try:
                with self._tools.database.writing() as session:
                    now = None
                    if before is not None:
                        now = database_now(session)
                        before(session, now)
                    found, retries = self._phase.at_end(), self._tools.retries
                    complete(session, self._lease, completion, now, retries, found=found)
                break
            except (LeaseLost, Cancelled, NotFound):
                return
            except FAILURES as error:
                if not passes(error) or pause is None or self._token.why is Stop.LOST:
                    # Its lease expires, and the reaper ends it.
                    _LOG.exception("the end of run %s could not be written", self._run_id)
                    return
                self._log.add(logging.WARNING, "its end waits", f": {shown(error)}")
                self._tools.sleep(pause)
        self._tools.boundary(self._run_id, "ended")
        self._tools.changes.changed(*self._lease.row_ids)

    def _watch(self, now: datetime | None = None) -> Watch:
        return Watch(progress=self._phase.note, cancel=self._token, now=now)

    def _enter(self, state: RunState) -> datetime:
        """Enter a phase, and return when."""
        if self._token.is_set():
            raise Cancelled
        return self._phase.enter(state)

    def _read(self) -> Inputs:
        """Return what was read when the run was taken, or since the project was overtaken."""
        if self._inputs is None:
            with self._tools.database.writing() as session:
                hold_projects(session, [self._run_id])
                row, now = find_now(session, self._run_id)
                self._inputs = self._tools.read_inputs(session, row, now)
                check_lease(session, self._lease)
        return self._inputs

    # --- fetching -----------------------------------------------------------------------------

    def _fetch(self) -> bool:
        if self._token.is_set():
            raise Cancelled
        self._tools.boundary(self._run_id, "fetching")
        inputs = self._read()
        check_request(inputs.run.request, inputs.project)
        run = inputs.run
        self._log.note(f"attempt {run.attempts.number} of {run.request.mode}")
        target = run.target_revision if inputs.run.window is None else inputs.tip
        # A fetch that failed before this attempt may begin does not serve it.
        since = max(run.created_at, run.attempts.not_before or run.created_at)
        self._ensure_fetched(inputs, target, since, inputs.at)
        self._tools.boundary(self._run_id, "fetched")
        return True

    def _ensure_fetched(
        self, inputs: Inputs, target: Revision | None, since: datetime, now: datetime
    ) -> None:
        """Fetch the revision that the batch resolved, unless it is cached, or else the ref."""
        repository = inputs.repository
        if target is None or not repository.has(target):
            limits = self._tools.repositories.limits
            wanted = FetchTarget(repository=repository, limits=limits, revision=target)
            self._log.note(f"fetching {target or repository.ref} of {repository.url}")
            target = self._tools.fetches.fetch(wanted, self._watch(), since=since, now=now)
            self._log.note(f"fetched {target}")
        else:
            self._log.note(f"{target} was fetched before")
        self._fetched = target
        at = self._find(inputs, "target", target)
        known = inputs.run.target_committed_at if inputs.run.window is None else inputs.tip
        if inputs.run.batch_id is not None and known is None:
            self._tools.leases.set_target(self._lease, target, at)

    def _find(self, inputs: Inputs, name: str, revision: Revision | None) -> datetime | None:
        """Have the run's base or target written with its next phase; return its commit's time."""
        at = None
        if revision is not None:
            at = self._tools.repositories.commit_time(inputs.repository, revision)
        self._phase.found |= {f"{name}_revision": revision, f"{name}_committed_at": at}
        return at

    def _choose_target(self, inputs: Inputs) -> Revision:
        """Return what to pull of what was fetched: all, or the next window."""
        assert self._fetched is not None, "the run has fetched"
        if inputs.run.window is None:
            return self._fetched
        found = self._tools.windows.after(inputs, self._fetched, self._watch())
        self._find(inputs, "target", found.end)
        self._phase.found["windows_left"] = found.left
        return found.end

    # --- comparing and validating -------------------------------------------------------------

    def _compare(self) -> bool:
        if self._end_unchanged():
            return False
        self._enter(RunState.COMPARING)
        self._tools.boundary(self._run_id, "comparing")
        inputs = self._read()
        plan = self._plan(inputs).plan
        self._tools.boundary(self._run_id, "validating")
        if plan.refused:
            self._end(refused(report_of(plan)))
            return False
        if inputs.run.request.mode is RunMode.DRY_RUN:
            self._end(succeeded(report_of(plan)))
            return False
        return True

    def _end_unchanged(self) -> bool:
        """End a run that finds nothing new, in one transaction; return whether it did."""
        inputs = self._read()
        request, target = inputs.run.request, self._choose_target(inputs)
        if inputs.base != target or request.checkout is not None:
            return False
        options = options_of(request, inputs.project, self._tools.repositories.limits)
        store = SqlStore(self._tools.database, self._lease.project_id)
        with (
            inputs.repository.cached() as remote,
            store.transaction(write=True) as transaction,
        ):
            if transaction.row.fence != inputs.fence:
                self._inputs = None
                return False
            plan = unchanged_plan(request, store.lookups(transaction), remote, target, options)
            if plan is None:
                return False
            self._find(inputs, "base", target)
            self._log.note(f"nothing is new since {target}")
            end, found = succeeded(report_of(plan)), self._phase.at_end()
            complete_held(transaction.session, self._lease, end, found=found)
            self._tools.boundary(self._run_id, "committing")
        self._tools.changes.changed(*self._lease.row_ids)
        self._tools.boundary(self._run_id, "ended")
        return True

    def _plan(self, inputs: Inputs) -> _Planned:
        try:
            self._planned = self._plan_at(inputs, self._choose_target(inputs))
        except ContentMissing:
            self._log.add(logging.WARNING, "the cache has lost what was fetched: fetching again")
            now = self._tools.database.now()
            self._ensure_fetched(inputs, self._fetched, now, now)
            self._planned = self._plan_at(inputs, self._choose_target(inputs))
        return self._planned

    def _plan_at(self, inputs: Inputs, revision: Revision) -> _Planned:
        request, project = inputs.run.request, inputs.project
        store = SqlStore(self._tools.database, project.id)
        options = options_of(request, project, self._tools.repositories.limits)
        with (
            self._phase.reading(),
            inputs.repository.cached() as remote,
            store.snapshot() as ours,
        ):
            plan = plan_for(request, ours, remote, revision, options, self._watch())
            moment = ours.moment
        self._find(inputs, "base", plan.before.base)
        self._log.note(summary_of(plan))
        return _Planned(plan=plan, at=moment)

    # --- applying -----------------------------------------------------------------------------

    def _apply(self) -> bool:
        for _ in range(_PLANS - 1):
            try:
                return self._apply_once()
            except (StalePlan, StoreBusy) as error:
                self._log.note(f"planning again: {error.code}")
                # The project was edited or bound again. Plan again, if the lease still holds the
                # run; the first write fails if it does not.
                self._planned = self._inputs = None
        return self._apply_once()

    def _apply_once(self) -> bool:
        planned = self._planned
        if planned is None:  # it went stale
            if not self._compare():
                return False
            planned = self._planned
            assert planned is not None, "it was just made"
        now = self._enter(RunState.APPLYING)
        self._tools.boundary(self._run_id, "applying")
        inputs, report = self._read(), report_of(planned.plan)

        def before_commit(session: Session, applied: Applied) -> None:
            if inputs.run.request.checkout is not None:
                Projects(session).bind(inputs.project.id, inputs.run.request.checkout)
            self._log.note(f"applied as pull {applied.number}" if applied.number else "applied")
            end = succeeded(report, pull=applied.number)
            complete_held(session, self._lease, end, found=self._phase.at_end())
            self._tools.boundary(self._run_id, "committing")

        store = SqlStore(
            self._tools.database,
            inputs.project.id,
            fence=inputs.fence,
            planned_at=planned.at,
            before_commit=before_commit,
            run_id=self._run_id,
        )
        with inputs.repository.cached() as remote:
            apply(planned.plan, store, contents=remote, watch=self._watch(now=now))
        self._tools.changes.changed(*self._lease.row_ids)
        self._tools.boundary(self._run_id, "ended")
        return False
