"""How many connections to the database runs need: one a thread, and as many as are set aside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from tests.databases import open_database
from tests.postgres import PostgresServer
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.processes import LONG
from tests.server.runs.runner import Runner
from tests.server.runs.runtimes import opened
from towline.options import OnConflict
from towline.testing.git_server import GitServer
from towline_server.db import Database, make_engine
from towline_server.errors import InvalidSettings
from towline_server.runs.domain import BackendName, RunMode, RunRequest
from towline_server.runs.plans import Plans
from towline_server.runs.states import Outcome, RunState
from towline_server.services import open_services
from towline_server.settings import Settings


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database to which there is one connection: who needs a second one waits in vain."""
    database = Database(make_engine(database_url, connections=1))
    yield database
    database.close()


def test_one_connection_is_enough(tenant: GitTenant, runner: Runner):
    tenant.commit(a=b"1", rules__b=b"1", tasks__c=b"1")
    project = tenant.project()
    worker, runs = runner.worker(), runner.runs

    def pulled(**changes) -> Outcome | None:
        run = runs.request(project.id, RunRequest(**changes))
        worker.execute(run.id)
        worker.heartbeat.renew()
        return runs.get(run.id).outcome

    assert pulled(mode=RunMode.DRY_RUN) is Outcome.CHANGED
    assert pulled() is Outcome.CHANGED
    assert pulled() is Outcome.UNCHANGED
    tenant.edit(project, "a", b"ours")
    tenant.commit(a=b"theirs", rules__b=b"2", tasks__c=b"2")
    assert pulled(on_conflict=OnConflict.REFUSE) is None
    assert pulled(on_conflict=OnConflict.SKIP) is Outcome.PARTIAL
    parent = runs.request_fan_out(project.id, ["rule", "task"])
    runner.work()
    assert runs.get(parent.id).state is RunState.SUCCEEDED
    elsewhere = runs.request(project.id, backend=BackendName.EXTERNAL)
    claim = runner.external.claim("elsewhere", tenant_id=tenant.tenant_id)
    assert claim is not None
    assert claim.run.id == elsewhere.id
    runner.lose()
    plans = Plans(tenant.database, runner.repositories, runner.fetches)
    assert len(plans.conflicts(project.id, fresh=True).conflicts) == 1
    made = plans.make(project.id, RunRequest(on_conflict=OnConflict.THEIRS))
    assert len(plans.apply(project.id, made.id).overwritten) == 1
    assert plans.status(project.id, fresh=True).revision == tenant.repository.tip("main")


@pytest.mark.parametrize("at_once", [16, 32])
def test_as_many_runs_at_once_as_are_set(
    at_once: int, database_url: str, git_server: GitServer, tmp_path: Path
):
    settings = Settings(
        data_dir=tmp_path / "data",
        database_url=database_url,
        secret_keys=(SecretStr("x" * 32),),
    )
    services = open_services(settings, runs=at_once)
    tenant = GitTenant(services.database, git_server, tmp_path)
    tenant.commit(a=b"1")
    runtime = opened(tenant, database_url, runs_at_once=at_once, tenant_runs_at_once=at_once)
    asked = [runtime.runs.request(tenant.project().id).id for _ in range(at_once + 4)]
    runtime.start()
    ended = [runtime.runs.wait(run_id, LONG) for run_id in asked]
    runtime.stop()
    services.close()
    assert {run.attempts.number for run in ended} == {1}
    assert {run.outcome for run in ended} == {Outcome.CHANGED}


@pytest.mark.services
def test_more_than_the_database_allows_is_refused(postgres_server: PostgresServer, tmp_path: Path):
    url = postgres_server.create("towline_few")
    database = open_database(url)
    with database.writing() as session:
        session.execute(text("ALTER DATABASE towline_few CONNECTION LIMIT 41"))
    database.close()
    settings = Settings(
        data_dir=tmp_path / "data", database_url=url, secret_keys=(SecretStr("x" * 32),)
    )
    open_services(settings, runs=16, answers=True).close()
    with pytest.raises(InvalidSettings, match=r"need 42 connections .* allows 41"):
        open_services(settings, runs=17, answers=True)
    with pytest.raises(InvalidSettings, match="need 65 connections"):
        open_services(settings, runs=16, answers=True, beside=24)
