"""What an idle server costs its database, and what wakes its loops."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import Runner
from tests.server.runs.runtimes import opened
from tests.server.sql_log import statements
from tests.server.webhooks.tenant_webhooks import TenantWebhooks
from towline_server.loops import Ticker
from towline_server.runs.domain import BackendName
from towline_server.runs.due import Due, DueWork
from towline_server.runs.schedules import Rhythm, ScheduleSpec, place


def test_an_idle_server_sends_next_to_nothing(tenant: GitTenant, database_url: str):
    runtime = opened(tenant, database_url)
    try:
        sent = dict[str, float]()
        for loop in runtime.loops:
            loop.once()  # what it does at its start alone
            with statements(tenant.database) as seen:
                loop.once()
            sent[loop.name] = len(seen) / loop.seconds
        assert sum(sent.values()) <= 5, sent
    finally:
        assert runtime.executor_lock is not None
    runtime.executor_lock.close()


def queued(tenant: GitTenant) -> None:
    Runner(tenant).runs.request(tenant.project().id)


def claimed(tenant: GitTenant) -> None:
    runner = Runner(tenant)
    runner.runs.request(tenant.project().id, backend=BackendName.EXTERNAL)
    runner.external.claim("elsewhere", tenant_id=tenant.tenant_id)


def expired(tenant: GitTenant) -> None:
    claimed(tenant)
    Runner(tenant).lapse()


def scheduled(tenant: GitTenant, *, ago: float = 60) -> None:
    spec = ScheduleSpec(project_id=tenant.project().id, rhythm=Rhythm(every_seconds=1))
    with tenant.database.writing() as session:
        place(session, uuid4(), spec, datetime.now(UTC) - timedelta(seconds=ago))


def scheduled_for_later(tenant: GitTenant) -> None:
    scheduled(tenant, ago=-60)


def announced(tenant: GitTenant) -> None:
    webhooks = TenantWebhooks(tenant.database)
    webhooks.endpoint("https://receiver.example/")
    webhooks.announce()


@pytest.mark.parametrize(
    ("happen", "due"),
    [
        (lambda _: None, set()),
        (queued, {Due.RUNS}),
        (claimed, set()),
        (expired, {Due.LEASES}),
        (scheduled, {Due.SCHEDULES}),
        (scheduled_for_later, set()),
        (announced, {Due.DELIVERIES}),
    ],
)
def test_a_loop_is_woken_for_what_is_due(
    tenant: GitTenant, happen: Callable[[GitTenant], None], due: set[Due]
):
    happen(tenant)
    woken: set[Due] = set()

    class Woken(Ticker):
        def wake(self) -> None:
            woken.add(Due(self.name))

    loops = {each: Woken(each, 1) for each in Due}
    DueWork(tenant.database, loops).wake()
    assert woken == due
