"""Runs: request, read, wait for, cancel and retry them. What the dialects call.

It does not authorise: see `towline_server.auth.roles.authorise`. Each call is a transaction of its
own, and what it returns is committed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from towline.errors import InvalidValue
from towline_server.audit.log import Action, Owner, record
from towline_server.db.clock import database_now
from towline_server.db.session import Database
from towline_server.errors import NotFound, RunNotEnded, existing
from towline_server.loops import ChangeSignal

from .attempts import Batch, check_room, find_by_key, find_target, refuse_second, retry, rows_of
from .completion import note_cancel, request_cancel
from .domain import BackendName, Run, RunMode, RunRequest, Trigger, TriggeredBy
from .listing import RunFilter, RunPage
from .states import TERMINAL, RunState
from .tables import RunRow, children_of, find_row, list_runs, run_of
from .worker import Backends

_LOOK_SECONDS = 0.5
"""How often a wait looks at the database for runs that another process executes."""


class Runs:
    """The runs of a database."""

    def __init__(
        self,
        database: Database,
        backends: Backends,
        *,
        changes: ChangeSignal | None = None,
        most_waiting: int = 5_000,
    ) -> None:
        self._database = database
        self.backends = backends
        """The backends that can execute runs here."""
        self._changes = changes or ChangeSignal()
        self._most_waiting = most_waiting

    # --- ask for ------------------------------------------------------------------------------

    def request(
        self,
        project_id: UUID,
        request: RunRequest | None = None,
        *,
        trigger: Trigger = Trigger(),
        backend: BackendName = BackendName.NATIVE,
    ) -> Run:
        """Request a run. It waits until no other run of the project is active.

        One by windows has a child for each, of which the first one is requested with it.

        Raises:
            NotFound: there is no such project.
            BackendNotConfigured: the backend cannot be used here.
            QueueFull: as many runs of the tenant wait as may.
        """
        whole = request or RunRequest()
        return self._request(project_id, [whole], trigger, backend, Batch.of_one(whole))[0]

    def request_kinds(
        self,
        project_id: UUID,
        kinds: Sequence[str],
        *,
        trigger: Trigger = Trigger(),
        batch_id: UUID | None = None,
    ) -> tuple[Run, ...]:
        """Request a run for each kind, in one batch even of one kind: a new one by default.

        Raises as `request`.
        """
        requests = [RunRequest(kind=kind) for kind in kinds]
        batch = Batch(batch_id=batch_id or uuid4())
        return self._request(project_id, requests, trigger, BackendName.NATIVE, batch)

    def request_only_one(self, project_id: UUID, kind: str, *, trigger: Trigger = Trigger()) -> Run:
        """Request a run of one kind, unless one is in progress.

        Raises:
            KindInProgress: there is one.
            NotFound, BackendNotConfigured, QueueFull: as `request`.
        """
        batch, native = Batch(batch_id=None, alone=True), BackendName.NATIVE
        return self._request(project_id, [RunRequest(kind=kind)], trigger, native, batch)[0]

    def request_fan_out(
        self,
        project_id: UUID,
        kinds: Sequence[str],
        request: RunRequest | None = None,
        *,
        trigger: Trigger = Trigger(),
        backend: BackendName = BackendName.NATIVE,
    ) -> Run:
        """Request a parent run with a child for each kind, and one fetch (see `children`).

        Raises:
            InvalidValue: no kind is named.
            NotFound, BackendNotConfigured, QueueFull: as `request`.
        """
        if not kinds:
            raise InvalidValue(field="kinds", problem="names none")
        whole = request or RunRequest()
        requests = [replace(whole, kind=kind) for kind in kinds]
        batch = Batch(batch_id=uuid4(), parent=whole)
        return self._request(project_id, requests, trigger, backend, batch)[0]

    def check_room(self, tenant_id: UUID, backend: BackendName) -> None:
        """Refuse what would request a run of a tenant. Raises QueueFull, as `request`."""
        with self._database.reading() as session:
            check_room(session, tenant_id, backend, self._most_waiting)

    def _request(
        self,
        project_id: UUID,
        requests: Sequence[RunRequest],
        trigger: Trigger,
        backend: BackendName,
        batch: Batch,
    ) -> tuple[Run, ...]:
        executing = self.backends.get(backend)
        try:
            with self._database.writing() as session:
                runs = find_by_key(session, project_id, trigger.key)
                if not runs:
                    if batch.alone and requests[0].kind is not None:
                        refuse_second(session, project_id, requests[0].kind)
                    target, at = find_target(session, project_id, backend, self._most_waiting)
                    rows = rows_of(target, requests, trigger, backend, batch, at)
                    session.add_all(rows)
                    session.flush()
                    runs = tuple(run_of(row) for row in rows)
                    _record(session, Action.RUN_REQUESTED, runs[0], by=trigger.by)
        except IntegrityError:
            # The same key was used between our look and our write.
            with self._database.reading() as session:
                runs = find_by_key(session, project_id, trigger.key)
            if not runs:
                raise
        executing.submit(
            [run.id for run in runs if run.state is RunState.QUEUED and not run.is_parent]
        )
        return runs

    # --- read ---------------------------------------------------------------------------------

    def get(self, run_id: UUID) -> Run:
        """Return a run.

        Raises:
            NotFound: there is none.
        """
        with self._database.reading() as session:
            return run_of(find_row(session, run_id))

    def find(self, run_id: UUID) -> Run | None:
        """Return a run, or None."""
        try:
            return self.get(run_id)
        except NotFound:
            return None

    def page(
        self,
        wanted: RunFilter,
        *,
        limit: int = 25,
        offset: int = 0,
        conditions: Sequence[ColumnElement[bool]] = (),
        order: Sequence[ColumnElement[Any]] = (),
    ) -> RunPage:
        """List matching runs, newest first, without their reports.

        ``conditions`` and ``order`` are over `RunRow`.
        """
        where = [*wanted.conditions(), *conditions]
        run = RunRow
        ordered = [*order, run.created_at.desc(), run.position, run.id]
        query = select(run).where(*where).order_by(*ordered).limit(limit).offset(offset)
        with self._database.reading() as session:
            total = session.scalar(select(func.count()).select_from(run).where(*where)) or 0
            return RunPage(runs=list_runs(session, query), total=total, offset=offset)

    def attempts(self, run_id: UUID) -> tuple[Run, ...]:
        """Return every attempt that a run is one of, the first one first, without their reports.

        Raises:
            NotFound: there is no such run.
        """
        with self._database.reading() as session:
            root_id = existing(session.scalar(_root_of(run_id)), "run")
            same = select(RunRow).where(RunRow.attempt_root_id == root_id)
            return list_runs(session, same.order_by(RunRow.attempt, RunRow.id))

    # --- wait ---------------------------------------------------------------------------------

    def wait(self, run_id: UUID, seconds: float) -> Run:
        """Wait until a run has ended, the time is up, or this process stops, and return the run.

        Where an attempt replaces it automatically, that one is waited for.

        Raises:
            NotFound: there is no such run.
        """
        last = None
        for last in self.follow(run_id, seconds):
            run_id = last.id
        return last if last is not None else self.get(run_id)

    def settle(self, run_id: UUID, seconds: float) -> Run:
        """Wait as `wait` does, but cancel a retry that may not begin yet.

        The caller gets the failure now, and nothing is pulled later.
        """
        last = self.get(run_id)
        for last in self.follow(run_id, seconds):
            if last.attempts.not_before is not None and last.attempts.previous_id is not None:
                self.cancel(last.id, reason="the request was answered")
                return self.get(last.attempts.previous_id)
        return last

    def follow(self, run_id: UUID, seconds: float) -> Iterator[Run]:
        """Yield a run each time that it changed, until it has ended or the time is up.

        Raises:
            NotFound: there is no such run.
        """
        deadline = time.monotonic() + seconds
        before: Run | None = None
        with self._changes.waiter(run_id) as waiter:
            while True:
                waiter.forget()
                now = self.get(waiter.row_id)
                if now.will_be_retried and now.attempts.next_id is not None:
                    waiter.row_id = now.attempts.next_id
                    continue
                if before is None or (now.id, now.updated_at) != (before.id, before.updated_at):
                    before = now
                    yield now
                left = deadline - time.monotonic()
                if now.is_terminal or left <= 0 or self._changes.is_closed:
                    return
                waiter.wait(min(left, _LOOK_SECONDS))

    # --- cancel and retry ---------------------------------------------------------------------

    def cancel(self, run_id: UUID, *, by: str | None = None, reason: str | None = None) -> Run:
        """Cancel a run: at once when it waits, before its commit point when it is active.

        One that has ended, or is being cancelled, is left as it is.

        Raises:
            NotFound: there is no such run.
        """
        with self._database.writing() as session:
            row = find_row(session, run_id, lock=True)
            parts = _unended(session, row.id) if row.is_parent else []
            if not RunState(row.state).is_terminal:
                _record(session, Action.RUN_CANCELLED, run_of(row), reason=reason)
            cancel = note_cancel if parts else request_cancel
            cancel(session, row, by, reason)
            backend, run = row.backend, run_of(row)
        for part in parts:
            self.cancel(part, by=by, reason=reason)
        self._changes.changed()
        if not parts and (run.state.is_active or run.executor.remote is not None):
            self.backends.stop_run(backend, run_id)
        return self.get(run_id) if parts else run

    def retry(
        self, run_id: UUID, *, mode: RunMode | None = None, requested_by: UUID | None = None
    ) -> Run:
        """Retry a run that has ended; a second call returns the same attempt.

        Raises:
            NotFound: there is no such run.
            RunNotEnded: it, or its last attempt, has not ended.
            QueueFull: as `request`.
        """
        with self._database.writing() as session:
            row = find_row(session, run_id, lock=True)
            if not RunState(row.state).is_terminal:
                raise RunNotEnded(run_id=str(run_id))
            if row.next_attempt_id is not None:
                following = find_row(session, row.next_attempt_id, lock=True)
                following.not_before = None
                again = run_of(following)
                self.backends.submit(again.executor.backend, [])
                return again
            before = run_of(row)
            check_room(session, before.tenant_id, before.executor.backend, self._most_waiting)
            request = replace(before.request, mode=mode or before.request.mode)
            now = database_now(session)
            following = retry(session, row, now, request=request, requested_by=requested_by)
            runs = [run_of(following)]
            _record(session, Action.RUN_RETRIED, runs[0], attempt_of=run_id)
            if row.is_parent:
                runs += self._retry_children(session, row, following, request)
        waiting = [run.id for run in runs if not run.is_parent]
        self.backends.submit(before.executor.backend, waiting)
        return runs[0]

    def _retry_children(
        self, session: Session, row: RunRow, following: RunRow, request: RunRequest
    ) -> list[Run]:
        trigger = Trigger(by=TriggeredBy.RETRY, ref=str(row.id), sync_id=row.sync_id)
        batch = Batch(batch_id=uuid4())
        requests = [request]
        if request.window is None:
            kinds = [child.kind for child in session.scalars(children_of(row.id))]
            requests = [replace(request, kind=kind) for kind in kinds]
        backend = BackendName(row.backend)
        now = following.created_at
        most = self._most_waiting + len(requests)  # their parent had room
        target, _ = find_target(session, row.project_id, backend, most)
        rows = rows_of(target, requests, trigger, backend, batch, now)
        following.batch_id = batch.batch_id
        for position, child in enumerate(rows, start=1):
            child.parent_id, child.position = following.id, position
        session.add_all(rows)
        session.flush()
        return [run_of(child) for child in rows]


def _record(session: Session, action: Action, run: Run, **detail: object) -> None:
    owner, asked = Owner(run.tenant_id, run.project_id), run.request
    record(session, action, run.id, owner, kind=asked.kind, mode=asked.mode, **detail)


def _unended(session: Session, parent_id: UUID) -> Sequence[UUID]:
    """Return the children of a run that have not ended."""
    run = RunRow
    left = select(run.id).where(run.parent_id == parent_id, run.state.not_in(TERMINAL))
    return session.scalars(left.order_by(run.position, run.id)).all()


def _root_of(run_id: UUID) -> Select[UUID]:
    return select(RunRow.attempt_root_id).where(RunRow.id == run_id)
