"""A sync of every mode comes to its end on each orchestrator that has its runs executed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.dialects.syncs.client import SyncsClient
from tests.server.dialects.tenant_client import TenantClient, client_of
from tests.server.prefect_server import running_prefect
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.prefect_harness import PrefectHarness
from tests.server.runs.runner import Runner
from tests.server.runs.temporal_harness import TemporalHarness, await_until
from tests.temporal import TemporalServer
from towline_server.auth.roles import Role
from towline_server.dialects.syncs.domain import ExecutionMode
from towline_server.services import Services

pytestmark = pytest.mark.services


@pytest.fixture
def sqlite_url(postgres_url: str) -> str:
    """The database of the settings: PostgreSQL, which workers share."""
    return postgres_url


@pytest.fixture
def temporal(
    runner: Runner, postgres_url: str, temporal_server: TemporalServer
) -> Iterator[TemporalHarness]:
    made = TemporalHarness(runner, postgres_url, temporal_server.address)
    made.two()
    yield made
    made.close()


@pytest.fixture
def prefect(tenant: GitTenant, postgres_url: str) -> Iterator[PrefectHarness]:
    tenant.folder.mkdir(exist_ok=True)
    with running_prefect() as server, server.worker("towline") as worker:
        made = PrefectHarness(tenant, postgres_url, server, worker)
        yield made
        made.close()


def test_temporal(services: Services, temporal: TemporalHarness):
    check(services, temporal)


def test_prefect(services: Services, prefect: PrefectHarness):
    check(services, prefect)


def check(services: Services, harness: TemporalHarness | PrefectHarness) -> None:
    runner, tenant = harness.runner, harness.runner.tenant
    with client_of(services, runner, harness.runs) as client:
        api = TenantClient(client=client, tenant=tenant, services=services)
        syncs = SyncsClient(api, runner, tenant.project(), api.key(Role.WRITER))
        for number, mode in enumerate(ExecutionMode):
            tenant.commit(rules__a=b"%d" % number, tasks__b=b"1")
            sync = syncs.create(status="active", executionBackend=harness.name, executionMode=mode)
            run = syncs.trigger(sync)

            def has_ended(run_id: str = run["id"]) -> bool:
                harness.backend.follow_due()
                return syncs.run({"id": run_id})["completedAt"] is not None

            await_until(has_ended, f"a run of {mode} ends")
            found = syncs.run(run)
            assert (found["status"], found["resultClass"]) == ("succeeded", "success"), found
            assert found["executionBackend"] == harness.name
            assert tenant.contents(syncs.project)["rules/a"] == b"%d" % number
