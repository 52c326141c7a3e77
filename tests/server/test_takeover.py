"""Two servers on one PostgreSQL: one is killed or stopped, and the other takes over."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from signal import SIGCONT, SIGSTOP
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy import update

from tests.databases import everything
from tests.server.api.push_hosts import HOSTS, SECRET, called
from tests.server.pending_pull import CHANGES, V1, PendingPull
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.processes import runs_elsewhere
from tests.server.serving import (
    LONG,
    SERVER,
    ServerProcess,
    client_of,
    serving,
    settings_file,
)
from towline.remotes.url import ALL_SCHEMES
from towline.testing.git_server import StaysSilent
from towline_server.auth.sealing import Sealer
from towline_server.db.clock import database_now
from towline_server.projects.connections import Connections
from towline_server.runs.schedule_tables import ScheduleRow
from towline_server.runs.schedules import Rhythm, ScheduleSpec, place
from towline_server.runs.tables import RunRow, find_row

pytestmark = pytest.mark.services

STOPPABLE = "tests.server.stoppable_server"
LEASE, HEARTBEAT = 9, 3
IN_TIME = timedelta(seconds=LEASE + 5)
PROJECTS = 50


@dataclass
class Servers:
    """Servers on one database, each with a folder of its own."""

    tenant: GitTenant
    url: str
    stack: ExitStack
    processes: dict[str, ServerProcess] = field(default_factory=dict)
    clients: dict[str, httpx2.Client] = field(default_factory=dict)

    def start(self, name: str, wait_at: str | None = None) -> ServerProcess:
        """A server, and a client of it."""
        settings = {
            "lease_seconds": LEASE,
            "heartbeat_seconds": HEARTBEAT,
            "rate_per_second": 0,
            "address_rate_per_second": 0,
        }
        words = ["--settings", str(settings_file(self.tenant, self.url, name=name, **settings))]
        module, variables = (SERVER, {}) if wait_at is None else (STOPPABLE, {"WAIT_AT": wait_at})
        server = self.stack.enter_context(
            serving([*words, "--port", "0"], module=module, **variables)
        )
        self.processes[name] = server
        self.clients[name] = self.stack.enter_context(client_of(server))
        return server


@pytest.fixture
def servers(tenant: GitTenant, postgres_url: str) -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(tenant, postgres_url, stack)


@pytest.fixture
def database_url(postgres_url: str) -> str:
    """The database of `tenant`."""
    return postgres_url


@pytest.fixture
def pending(tenant: GitTenant) -> PendingPull:
    return PendingPull(tenant)


def row(tenant: GitTenant, run_id: str) -> RunRow:
    with tenant.database.reading() as session:
        found = find_row(session, UUID(run_id))
        session.expunge(found)
    return found


def moment(at: datetime | None) -> datetime:
    assert at is not None
    return at


def begun(servers: Servers, pending: PendingPull, phase: str) -> tuple[ServerProcess, str]:
    """The first of two servers, which executes a run that waits in a phase; and the run."""
    silent = phase == "git is silent"
    pending.tenant.server.trouble = StaysSilent() if silent else None
    first = servers.start("one", None if silent else phase)
    run_id = pending.ask(servers.clients["one"])
    if silent:
        while not pending.tenant.server.tally.requests:
            pending.look(servers.clients["one"], run_id)
    else:
        first.hear("waiting")
    servers.start("two")
    return first, run_id


# --- killed -------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["git is silent", "comparing", "applying", "committing"])
def test_the_other_server_takes_over_in_time(phase: str, servers: Servers, pending: PendingPull):
    first, run_id = begun(servers, pending, phase)
    first.kill()
    pending.tenant.server.trouble = None
    assert pending.state() == pending.old
    last = pending.end(servers.clients["two"], run_id)
    assert (last["state"], last["outcome"], last["attempt"]) == ("succeeded", "changed", 2)
    lost, taken = pending.attempts(servers.clients["two"], run_id)
    assert (lost["reason_code"], taken["id"]) == ("heartbeat_timeout", last["id"])
    assert pending.state() == pending.new
    assert len(pending.reports()) == 2, "one pull, reported by one run"
    assert pending.changes(last["id"]) == CHANGES
    last_heartbeat = moment(row(pending.tenant, run_id).heartbeat_at)
    started = moment(row(pending.tenant, last["id"]).started_at)
    assert timedelta(seconds=LEASE) < started - last_heartbeat <= IN_TIME


def test_what_a_killed_server_had_not_begun_is_executed_in_time(
    servers: Servers, pending: PendingPull
):
    first, run_id = begun(servers, pending, "queued")
    first.kill()
    last = pending.end(servers.clients["two"], run_id)
    assert (last["id"], last["state"], last["attempt"]) == (run_id, "succeeded", 1)
    assert pending.state() == pending.new
    found = row(pending.tenant, run_id)
    assert moment(found.started_at) - found.created_at <= IN_TIME


def test_a_project_does_not_wait_for_what_a_killed_server_had_ended(
    servers: Servers, pending: PendingPull
):
    first, run_id = begun(servers, pending, "ended")
    first.kill()
    assert pending.state() == pending.new
    last = pending.end(servers.clients["two"], pending.ask(servers.clients["two"]))
    assert (last["state"], last["outcome"]) == ("succeeded", "unchanged")
    ended = moment(row(pending.tenant, run_id).completed_at)
    started = moment(row(pending.tenant, last["id"]).started_at)
    assert started - ended <= IN_TIME


# --- stopped, and continued ---------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["git is silent", "comparing", "applying", "committing"])
def test_a_stopped_server_that_continues_changes_nothing(
    phase: str, servers: Servers, pending: PendingPull
):
    tenant = pending.tenant
    first, run_id = begun(servers, pending, phase)
    first.send_signal(SIGSTOP)
    tenant.server.trouble = None
    last = pending.end(servers.clients["two"], run_id)
    assert (last["state"], last["attempt"]) == ("succeeded", 2)
    last_heartbeat = moment(row(tenant, run_id).heartbeat_at)
    assert moment(row(tenant, last["id"]).started_at) - last_heartbeat <= IN_TIME
    assert pending.state() == pending.new
    tenant.edit(pending.project, "a", b"edited since")
    before = everything(tenant.database)

    first.send_signal(SIGCONT)
    assert pending.look(servers.clients["one"], last["id"])["state"] == "succeeded"
    assert servers.clients["one"].get("/readyz").status_code == 200
    # It waits for what it still executes.
    assert first.end() == 0
    assert everything(tenant.database) == before


def test_a_continued_server_serves_on(servers: Servers, pending: PendingPull):
    first, run_id = begun(servers, pending, "committing")
    first.send_signal(SIGSTOP)
    pending.end(servers.clients["two"], run_id)
    first.send_signal(SIGCONT)
    assert servers.processes["two"].end() == 0
    pending.tenant.commit(a=b"3", here=b"1", rules__b=b"1", rules__new=b"2")
    last = pending.end(servers.clients["one"], pending.ask(servers.clients["one"]))
    assert (last["state"], last["outcome"]) == ("succeeded", "changed")


# --- both at work -------------------------------------------------------------------------------


def everything_ended(servers: Servers, pending: PendingPull, wanted: int) -> list[dict[str, Any]]:
    """All runs of the tenant, once so many have ended, and none is left."""
    headers = {"X-API-Key": pending.key}
    deadline = time.monotonic() + LONG
    while True:
        answer = servers.clients["two"].get(f"{V1}/runs?limit=100", headers=headers)
        runs: list[dict[str, Any]] = answer.json()["items"]
        ended = [run for run in runs if run["completed_at"] is not None]
        if len(ended) >= wanted and ended == runs:
            return runs
        assert time.monotonic() < deadline, runs


def test_a_schedule_fires_once_on_two_servers(servers: Servers, pending: PendingPull):
    tenant = pending.tenant
    for _ in range(20):
        spec = ScheduleSpec(project_id=tenant.project().id, rhythm=Rhythm(every_seconds=3600))
        with tenant.database.writing() as session:
            place(session, uuid4(), spec, database_now(session))
    servers.start("one")
    servers.start("two")
    with tenant.database.writing() as session:
        session.execute(update(ScheduleRow).values(due_at=database_now(session)))
    runs = everything_ended(servers, pending, 20)
    assert len(runs) == len({run["project_id"] for run in runs}) == 20
    assert {(run["triggered_by"], run["outcome"]) for run in runs} == {("scheduled", "changed")}


def test_a_push_starts_one_run_on_two_servers(servers: Servers, pending: PendingPull):
    tenant, host, body = pending.tenant, HOSTS["git"], called(HOSTS["git"])
    with tenant.database.writing() as session:
        connections = Connections(session, Sealer(["k" * 40]), ALL_SCHEMES)
        connections.set_webhook_secret(tenant.connection_id, SECRET)
    servers.start("one")
    servers.start("two")

    def call(delivery: int, name: str) -> httpx2.Response:
        headers = host.headers(body + b" " * delivery, delivery=f"d{delivery}")
        url = f"/hooks/{tenant.connection_id}"
        return servers.clients[name].post(url, content=body + b" " * delivery, headers=headers)

    with ThreadPoolExecutor(2) as pool:
        for delivery in range(10):
            answers = list(pool.map(call, [delivery] * 2, servers.clients))
            runs = [run for each in answers for run in each.json().get("runs", [])]
            assert len(set(runs)) == 1, [each.text for each in answers]
            assert {each.status_code for each in answers} <= {202, 409}
    assert len(everything_ended(servers, pending, 10)) == 10


def test_what_waits_for_one_repository_is_one_fetch_a_server(
    servers: Servers, pending: PendingPull
):
    tenant = pending.tenant
    waiting = runs_elsewhere(tenant)
    asked = [str(waiting.request(tenant.project().id).id) for _ in range(PROJECTS)]
    servers.start("one")
    servers.start("two")
    runs = everything_ended(servers, pending, PROJECTS)
    assert {run["id"] for run in runs} == set(asked)
    assert {run["outcome"] for run in runs} == {"changed"}
    requests = [each for each in tenant.server.tally.requests if each.method == "GET"]
    executors = {row(tenant, run["id"]).executor_id for run in runs}
    assert len(requests) == len(executors) <= 2
