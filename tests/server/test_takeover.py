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
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import update

from tests.databases import everything
from tests.server.api.test_hooks import HOSTS, SECRET, called
from tests.server.passage import V1, Passage
from tests.server.runs.processes import runs_elsewhere
from tests.server.runs.world import World
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
from towline_server.runs import tables
from towline_server.runs.rows import find_row
from towline_server.runs.schedules import Rhythm, Schedules, ScheduleSpec

pytestmark = pytest.mark.services

STANDS = "tests.server.stoppable_server"
LEASE, BEAT = 9, 3
IN_TIME = timedelta(seconds=LEASE + 5)
PROJECTS = 50


@dataclass
class Servers:
    """Servers on one database, each with a folder of its own."""

    world: World
    url: str
    stack: ExitStack
    processes: dict[str, ServerProcess] = field(default_factory=dict)
    clients: dict[str, httpx2.Client] = field(default_factory=dict)

    def start(self, name: str, stands_at: str | None = None) -> ServerProcess:
        """A server, and a client of it."""
        settings = {
            "lease_seconds": LEASE,
            "heartbeat_seconds": BEAT,
            "rate_per_second": 0,
            "address_rate_per_second": 0,
        }
        words = ["--settings", str(settings_file(self.world, self.url, name=name, **settings))]
        module, stands = (SERVER, {}) if stands_at is None else (STANDS, {"STANDS_AT": stands_at})
        server = self.stack.enter_context(serving([*words, "--port", "0"], module=module, **stands))
        self.processes[name] = server
        self.clients[name] = self.stack.enter_context(client_of(server))
        return server


@pytest.fixture
def servers(world: World, postgres_url: str) -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(world, postgres_url, stack)


@pytest.fixture
def database_url(postgres_url: str) -> str:
    """What `world` stands on."""
    return postgres_url


@pytest.fixture
def passage(world: World) -> Passage:
    return Passage(world)


def row(world: World, run_id: str) -> tables.Run:
    with world.database.reading() as session:
        found = find_row(session, UUID(run_id))
        session.expunge(found)
    return found


def moment(at: datetime | None) -> datetime:
    assert at is not None
    return at


def begun(servers: Servers, passage: Passage, phase: str) -> tuple[ServerProcess, str]:
    """The first of two servers, which executes a run that stands in a phase; and the run."""
    silent = phase == "git is silent"
    passage.world.server.trouble = StaysSilent() if silent else None
    first = servers.start("one", None if silent else phase)
    run_id = passage.ask(servers.clients["one"])
    if silent:
        while not passage.world.server.tally.requests:
            passage.look(servers.clients["one"], run_id)
    else:
        first.hear("standing")
    servers.start("two")
    return first, run_id


# --- killed -------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["git is silent", "comparing", "applying", "committing"])
def test_the_other_server_takes_over_in_time(phase: str, servers: Servers, passage: Passage):
    first, run_id = begun(servers, passage, phase)
    first.kill()
    passage.world.server.trouble = None
    assert passage.standing() == passage.old
    last = passage.end(servers.clients["two"], run_id)
    assert (last["state"], last["outcome"], last["attempt"]) == ("succeeded", "changed", 2)
    lost, taken = passage.attempts(servers.clients["two"], run_id)
    assert (lost["reason_code"], taken["id"]) == ("heartbeat_timeout", last["id"])
    assert passage.standing() == passage.new
    assert len(passage.reports()) == 2, "one pull, told by one run"
    beat = moment(row(passage.world, run_id).heartbeat_at)
    started = moment(row(passage.world, last["id"]).started_at)
    assert timedelta(seconds=LEASE) < started - beat <= IN_TIME


def test_what_a_killed_server_had_not_begun_is_executed_in_time(servers: Servers, passage: Passage):
    first, run_id = begun(servers, passage, "queued")
    first.kill()
    last = passage.end(servers.clients["two"], run_id)
    assert (last["id"], last["state"], last["attempt"]) == (run_id, "succeeded", 1)
    assert passage.standing() == passage.new
    found = row(passage.world, run_id)
    assert moment(found.started_at) - found.created_at <= IN_TIME


def test_a_project_does_not_wait_for_what_a_killed_server_had_ended(
    servers: Servers, passage: Passage
):
    first, run_id = begun(servers, passage, "ended")
    first.kill()
    assert passage.standing() == passage.new
    last = passage.end(servers.clients["two"], passage.ask(servers.clients["two"]))
    assert (last["state"], last["outcome"]) == ("succeeded", "unchanged")
    ended = moment(row(passage.world, run_id).completed_at)
    started = moment(row(passage.world, last["id"]).started_at)
    assert started - ended <= IN_TIME


# --- stopped, and woken -------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["git is silent", "comparing", "applying", "committing"])
def test_a_stopped_server_that_wakes_changes_nothing(
    phase: str, servers: Servers, passage: Passage
):
    world = passage.world
    first, run_id = begun(servers, passage, phase)
    first.tell(SIGSTOP)
    world.server.trouble = None
    last = passage.end(servers.clients["two"], run_id)
    assert (last["state"], last["attempt"]) == ("succeeded", 2)
    beat = moment(row(world, run_id).heartbeat_at)
    assert moment(row(world, last["id"]).started_at) - beat <= IN_TIME
    assert passage.standing() == passage.new
    world.edit(passage.project, "a", b"edited since")
    before = everything(world.database)

    first.tell(SIGCONT)
    assert passage.look(servers.clients["one"], last["id"])["state"] == "succeeded"
    assert servers.clients["one"].get("/readyz").status_code == 200
    # It waits for whatever it still executes.
    assert first.end() == 0
    assert everything(world.database) == before


def test_a_server_that_was_woken_serves_on(servers: Servers, passage: Passage):
    first, run_id = begun(servers, passage, "committing")
    first.tell(SIGSTOP)
    passage.end(servers.clients["two"], run_id)
    first.tell(SIGCONT)
    assert servers.processes["two"].end() == 0
    passage.world.commit(a=b"3", here=b"1", rules__b=b"1", rules__new=b"2")
    last = passage.end(servers.clients["one"], passage.ask(servers.clients["one"]))
    assert (last["state"], last["outcome"]) == ("succeeded", "changed")


# --- both at work -------------------------------------------------------------------------------


def everything_ended(servers: Servers, passage: Passage, wanted: int) -> list[dict[str, Any]]:
    """All runs of the tenant, once so many have ended, and none is left."""
    headers = {"X-API-Key": passage.key}
    deadline = time.monotonic() + LONG
    while True:
        answer = servers.clients["two"].get(f"{V1}/runs?limit=100", headers=headers)
        runs: list[dict[str, Any]] = answer.json()["items"]
        ended = [run for run in runs if run["completed_at"] is not None]
        if len(ended) >= wanted and ended == runs:
            return runs
        assert time.monotonic() < deadline, runs


def test_a_schedule_fires_once_on_two_servers(servers: Servers, passage: Passage):
    world = passage.world
    schedules = Schedules(world.database, runs_elsewhere(world))
    for _ in range(20):
        spec = ScheduleSpec(project_id=world.project().id, rhythm=Rhythm(every_seconds=3600))
        schedules.put(spec)
    servers.start("one")
    servers.start("two")
    with world.database.writing() as session:
        session.execute(update(tables.Schedule).values(due_at=database_now(session)))
    runs = everything_ended(servers, passage, 20)
    assert len(runs) == len({run["project_id"] for run in runs}) == 20
    assert {(run["triggered_by"], run["outcome"]) for run in runs} == {("scheduled", "changed")}


def test_a_push_starts_one_run_on_two_servers(servers: Servers, passage: Passage):
    world, host, body = passage.world, HOSTS["git"], called(HOSTS["git"])
    with world.database.writing() as session:
        connections = Connections(session, Sealer(["k" * 40]), ALL_SCHEMES)
        connections.set_webhook_secret(world.connection_id, SECRET)
    servers.start("one")
    servers.start("two")

    def call(delivery: int, name: str) -> httpx2.Response:
        headers = host.headers(body + b" " * delivery, delivery=f"d{delivery}")
        url = f"/hooks/{world.connection_id}"
        return servers.clients[name].post(url, content=body + b" " * delivery, headers=headers)

    with ThreadPoolExecutor(2) as pool:
        for delivery in range(10):
            answers = list(pool.map(call, [delivery] * 2, servers.clients))
            told = [run for each in answers for run in each.json().get("runs", [])]
            assert len(set(told)) == 1, [each.text for each in answers]
            assert {each.status_code for each in answers} <= {202, 409}
    assert len(everything_ended(servers, passage, 10)) == 10


def test_what_waits_for_one_repository_is_one_fetch_a_server(servers: Servers, passage: Passage):
    world = passage.world
    waiting = runs_elsewhere(world)
    asked = [str(waiting.request(world.project().id).id) for _ in range(PROJECTS)]
    servers.start("one")
    servers.start("two")
    runs = everything_ended(servers, passage, PROJECTS)
    assert {run["id"] for run in runs} == set(asked)
    assert {run["outcome"] for run in runs} == {"changed"}
    talks = [each for each in world.server.tally.requests if each.method == "GET"]
    executors = {row(world, run["id"]).executor_id for run in runs}
    assert len(talks) == len(executors) <= 2
