"""Runs that are executed elsewhere: claimed, renewed and completed, with a lease token.

An executor gets what planning needs (kinds, records, the recorded state, where the repository
is), reads the repository with credentials of its own, makes the plan with the library, and sends
it with its contents. The plan is applied here, fenced like any other: it counts only if the lease
still holds and the project is as the plan found it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from hmac import compare_digest
from types import MappingProxyType
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from towline.apply import apply, check_kinds
from towline.errors import CallerError, Cancelled, ContentMissing, InvalidPlan
from towline.frozen import frozen
from towline.kinds import Kinds
from towline.limits import Limits
from towline.model import AssetId, AssetPath, Digest, Revision
from towline.names import NamePolicy
from towline.plan import Plan
from towline.planfile import load_plan
from towline.ports import Applied, Watch
from towline.records import AssetRecord, PlanKind, StoreState
from towline.remotes.windows import Window
from towline.report import report_of
from towline.resolutions import SavedResolution
from towline_server.audit.log import Action
from towline_server.db.clock import database_now
from towline_server.db.jobs import RetryPolicy
from towline_server.db.session import Database
from towline_server.errors import LeaseLost
from towline_server.loops import ChangeSignal
from towline_server.projects.changes import record_in
from towline_server.projects.domain import ProjectPath, PullSettings
from towline_server.projects.locking import claim as claim_project
from towline_server.projects.store import SqlStore

from .attempts import RETRIES
from .completion import Completion, check_lease, complete, failed, refused, succeeded
from .domain import BackendName, Lease, PulledWindow, Run, RunError, RunMode
from .fetching import Repositories
from .inputs import find_tip
from .planning import check_request, settings_of
from .queue import Leases
from .states import (
    ACTIVE,
    STARTS_AT,
    Fault,
    ReasonCode,
    ResultClass,
    RunState,
    may_follow,
    progress_in,
)
from .tables import RunRow, find_row, lease_of, run_of

_FAILURES: Mapping[ReasonCode, tuple[ResultClass, Fault]] = MappingProxyType(
    {
        ReasonCode.AUTH_ERROR: (ResultClass.PERMANENT_FAILURE, Fault.CREDENTIAL),
        ReasonCode.RATE_LIMITED: (ResultClass.RETRYABLE_FAILURE, Fault.RATE_LIMIT),
        ReasonCode.REMOTE_UNREACHABLE: (ResultClass.RETRYABLE_FAILURE, Fault.REMOTE),
        ReasonCode.VALIDATION_FAILED: (ResultClass.PERMANENT_FAILURE, Fault.CONTENT),
        ReasonCode.ASSET_LIMIT_EXCEEDED: (ResultClass.PERMANENT_FAILURE, Fault.LIMIT),
        ReasonCode.WORKER_SHUTDOWN: (ResultClass.RETRYABLE_FAILURE, Fault.EXECUTOR),
        ReasonCode.INTERNAL_ERROR: (ResultClass.PERMANENT_FAILURE, Fault.INTERNAL),
    }
)
"""The reasons that an executor may give for a run that it could not complete."""

FAILURE_REASONS = tuple(_FAILURES)


class ExternalBackend:
    """Executes nothing: runs wait until an executor claims them."""

    name = BackendName.EXTERNAL

    def submit(self, run_ids: Sequence[UUID]) -> None:
        """Do nothing: they wait to be claimed."""

    def stop_run(self, run_id: UUID) -> None:
        """Do nothing: the answer to the next heartbeat says so."""


@frozen(kw_only=True)
class Work:
    """What an executor needs to plan a run: ours at one moment, and where theirs is."""

    project: str
    """Its name for ids (`towline.merge.context.Context.project`)."""
    path: ProjectPath
    kinds: Kinds
    names: NamePolicy
    state: StoreState
    records: tuple[AssetRecord, ...]
    used: Mapping[AssetId, AssetPath | None]
    """The ids that assets have, or had (`towline.merge.index.AssetIndex`)."""
    url: str
    ref: str
    scope: str
    settings: PullSettings
    resolutions: tuple[SavedResolution, ...]
    """Those that are saved (`towline.merge.merge.Context.saved`)."""
    limits: Limits
    window: Window | None
    """The part of the history to pull, after `StoreState.base`; None: all of it."""
    tip: Revision | None
    """The revision that the last window ends with; None: what the ref names."""


@frozen(kw_only=True)
class Claim:
    """A run that an executor has claimed, until ``lease_until`` if it sends no heartbeat."""

    run: Run
    token: str = field(repr=False)
    lease_until: datetime
    work: Work


@frozen(kw_only=True)
class HeartbeatReply:
    """The end of a renewed lease, and whether the run is to stop."""

    lease_until: datetime
    cancel: bool


class ExternalWork:
    """What external executors do with runs. It does not authorise."""

    def __init__(
        self,
        database: Database,
        leases: Leases,
        repositories: Repositories,
        changes: ChangeSignal,
        *,
        retries: RetryPolicy = RETRIES,
    ) -> None:
        self._retries = retries
        self._database = database
        self._leases = leases
        self._repositories = repositories
        self._changes = changes

    def claim(
        self, executor_id: str, *, tenant_id: UUID, project_ids: Collection[UUID] | None = None
    ) -> Claim | None:
        """Claim the oldest run of a tenant that waits, of these projects if they are named."""
        wanted = [RunRow.tenant_id == tenant_id, RunRow.backend == BackendName.EXTERNAL]
        if project_ids is not None:
            wanted.append(RunRow.project_id.in_(project_ids))
        while (lease := self._leases.take_next(executor_id, *wanted)) is not None:
            self._changes.changed()
            try:
                run = self._run(lease.run_id)
                until = run.executor.lease_until
                assert until is not None, "it was just taken"
                return Claim(run=run, token=lease.token, lease_until=until, work=self._work(run))
            except CallerError as error:
                # It does not fit its project (any more): no executor could run it.
                self._end(lease, failed(error))
        return None

    def work(self, run_id: UUID, token: str) -> Work:
        """Return what planning needs now, for a plan that went stale.

        Raises:
            LeaseLost: the token does not hold the run (any more).
        """
        return self._work(self._lease(run_id, token)[1])

    def heartbeat(
        self,
        run_id: UUID,
        token: str,
        *,
        phase: RunState | None = None,
        done: int = 0,
        total: int | None = None,
    ) -> HeartbeatReply:
        """Renew a lease, and report the run's progress.

        Raises:
            LeaseLost: the token does not hold the run (any more).
        """
        lease, _ = self._lease(run_id, token)
        found = self._leases.renew([lease])
        if run_id not in found.held:
            raise LeaseLost(run_id=str(run_id))
        cancel = run_id in found.cancelled
        if phase in ACTIVE and not cancel:
            try:
                self._leases.move(lease, phase, progress_in(phase, done, total))
            except Cancelled:
                cancel = True
            self._changes.changed()
        until = self._lease(run_id, token)[1].executor.lease_until
        assert until is not None, "it was just renewed"
        return HeartbeatReply(lease_until=until, cancel=cancel)

    def complete(
        self,
        run_id: UUID,
        token: str,
        plan: str,
        contents: Mapping[Digest, bytes],
        window: PulledWindow | None = None,
    ) -> Run:
        """Apply a plan (as `towline.planfile.dump_plan` writes it), and end the run with it.

        Of a run with a window, others follow if there is a ``window`` of which some are left.

        Raises:
            InvalidPlan: it is damaged, or for another project.
            StalePlan: the project or its kinds have changed; the run goes on, see `work`.
            ContentMissing: contents are missing, or differ from their digest.
            LeaseLost: the token does not hold the run (any more).
            Cancelled: it is to stop; see `fail`.
        """
        lease, run = self._lease(run_id, token)
        made = load_plan(plan)
        store = SqlStore(self._database, run.project_id)
        if made.kind is not PlanKind.PULL or made.project != store.project:
            raise InvalidPlan(problem="it is not a pull of this run's project")
        check_kinds(made, store.kinds)
        if (target := made.revision if window is None else window.tip) is not None:
            self._leases.set_target(lease, target, None)
        self._leases.set_base(lease, made.before.base, None)
        found: dict[str, Any] = {}
        if window is not None and run.window is not None:
            found = {"target_revision": made.revision, "windows_left": window.left}
        self._complete(lease, run, made, _SentContents(contents), found)
        self._changes.changed()
        return self._run(run_id)

    def fail(self, run_id: UUID, token: str, reason: ReasonCode, message: str) -> Run:
        """End a run that could not be completed; one that is to stop ends cancelled.

        Raises:
            LeaseLost: the token does not hold the run (any more).
            KeyError: the reason is none of `FAILURE_REASONS`.
        """
        result, fault = _FAILURES[reason]
        error = RunError(code=str(reason), message=message, fault=fault)
        completion = Completion(
            state=RunState.FAILED, result_class=result, reason_code=reason, error=error
        )
        lease, _ = self._lease(run_id, token)
        self._end(lease, completion)
        self._changes.changed()
        return self._run(run_id)

    # --- parts --------------------------------------------------------------------------------

    def _work(self, run: Run) -> Work:
        project = self._repositories.project(run.project_id)
        check_request(run.request, project)
        repository = self._repositories.of(project)
        with self._database.reading() as session:
            tip = find_tip(session, run)
        with SqlStore(self._database, run.project_id).snapshot() as store:
            return Work(
                project=store.project,
                path=project.path,
                kinds=store.kinds,
                names=store.names,
                state=store.state(),
                records=tuple(store.records()),
                used=store.used_ids(),
                url=repository.url.address,
                ref=repository.ref,
                scope=repository.scope,
                settings=settings_of(run.request, project),
                resolutions=tuple(store.saved_resolutions()),
                limits=self._repositories.limits,
                window=run.window,
                tip=tip,
            )

    def _run(self, run_id: UUID) -> Run:
        with self._database.reading() as session:
            return run_of(find_row(session, run_id))

    def _lease(self, run_id: UUID, token: str) -> tuple[Lease, Run]:
        """Return the lease of a token, and its run."""
        with self._database.reading() as session:
            row = find_row(session, run_id)
            held = row.lease_token or ""
            if not compare_digest(held.encode(), token.encode()) or not held:
                raise LeaseLost(run_id=str(run_id))
            return lease_of(row, held), run_of(row)

    def _complete(
        self,
        lease: Lease,
        run: Run,
        plan: Plan,
        contents: _SentContents,
        found: Mapping[str, Any],
    ) -> None:
        report = report_of(plan)
        self._advance(lease, run.state, RunState.VALIDATING)
        if plan.refused or run.request.mode is RunMode.DRY_RUN:
            self._end(lease, refused(report) if plan.refused else succeeded(report), found)
            return
        self._advance(lease, RunState.VALIDATING, RunState.APPLYING)

        def before_commit(session: Session, applied: Applied) -> None:
            completion = succeeded(report, pull=applied.number)
            now = database_now(session)
            complete(session, lease, completion, now, self._retries, found=found)
            _record(session, lease, completion)

        with self._database.writing() as session:
            fence = claim_project(session, lease.project_id).fence
            check_lease(session, lease)
            now = database_now(session)
        store = SqlStore(
            self._database,
            lease.project_id,
            fence=fence,
            before_commit=before_commit,
            run_id=run.id,
        )
        apply(plan, store, contents=contents, watch=Watch(now=now))

    def _advance(self, lease: Lease, state: RunState, goal: RunState) -> None:
        """Go through every phase up to one; an executor need not report each."""
        while state is not goal and ACTIVE.index(state) < ACTIVE.index(goal):
            state = ACTIVE[ACTIVE.index(state) + 1]
            self._leases.move(lease, state, STARTS_AT[state])
        if state is not goal and may_follow(state, goal):
            self._leases.move(lease, goal, STARTS_AT[goal])

    def _end(
        self,
        lease: Lease,
        completion: Completion,
        found: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        with self._database.writing() as session:
            now = database_now(session)
            complete(session, lease, completion, now, self._retries, found=found)
            _record(session, lease, completion)


def _record(session: Session, lease: Lease, completion: Completion) -> None:
    state = completion.state
    record_in(session, lease.project_id, Action.RUN_COMPLETED, lease.run_id, state=state)


@frozen
class _SentContents:
    """Contents that were sent with the plan. The store checks them against their digests."""

    contents_by_digest: Mapping[Digest, bytes]

    def contents(self, digests: Sequence[Digest]) -> Iterator[tuple[Digest, bytes]]:
        missing = tuple(each for each in digests if each not in self.contents_by_digest)
        if missing:
            raise ContentMissing(digests=missing)
        for digest in digests:
            yield digest, self.contents_by_digest[digest]
