"""The cached repositories on this machine."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete

from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import Runner
from towline.ports import Watch
from towline_server.projects.connection_tables import BindingRow
from towline_server.projects.connections import Connections
from towline_server.runs.fetching import BoundRepository, FetchTarget


def fetched(runner: Runner, tenant: GitTenant, connection_id=None) -> BoundRepository:
    """The repository of a new project, after a fetch."""
    project = tenant.project(connection_id=connection_id)
    repository = runner.repositories.of(project)
    wanted = FetchTarget(repository=repository, limits=runner.repositories.limits)
    runner.fetches.fetch(wanted, Watch(), since=tenant.database.now())
    assert repository.cache.is_dir()
    return repository


def test_what_was_fetched_goes_with_its_connection(tenant: GitTenant):
    runner = Runner(tenant)
    tenant.commit(a=b"1")
    used = fetched(runner, tenant)
    gone_id = tenant.connect(f"{tenant.server.url}/repo.git")
    gone = fetched(runner, tenant, gone_id)
    with tenant.database.writing() as session:
        session.execute(delete(BindingRow).where(BindingRow.connection_id == gone_id))
        Connections(session, tenant.sealer).delete(gone_id)
    runner.repositories.prune()
    assert gone.cache.is_dir(), "a run may read it"
    runner.repositories.prune(unused=timedelta(0))
    assert (used.cache.is_dir(), gone.cache.exists()) == (True, False)


def test_what_was_fetched_from_an_address_goes_with_it(tenant: GitTenant):
    runner = Runner(tenant)
    tenant.commit(a=b"1")
    before = fetched(runner, tenant)
    with tenant.database.writing() as session:
        connections = Connections(session, tenant.sealer, frozenset({before.url.scheme}))
        connections.change_url(tenant.connection_id, f"{tenant.server.url}/other.git")
    runner.repositories.prune(unused=timedelta(0))
    assert not before.cache.exists()
