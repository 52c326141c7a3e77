"""What is kept on this machine of the repositories."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete

from tests.server.runs.bench import Bench
from tests.server.runs.world import World
from towline.ports import Watch
from towline_server.projects.connection_tables import BindingRow
from towline_server.projects.connections import Connections
from towline_server.runs.fetching import FetchTarget, Repository
from towline_server.runs.runtime import time_of


def fetched(bench: Bench, world: World, connection_id=None) -> Repository:
    """The repository of a new project, after a fetch."""
    project = world.project(connection_id=connection_id)
    repository = bench.repositories.of(project)
    wanted = FetchTarget(repository=repository, limits=bench.repositories.limits)
    bench.fetches.fetch(wanted, Watch(), since=time_of(world.database)())
    assert repository.cache.is_dir()
    return repository


def test_what_was_fetched_goes_with_its_connection(world: World):
    bench = Bench(world)
    world.commit(a=b"1")
    kept = fetched(bench, world)
    gone_id = world.connect(f"{world.server.url}/repo.git")
    gone = fetched(bench, world, gone_id)
    with world.database.writing() as session:
        session.execute(delete(BindingRow).where(BindingRow.connection_id == gone_id))
        Connections(session, world.sealer).delete(gone_id)
    bench.repositories.prune()
    assert gone.cache.is_dir(), "a run may read it"
    bench.repositories.prune(unused=timedelta(0))
    assert (kept.cache.is_dir(), gone.cache.exists()) == (True, False)


def test_what_was_fetched_from_an_address_goes_with_it(world: World):
    bench = Bench(world)
    world.commit(a=b"1")
    before = fetched(bench, world)
    with world.database.writing() as session:
        connections = Connections(session, world.sealer, frozenset({before.url.scheme}))
        connections.change_url(world.connection_id, f"{world.server.url}/other.git")
    bench.repositories.prune(unused=timedelta(0))
    assert not before.cache.exists()
