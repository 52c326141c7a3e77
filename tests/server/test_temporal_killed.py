"""A worker, a server and Temporal itself are killed while Temporal has a run, on PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from signal import SIGCONT
from uuid import UUID

import httpx2
import pytest

from tests.server.fleet import LEASE, Campaign, Fleet
from tests.server.pending_pull import PendingPull
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.temporal_harness import await_until
from tests.temporal import temporal_server_in
from towline.testing.git_server import StaysSilent
from towline_server.runs.domain import BackendName
from towline_server.runs.tables import RunRow, find_row

pytestmark = pytest.mark.services

IN_TIME = timedelta(seconds=LEASE + 5)
PHASES = ("fetching", "comparing", "committing")
RUNS = int(os.environ.get("CAMPAIGN_RUNS", "30"))
"""How many runs the campaign has; `make campaign-temporal` has more."""


@pytest.fixture
def fleet(tenant: GitTenant, postgres_url: str) -> Iterator[Fleet]:
    with temporal_server_in(tenant.folder) as temporal, ExitStack() as stack:
        yield Fleet(tenant, postgres_url, temporal, stack)


@pytest.fixture
def database_url(postgres_url: str) -> str:
    """The database of `tenant`."""
    return postgres_url


@pytest.fixture
def pending(tenant: GitTenant) -> PendingPull:
    return PendingPull(tenant, backend="temporal")


def row(tenant: GitTenant, run_id: str) -> RunRow:
    with tenant.database.reading() as session:
        found = find_row(session, UUID(run_id))
        session.expunge(found)
    return found


def pulled_once(pending: PendingPull, client: httpx2.Client, run_id: str, attempt: int) -> str:
    """The id of the run that pulled, once it has ended."""
    last = pending.end(client, run_id)
    assert (last["state"], last["outcome"], last["attempt"]) == ("succeeded", "changed", attempt)
    assert pending.state() == pending.new
    assert len(pending.reports()) == 2, "one pull, reported by one run"
    return str(last["id"])


@pytest.mark.parametrize("phase", PHASES)
def test_a_killed_worker_is_taken_over_in_time(phase: str, fleet: Fleet, pending: PendingPull):
    _, client = fleet.server()
    first = fleet.worker(phase)
    run_id = pending.ask(client)
    first.hear("waiting")
    fleet.worker()
    first.kill()
    assert pending.state() == pending.old
    last = pulled_once(pending, client, run_id, attempt=2)
    lost, taken = row(pending.tenant, run_id), row(pending.tenant, last)
    assert lost.reason_code == "heartbeat_timeout"
    assert lost.heartbeat_at is not None
    assert taken.started_at is not None
    assert timedelta(seconds=LEASE) < taken.started_at - lost.heartbeat_at <= IN_TIME


@pytest.mark.parametrize("phase", PHASES)
def test_a_run_goes_on_while_the_server_is_killed(phase: str, fleet: Fleet, pending: PendingPull):
    server, client = fleet.server()
    worker = fleet.worker(phase)
    run_id = pending.ask(client)
    worker.hear("waiting")
    server.kill()
    worker.send_signal(SIGCONT)
    _, client = fleet.server()
    pulled_once(pending, client, run_id, attempt=1)
    assert worker.end() == 0


@pytest.mark.parametrize("phase", PHASES)
def test_a_run_goes_on_while_temporal_is_killed(phase: str, fleet: Fleet, pending: PendingPull):
    _, client = fleet.server()
    worker = fleet.worker(phase)
    run_id = pending.ask(client)
    worker.hear("waiting")
    fleet.temporal.kill()
    worker.send_signal(SIGCONT)
    fleet.temporal.start()
    pulled_once(pending, client, run_id, attempt=1)


def test_a_run_that_was_queued_while_all_was_away_is_executed(fleet: Fleet, pending: PendingPull):
    fleet.temporal.kill()
    server, client = fleet.server()
    run_id = pending.ask(client)
    server.kill()
    fleet.temporal.start()
    fleet.worker()
    _, client = fleet.server()
    assert pulled_once(pending, client, run_id, attempt=1) == run_id
    assert row(pending.tenant, run_id).backend_run_ref == run_id


def test_a_worker_that_is_stopped_hands_its_run_back(fleet: Fleet, pending: PendingPull):
    _, client = fleet.server()
    first = fleet.worker()
    pending.tenant.server.trouble = StaysSilent()
    run_id = pending.ask(client)
    while not pending.tenant.server.tally.requests:
        assert pending.look(client, run_id)["state"] in ("queued", "fetching")
    pending.tenant.server.trouble = None
    assert first.end() == 0
    assert row(pending.tenant, run_id).reason_code == "worker_shutdown"
    fleet.worker()
    pulled_once(pending, client, run_id, attempt=2)


@pytest.mark.timeout(3600)
def test_many_runs_over_two_workers_are_executed_once_though_one_is_killed(
    fleet: Fleet, tenant: GitTenant, record_property: Callable[[str, object], None]
):
    tenant.commit(a=b"1", b=b"1")
    campaign = Campaign(tenant, BackendName.TEMPORAL)
    requested = campaign.request(projects=RUNS // 2, each=2)
    fleet.server()
    first, _ = fleet.worker(), fleet.worker()
    await_until(lambda: campaign.ended() > RUNS // 3, "a third of the runs end")
    first.kill()
    fleet.worker()
    campaign.await_end()
    counts = campaign.check(requested)
    pace = f"{RUNS} runs in {campaign.seconds():.0f} s"
    record_property("figures", f"Temporal: {pace}, 2 workers, one killed: {dict(counts)}")
