"""A server's runs as it puts them together, in this process."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import CertificateAuthority
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.processes import LONG
from tests.server.runs.runtimes import opened
from towline.testing.git_server import GitServer
from towline_server.db import Database
from towline_server.runs.domain import BackendName, Run
from towline_server.runs.runtime import Runtime
from towline_server.runs.states import Outcome, ReasonCode, RunState
from towline_server.runs.worker import ExecutorLock


@pytest.fixture
def runtime(tenant: GitTenant, database_url: str) -> Iterator[Runtime]:
    made = opened(tenant, database_url)
    made.start()
    yield made
    made.stop()


def test_runs_of_one_project_follow_each_other(runtime: Runtime, tenant: GitTenant):
    tenant.commit(a=b"1")
    project = tenant.project()
    asked = [runtime.runs.request(project.id) for _ in range(3)]
    runs = [runtime.runs.wait(run.id, LONG) for run in asked]
    assert sorted(str(run.outcome) for run in runs) == ["changed", "unchanged", "unchanged"]
    moments = [
        (run.started_at, run.completed_at)
        for run in runs
        if run.started_at is not None and run.completed_at is not None
    ]
    for (_, ended), (began, _) in itertools.pairwise(sorted(moments)):
        assert ended <= began


def test_a_run_waits_for_one_that_an_external_executor_has(runtime: Runtime, tenant: GitTenant):
    tenant.commit(a=b"1")
    project = tenant.project()
    runtime.runs.request(project.id, backend=BackendName.EXTERNAL)
    claim = runtime.external.claim("elsewhere", tenant_id=tenant.tenant_id)
    assert claim is not None
    run = runtime.runs.request(project.id)
    other = runtime.runs.wait(runtime.runs.request(tenant.project().id).id, LONG)
    assert other.outcome is Outcome.CHANGED
    assert runtime.runs.get(run.id).state is RunState.QUEUED
    runtime.external.fail(claim.run.id, claim.token, ReasonCode.INTERNAL_ERROR, "no more")
    assert runtime.runs.wait(run.id, LONG).outcome is Outcome.CHANGED


def test_a_repository_is_believed_if_its_authority_is_in_the_settings(
    database: Database, database_url: str, tmp_path: Path
):
    authority = CertificateAuthority(tmp_path / "authority")
    with GitServer(tmp_path / "served", tls=authority.context()) as server:
        tenant = GitTenant(database, server, tmp_path)
        tenant.commit(a=b"1")
        project = tenant.project()

        def pulled(**changes) -> Run:
            runtime = opened(tenant, database_url, **changes)
            runtime.start()
            try:
                return runtime.runs.settle(runtime.runs.request(project.id).id, LONG)
            finally:
                runtime.stop()

        assert pulled().reason_code is ReasonCode.REMOTE_UNREACHABLE
        assert pulled(remote_ca_file=authority.file).outcome is Outcome.CHANGED


def test_an_executor_is_itself_again_but_never_twice(tmp_path: Path):
    first = ExecutorLock(tmp_path)
    second = ExecutorLock(tmp_path)
    assert second.id != first.id
    second.close()
    first.close()
    again = ExecutorLock(tmp_path)
    assert again.id == first.id
    again.close()
