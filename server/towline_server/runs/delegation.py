"""Passes runs on to an orchestrator, and writes what it answers about them into their rows.

The rows are the queue here as well: `RunRow.backend_due_at` says when a run is looked at next, by
one server of those that share the database. So a run that was queued while the orchestrator was
away is given to it when it is back, and a look that was lost with its server is made by another.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from towline.frozen import frozen
from towline_server.db.clock import database_now
from towline_server.db.jobs import RetryPolicy
from towline_server.db.session import Database
from towline_server.errors import OrchestratorUnavailable
from towline_server.loops import Backoff, ChangeSignal, Ticker

from .attempts import RETRIES
from .completion import request_cancel
from .domain import BackendName, RemoteRun, RemoteState
from .orchestrator import Orchestrator
from .queue import may_begin
from .reaper import end_lost
from .states import RunState
from .tables import RunRow, find_row, waits

_BATCH = 20
"""How many runs are looked at before the rows are read again."""
_CALLS_AT_ONCE = 4
_CLAIM_SECONDS = 30.0
"""After how long another server looks at a run whose look was not finished."""
_SOON_SECONDS = 1.0
_LATEST_SECONDS = 60.0
"""How long after the last look a run that has ended is looked at again, until it has there, too."""


@frozen(kw_only=True)
class _Followed:
    """A run to look at, as its row was when this server claimed the look."""

    run_id: UUID
    state: RunState
    ref: str | None
    stops: bool
    """Whether it is to stop."""
    ended_for: timedelta | None
    """How long ago it ended; None: it has not."""
    due_at: datetime
    """What this claim wrote."""


class OrchestratedBackend:
    """The backend of runs that an orchestrator has executed.

    It has at most ``waiting_at_once`` runs that wait, of each project one; the others wait in the
    database, where tenants take turns. One that is there is looked at every ``look_seconds``.
    """

    def __init__(
        self,
        orchestrator: Orchestrator,
        database: Database,
        changes: ChangeSignal,
        *,
        waiting_at_once: int = 200,
        look_seconds: float = 10.0,
        retries: RetryPolicy = RETRIES,
    ) -> None:
        self.name = orchestrator.name
        self._orchestrator = orchestrator
        self._database = database
        self._changes = changes
        self._waiting_at_once = waiting_at_once
        self._look_seconds = look_seconds
        self._retries = retries
        self._pool = ThreadPoolExecutor(_CALLS_AT_ONCE, f"towline-{self.name}-call")
        self._away = Backoff[str](self.name, first_seconds=1, longest_seconds=30)
        self._failing = Backoff[UUID](self.name)
        self.ticker = Ticker(f"towline-{self.name}", 30.0, self.follow_due)

    def submit(self, run_ids: Sequence[UUID]) -> None:
        """Look at what was queued, now."""
        del run_ids  # it takes those that are next
        self.ticker.wake()

    def stop_run(self, run_id: UUID) -> None:
        """Have it stopped there, now."""
        del run_id  # its row is due
        self.ticker.wake()

    def stop(self) -> None:
        """Stop looking, and end the connections; what was given to the orchestrator goes on."""
        self.ticker.stop()
        self._pool.shutdown()
        self._orchestrator.close()

    def follow_due(self) -> None:
        """Look at every run that is due, until the orchestrator does not answer."""
        while not self._away.waiting and (claimed := self._claim()):
            with self._away.attempting(self.name):
                self._follow_all(claimed)

    def _follow_all(self, claimed: Sequence[_Followed]) -> None:
        """Look at claimed runs.

        Raises:
            OrchestratorUnavailable: it did not answer; those that were not looked at are due again.
        """
        problems = list(self._pool.map(self._attempt, claimed))
        left = [each for each, problem in zip(claimed, problems, strict=True) if problem]
        for each in left:
            self._write(each, due_at=each.due_at - timedelta(seconds=_CLAIM_SECONDS))
        if problem := next(filter(None, problems), None):
            raise problem

    def _attempt(self, each: _Followed) -> OrchestratorUnavailable | None:
        with self._failing.attempting(each.run_id):
            try:
                self._follow(each)
            except OrchestratorUnavailable as problem:
                return problem
        return None

    # --- one run ------------------------------------------------------------------------------

    def _follow(self, each: _Followed) -> None:
        if each.ref is None and each.ended_for is not None:
            # It was never there, or the answer was lost: an executor finds that it has ended.
            self._write(each, due_at=None)
            return
        remote = None if each.ref is None else self._orchestrator.find(each.ref)
        if remote is None:
            if each.state is not RunState.QUEUED and each.ref is not None:
                self._write_missing(each)
                return
            remote = self._orchestrator.start(each.run_id)
        if remote.state is RemoteState.RUNNING and each.stops:
            self._orchestrator.cancel(remote.ref)
        if each.ended_for is None and remote.state is not RemoteState.RUNNING:
            self._end(each, remote)
        elif each.ended_for is not None and not remote.state.is_terminal:
            self._orchestrator.settle(remote.ref, each.state)
        self._write_answer(each, remote)

    def _end(self, each: _Followed, remote: RemoteRun) -> None:
        """End a run that has ended, or is to, at its orchestrator alone.

        One with an executor has a lease; it ends there only where it is cancelled.
        """
        with self._database.writing() as session:
            row = find_row(session, each.run_id, lock=True)
            if remote.state in (RemoteState.CANCELLED, RemoteState.CANCELLING):
                request_cancel(session, row, str(self.name), f"cancelled in {self.name.title()}")
            elif row.state == RunState.QUEUED:
                end_lost(session, row, database_now(session), self._retries)
        self._changes.changed()

    def _write_missing(self, each: _Followed) -> None:
        """Leave a run that the orchestrator has lost to its executor's lease."""
        over = each.ended_for is not None
        self._write(each, due_at=None if over else self._later(each, self._look_seconds))

    def _write_answer(self, each: _Followed, remote: RemoteRun) -> None:
        self._write(
            each,
            due_at=self._next_look(each, remote),
            backend_run_ref=remote.ref,
            backend_run_url=remote.url,
            backend_status=remote.status,
            backend_heartbeat_at=remote.heartbeat_at,
        )

    def _next_look(self, each: _Followed, remote: RemoteRun) -> datetime | None:
        if each.ended_for is not None:
            if remote.state.is_terminal:
                return None
            ago = each.ended_for.total_seconds()
            return self._later(each, min(max(_SOON_SECONDS, ago), _LATEST_SECONDS))
        return self._later(each, _SOON_SECONDS if each.stops else self._look_seconds)

    def _later(self, each: _Followed, seconds: float) -> datetime:
        return each.due_at + timedelta(seconds=seconds - _CLAIM_SECONDS)

    def _write(self, each: _Followed, due_at: datetime | None, **values: object) -> None:
        """Write into a run's row; it stays due where it has changed since the claim."""
        unchanged = RunRow.backend_due_at == each.due_at
        due = case((unchanged, due_at), else_=RunRow.backend_due_at)
        written = update(RunRow).where(RunRow.id == each.run_id)
        with self._database.writing() as session:
            session.execute(
                written.values(backend_due_at=due, **values).execution_options(
                    synchronize_session=False
                )
            )

    # --- which runs ---------------------------------------------------------------------------

    def _claim(self) -> list[_Followed]:
        """Return runs that are due, which no other server looks at meanwhile."""
        with self._database.writing() as session:
            now = database_now(session)
            due: tuple[ColumnElement[bool], ...] = (
                RunRow.backend == self.name,
                RunRow.backend_due_at <= now,
                RunRow.id.not_in(self._failing.waiting),
            )
            given = select(RunRow.id).where(*due, _is_given(RunRow))
            ids = list(session.scalars(given.order_by(RunRow.backend_due_at).limit(_BATCH)))
            if len(ids) < _BATCH and (room := self._room(session)) > 0:
                ids += session.scalars(_next_given(self.name, due, min(room, _BATCH - len(ids))))
            rows = select(RunRow).where(RunRow.id.in_(ids), *due)
            found = session.scalars(rows.with_for_update(key_share=True, skip_locked=True))
            return [_claimed(row, now) for row in found]

    def _room(self, session: Session) -> int:
        waiting = select(func.count()).select_from(RunRow)
        there = waiting.where(RunRow.backend == self.name, waits(RunRow), _has_ref(RunRow))
        return self._waiting_at_once - (session.scalar(there) or 0)


def is_due(backend: BackendName, now: ColumnElement[datetime]) -> ColumnElement[bool]:
    """Match the runs that `OrchestratedBackend` looks at, if the orchestrator has room."""
    due = (RunRow.backend == backend, RunRow.backend_due_at <= now)
    return exists().where(*due, or_(_is_given(RunRow), _may_be_given()))


def _claimed(row: RunRow, now: datetime) -> _Followed:
    row.backend_due_at = due_at = now + timedelta(seconds=_CLAIM_SECONDS)
    return _Followed(
        run_id=row.id,
        state=RunState(row.state),
        ref=row.backend_run_ref,
        stops=row.cancel_requested_at is not None,
        ended_for=None if row.completed_at is None else now - row.completed_at,
        due_at=due_at,
    )


def _has_ref(run: type[RunRow]) -> ColumnElement[bool]:
    return run.backend_run_ref.is_not(None)


def _is_given(run: type[RunRow]) -> ColumnElement[bool]:
    """Match the runs that the orchestrator has, or had."""
    return or_(_has_ref(run), run.state != RunState.QUEUED)


def _may_be_given() -> ColumnElement[bool]:
    """Match the runs that may begin, of which the orchestrator has none of the same project."""
    there = aliased(RunRow, name="there")
    same = exists().where(there.project_id == RunRow.project_id, waits(there), _has_ref(there))
    return and_(~_has_ref(RunRow), ~same, *may_begin())


def _next_given(
    backend: BackendName, due: Sequence[ColumnElement[bool]], room: int
) -> Select[UUID]:
    """Select the runs that the orchestrator is given next: one a project, tenants in turn."""
    order = (RunRow.created_at, RunRow.position, RunRow.id)
    there = _has_ref(RunRow).desc()
    in_tenant = func.row_number().over(partition_by=RunRow.tenant_id, order_by=(there, *order))
    in_project = func.row_number().over(partition_by=RunRow.project_id, order_by=order)
    places = (in_tenant.label("turn"), in_project.label("place"))
    waiting = (
        select(RunRow.id, *places, _has_ref(RunRow).label("given"))
        .where(or_(_has_ref(RunRow), and_(*due, _may_be_given())))
        .where(RunRow.backend == backend, waits(RunRow))
        .subquery()
    )
    wanted = select(waiting.c.id).where(waiting.c.place == 1, ~waiting.c.given)
    return wanted.order_by(waiting.c.turn, waiting.c.id).limit(room)
