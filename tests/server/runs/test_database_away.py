"""Runs while the database is away, or its disk is full."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, func, select, text

from tests.databases import open_database
from tests.postgres import PostgresServer
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.processes import LONG
from tests.server.runs.runner import BEFORE_THE_COMMIT, Runner
from towline.testing.git_server import GitServer
from towline_server import disk
from towline_server.db import engine
from towline_server.db.failures import FAILURES, is_full
from towline_server.problems import failure_of
from towline_server.runs.fetch_process import FetchProcess
from towline_server.runs.states import Outcome, ReasonCode, ResultClass, RunState


def full() -> None:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    raise error


class FullDisk:
    """Lets every write fail from a boundary on, until the worker has waited a few times."""

    def __init__(self, runner: Runner, boundary: str, waits: int = 3) -> None:
        self.engine = runner.tenant.database.engine
        self.boundary, self.waits = boundary, waits
        self.pauses: list[float] = []
        self.is_full = False
        event.listen(self.engine, "before_cursor_execute", self._fail)

    def __call__(self, _run_id: UUID, name: str) -> None:
        if name == self.boundary and not self.pauses:
            self.is_full = True

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.is_full = len(self.pauses) < self.waits

    def _fail(self, _connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if self.is_full and statement.startswith(("INSERT", "UPDATE", "DELETE")):
            full()


@pytest.fixture
def runner(sqlite_url: str, git_server: GitServer, tmp_path: Path) -> Iterator[Runner]:
    database = open_database(sqlite_url)
    yield Runner(GitTenant(database, git_server, tmp_path))
    database.close()


@pytest.mark.parametrize("boundary", BEFORE_THE_COMMIT)
def test_a_run_goes_on_once_the_disk_is_free(
    boundary: str, runner: Runner, caplog: pytest.LogCaptureFixture
):
    runner.tenant.commit(a=b"1")
    project = runner.tenant.project()
    run, full_disk = runner.runs.request(project.id), FullDisk(runner, boundary)
    runner.worker(gate=full_disk, sleep=full_disk.sleep).execute(run.id)
    ended = runner.runs.get(run.id)
    assert (ended.outcome, ended.attempts.number, len(full_disk.pauses)) == (Outcome.CHANGED, 1, 3)
    assert f"run {run.id}: waits for the database" in caplog.text
    assert "disk is full" in caplog.text
    assert runner.tenant.contents(project) == {"a": b"1"}


def test_a_disk_that_stays_full_is_reported_and_the_project_comes_free(runner: Runner):
    runner.tenant.commit(a=b"1")
    project = runner.tenant.project()
    run = runner.runs.request(project.id)
    full_disk = FullDisk(runner, "comparing", waits=100)
    runner.worker(gate=full_disk, sleep=full_disk.sleep).execute(run.id)
    ended = runner.runs.get(run.id)
    assert sum(full_disk.pauses) > runner.leases.seconds
    assert (ended.state, ended.result_class) == (RunState.FAILED, ResultClass.RETRYABLE_FAILURE)
    assert ended.error is not None
    assert (ended.error.code, ended.will_be_retried) == ("disk_full", True)
    another = runner.runs.request(project.id)
    lease = runner.worker().take_next()
    assert lease is not None
    assert lease.run_id == another.id


def test_a_run_whose_lease_lapsed_meanwhile_is_left_to_another(runner: Runner):
    runner.tenant.commit(a=b"1")
    project = runner.tenant.project()
    run = runner.runs.request(project.id)
    full_disk = FullDisk(runner, "comparing")

    def sleep(seconds: float) -> None:
        full_disk.sleep(seconds)
        if not full_disk.is_full:
            runner.lose()

    runner.worker(gate=full_disk, sleep=sleep).execute(run.id)
    assert runner.runs.get(run.id).reason_code is ReasonCode.HEARTBEAT_TIMEOUT
    assert runner.tenant.contents(project) == {}


def test_a_cache_without_room_is_a_full_disk(tenant: GitTenant, monkeypatch: pytest.MonkeyPatch):
    runner = Runner(tenant, FetchProcess(networks=("127.0.0.0/8",)))
    run = runner.runs.request(tenant.project(ref="heads/none").id)
    monkeypatch.setattr(disk, "is_full", lambda _folder: True)
    runner.worker().execute(run.id)
    ended = runner.runs.get(run.id)
    assert ended.error is not None
    assert (ended.error.code, ended.will_be_retried) == ("disk_full", True)


def test_a_full_disk_is_reported_to_callers():
    with pytest.raises(sqlite3.OperationalError) as raised:
        full()
    assert is_full(raised.value)
    failure = failure_of(raised.value)
    assert (failure.status, failure.code) == (503, "disk_full")
    assert "Retry-After" in failure.headers


# --- PostgreSQL -------------------------------------------------------------------------------


def restarted(postgres: PostgresServer, call: Callable[[], object]) -> None:
    """Restart the database, with a call while it is away."""
    postgres.stop()
    try:
        call()
    finally:
        postgres.start()


@pytest.mark.services
@pytest.mark.parametrize("boundary", ["fetched", "comparing", "applying", "committing"])
def test_a_run_survives_a_restart_of_the_database(
    boundary: str,
    postgres_url: str,
    postgres_server: PostgresServer,
    git_server: GitServer,
    tmp_path: Path,
):
    database = open_database(postgres_url)
    runner = Runner(GitTenant(database, git_server, tmp_path))
    runner.tenant.commit(a=b"1")
    project = runner.tenant.project()
    run = runner.runs.request(project.id)
    paused: list[float] = []

    def look() -> None:
        with pytest.raises(FAILURES) as raised:
            runner.runs.get(run.id)
        failure = failure_of(raised.value)
        assert (failure.status, failure.code) == (503, "database_unavailable")
        assert "Retry-After" in failure.headers

    def restart(_run_id: UUID, name: str) -> None:
        if name == boundary and not paused:
            paused.append(0)
            restarted(postgres_server, look)

    runner.worker(gate=restart, sleep=paused.append).execute(run.id)
    ended = runner.runs.get(run.id)
    assert (ended.outcome, ended.attempts.number) == (Outcome.CHANGED, 1)
    assert runner.tenant.contents(project) == {"a": b"1"}
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(runner.runs.get, [run.id] * 8))
    database.close()


@pytest.mark.services
def test_a_connection_that_the_database_has_ended_is_replaced(postgres_url: str):
    database, other = open_database(postgres_url), open_database(postgres_url)
    backend = select(func.pg_backend_pid())
    with database.writing() as session:
        ended = session.scalar(backend)
    with other.writing() as session:
        assert session.scalar(select(func.pg_terminate_backend(ended, 1000 * LONG)))
    with database.writing() as session:
        assert session.scalar(backend) != ended
    database.close()
    other.close()


@pytest.mark.services
def test_a_connection_in_use_is_not_asked_whether_it_is_there(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
):
    database = open_database(postgres_url)
    asked: list[object] = []
    monkeypatch.setattr(database.engine.dialect, "do_ping", asked.append)
    for _ in range(3):
        database.now()
    assert not asked
    monkeypatch.setattr(engine, "_UNUSED_SECONDS", 0)
    database.now()
    assert len(asked) == 1
    database.close()


@pytest.mark.services
def test_what_reads_patiently_is_not_ended(postgres_url: str):
    database = open_database(postgres_url, idle_seconds=2)
    ended_after = text("SHOW idle_in_transaction_session_timeout")
    found = []
    for session_of in (database.writing, database.reading, database.reading_patiently):
        with session_of() as session:
            found.append(session.scalar(ended_after))
    with database.reading() as session:
        found.append(session.scalar(ended_after))
    assert found == ["2s", "2s", "0", "2s"]
    database.close()
